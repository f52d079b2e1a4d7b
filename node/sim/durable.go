package sim

import (
	"slices"

	"portico/lightclient/cbor"
	"portico/node/artifact"
	"portico/node/replica"
	"portico/node/types"
)

// observedStore shows the Checker what an honest node makes durable.
type observedStore struct {
	*Store
	checker *Checker
	node    int
}

func (s *observedStore) Apply(ch artifact.Change) error {
	if err := s.Store.Apply(ch); err != nil {
		return err
	}
	s.checker.durable(s.node, ch.Put)
	return nil
}

// Load shows what a fault during Apply had left in doubt.
func (s *observedStore) Load(yield func(artifact.Item) error) error {
	var items []artifact.Item
	if err := s.Store.Load(func(it artifact.Item) error {
		items = append(items, it)
		return yield(it)
	}); err != nil {
		return err
	}
	s.checker.durable(s.node, items)
	n := &s.checker.watched[s.node]
	for _, o := range n.doubtful {
		if o.What == replica.Ended && o.Height <= n.finalization {
			s.checker.executed(s.node, o.Height, o.Hash)
		}
	}
	n.doubtful = nil
	return nil
}

// durable takes what an honest node has on disk.
func (c *Checker) durable(node int, items []artifact.Item) {
	for _, it := range items {
		if it.ID.Kind != artifact.Finalization {
			continue
		}
		if hash, _, ok := parseVote(it.Encoded); ok {
			n := &c.watched[node]
			n.finalization = max(n.finalization, it.ID.Height)
			c.finalized(node, it.ID.Height, hash)
		}
	}
	for _, it := range items {
		c.stored(node, it)
	}
	n := &c.watched[node]
	waiting := n.waiting
	n.waiting = nil
	for _, o := range waiting {
		c.observe(node, o)
	}
}

// stored checks an artifact that an honest node made durable.
func (c *Checker) stored(node int, it artifact.Item) {
	switch it.ID.Kind {
	case artifact.CatchUp, artifact.Equivocation:
		if !c.noted[it.ID] {
			c.noted[it.ID] = true
			c.world.score.Note(node, "prove", "%4d %s", it.ID.Height, it.ID.Kind)
		}
	case artifact.TapeShare:
		// With f+1 of these anybody knows the randomness of the height, so what asks for it must
		// be final: the block before.
		final := c.watched[node].finalization
		if _, by, ok := parseVote(it.Encoded); ok && by == uint64(node) && it.ID.Height > final+1 {
			c.fail(node, "it signed the randomness of height %d, but knows no more than height %d as final", it.ID.Height, final)
		}
	case artifact.NotarizationShare, artifact.FinalizationShare:
		if hash, by, ok := parseVote(it.Encoded); ok && by == uint64(node) {
			c.checkShare(node, it.ID, hash)
		}
	}
}

// checkShare: in all its lives, a node signs a single block at a height as final, and none
// if it notarized another.
func (c *Checker) checkShare(node int, id artifact.ID, hash types.Hash) {
	key := signer{node, id.Height}
	s := c.signed[key]
	if s == nil {
		s = &shares{}
		c.signed[key] = s
	}
	own := &s.notarized
	if id.Kind == artifact.FinalizationShare {
		own = &s.finalized
	}
	if !slices.Contains(*own, hash) {
		*own = append(*own, hash)
	}
	if len(s.finalized) == 0 {
		return
	}
	for _, h := range slices.Concat(s.finalized, s.notarized) {
		if h != s.finalized[0] {
			c.fail(node, "at height %d it signed block %x as final and block %x as well", id.Height, s.finalized[0][:4], h[:4])
		}
	}
}

// parseVote reads the beginning of a share, [height, hash, member, …], or of an aggregate,
// [height, hash, …], whose member means nothing.
func parseVote(encoded []byte) (hash types.Hash, by uint64, ok bool) {
	d := cbor.NewDecoder(encoded)
	if n, err := d.Array(); err != nil || n != 4 {
		return hash, 0, false
	}
	if _, err := d.Uint(); err != nil {
		return hash, 0, false
	}
	b, err := d.Bytes()
	if err != nil || len(b) != len(hash) {
		return hash, 0, false
	}
	copy(hash[:], b)
	by, _ = d.Uint()
	return hash, by, true
}
