// Package replica is one node of a subnet as a loop.Handler: the pool of consensus
// artifacts and that of ingress messages, the broadcast that keeps them equal to the
// peers', consensus, and the delivery of what was agreed on to message routing.
//
// Everything that changes because of an event is made durable in one transaction
// before anything of it is sent. The handler runs unchanged on real time and in the
// simulator; what differs stands behind the interfaces below.
package replica

import (
	"portico/node/consensus"
	"portico/node/ingress"
	"portico/node/types"
)

// States is message routing, execution and state management. Except for Known and those of
// consensus.Queries, which may be called at any time from anywhere, its methods are called one
// after the other, off the loop; each must return before the next is called. The making of a
// checkpoint alone goes on beside them.
// An error stops the node.
//
// The state of a height is executed, then certified, then the next is executed: users
// see certified states alone, and nothing runs ahead of them (node/DECISIONS.md).
type States interface {
	// Newest is the state that this life of the node begins with: the newest checkpoint.
	Newest() Executed
	// Execute makes the state of a batch, which is the one after the newest.
	Execute(b *Batch) (Executed, error)
	// Certify shows the newest state to users. The certification is of its height and root.
	// If its batch asked for a checkpoint, that is durable when checkpoint returns; otherwise
	// checkpoint is nil. It is called at once, may go on while further heights are executed, and
	// returns before the next checkpoint's batch is. State is the hash that identifies
	// all of the state, the same on every node.
	Certify(c *consensus.Aggregate) (checkpoint func() (state types.Hash, err error), err error)
	// Known reports whether the newest certified state remembers a request.
	Known(id types.RequestID) bool
	consensus.Queries
}

// Batch is what consensus agreed on for one height.
type Batch struct {
	Height     types.Height
	Time       types.Time
	Randomness types.Hash // of the random tape
	Calls      []*ingress.Call
	// Queries are what Maker reports of the queries that it answered.
	Queries []types.QueryReport
	// Maker made the block; Failed are those of better rank who had not, or not in time.
	Maker  types.NodeID
	Failed []types.NodeID
	// Checkpoint asks for a checkpoint of the height's state.
	Checkpoint bool
}

// Executed is what is known of a height's state.
type Executed struct {
	Height types.Height
	// Root is the hash of the state tree.
	Root types.Hash
	// Backlog says that messages wait for the next round, Quick that users get quick answers.
	Backlog, Quick bool
	// Checkpoint is the hash of the whole state, if it is a checkpoint that is durable.
	Checkpoint types.Hash
}

// Submit is the event by which a node's own process hands in a user's call. Its signature
// was checked. Done is called once, from the loop: with nil, if the call is in the pool or
// known already, or ingress.ErrFull.
type Submit struct {
	Call *ingress.Call
	Done func(error)
}

// Observation tells checkers and metrics what happened, as it happens.
type Observation struct {
	What   Observed
	Height types.Height
	// Hash is of the block, or of the state tree's root.
	Hash types.Hash
	// Block is the block that was proposed, finalized or is executed.
	Block *consensus.Block
}

// Observed is a kind of Observation.
type Observed uint8

// What is observed.
const (
	Proposed  Observed = iota + 1 // by this node
	Notarized                     // a notarization entered the pool
	Finalized                     // a block, and with it its ancestors; once for each, in order
	Began                         // the execution of a block
	Ended                         // the execution of a block: Hash is the root
	Certified                     // a state that this node executed
)
