// Package loop is a node's only door to time, chance, the network, its disk and
// concurrency. A node is one Handler; what surrounds it is an Env.
//
// The same Handler runs on real time, sockets and files (package live) and in
// virtual time with faults (package sim). It is called with one event at a time and
// never concurrently, so it needs no locks; and since it learns of the world only
// through its Env, the same events lead to the same actions.
package loop

import (
	"fmt"
	"io"
	"time"

	"portico/node/types"
)

// An Event is anything that happens to a node: one of the types below, an event
// that the node sent itself with After or Go, or a request from its own process.
type Event any

// Boot is the first event of every life of a node.
type Boot struct{}

// Connected says that frames can be exchanged with a peer. What was sent before may
// or may not have arrived.
type Connected struct{ Peer types.NodeID }

// Disconnected says that the connections to a peer are gone.
type Disconnected struct{ Peer types.NodeID }

// Received is a frame from a peer. The transport vouches for who the peer is, and
// for nothing else.
type Received struct {
	From    types.NodeID
	Channel Channel
	Frame   []byte
}

// Channel is one of the connections to a peer. Each keeps its own order and has its own
// bounds, so that bulk transfers cannot hold up votes.
type Channel uint8

// The channels.
const (
	Consensus Channel = iota
	Ingress
	Bulk
	Channels // their number
)

// String is the channel's name.
func (c Channel) String() string {
	switch c {
	case Consensus:
		return "consensus"
	case Ingress:
		return "ingress"
	case Bulk:
		return "bulk"
	default:
		return fmt.Sprintf("Channel(%d)", uint8(c))
	}
}

// MaxFrameBytes bounds a frame: a block of the largest payload with room for its header.
const MaxFrameBytes = 8 * types.MiB

// Env is what a node may ask of its surroundings.
type Env interface {
	// Now is this node's clock. It never goes back, and may be wrong.
	Now() types.Time
	// Rand is for keys and nonces only: replicated code takes randomness from its batch.
	Rand() io.Reader
	// Send sends a frame of at most MaxFrameBytes to a peer: best effort, never
	// blocking. It may be lost, doubled or overtaken.
	Send(to types.NodeID, ch Channel, frame []byte)
	// After has ev handled once d has passed; with d = 0 after the events that are
	// there already. It dies with the node.
	After(d time.Duration, ev Event)
	// Go runs work concurrently and has its result handled. Work sees only what it captured.
	Go(work func() Event)
	// Stop ends this life of the node for a reason that a person must see.
	Stop(reason error)
}

// Handler is a node.
type Handler interface{ Handle(env Env, ev Event) }
