package artifact

import "portico/node/types"

// Item is an artifact with its encoding.
type Item struct {
	ID      ID
	Encoded []byte
}

// Change is what one transaction of a Store does: first the purges, then the puts.
type Change struct {
	Put   []Item
	Purge []Purge
}

// Purge removes the artifacts of a kind below a height.
type Purge struct {
	Kind  Kind
	Below types.Height
}

// Empty reports whether there is nothing to do.
func (c *Change) Empty() bool { return len(c.Put) == 0 && len(c.Purge) == 0 }

// Store keeps a node's validated artifacts over restarts.
type Store interface {
	// Load calls yield for every artifact, by kind and then height.
	Load(yield func(Item) error) error
	// Apply is one transaction, durable when it returns: after a crash all of it is
	// there or nothing.
	Apply(Change) error
}
