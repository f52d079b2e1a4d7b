package sim

import (
	"errors"
	"fmt"
	"math/bits"
	"time"

	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/replica"
	"portico/node/types"
)

// Checker holds what honest nodes report against what must never happen and what must
// happen in time. It knows the true time and all nodes at once, and no node knows it.
type Checker struct {
	world   *World
	watched []watched
	quorum  int
	// final is the finalized chain as far as any honest node knows it.
	final map[types.Height]*consensus.Block
	// notarized are the blocks of a height that any honest node saw notarized.
	notarized map[types.Height][]types.Hash
	states    map[types.Height]*executions
	calls     map[types.RequestID]types.Height // in the finalized chain
	// signed are honest nodes' durable shares of notarizations and finalizations.
	signed map[signer]*shares
	// finalizations are those that honest nodes have made durable.
	finalizations map[types.Height]types.Hash
	noted         map[artifact.ID]bool // proofs that are in the score
}

// watched is what the Checker knows of a node.
type watched struct {
	honest bool
	// waiting is what it reported of this life that is not durable yet: a crash undoes it, and
	// nobody else knows.
	waiting []replica.Observation
	// doubtful is what an earlier life was waiting with when it ended: its last transaction may
	// have been made durable all the same, and what it signed is sent then.
	doubtful []replica.Observation
	// Of this life: zero if there was none.
	finalized, ended, certified types.Height
	// Of all lives: the newest certified height, and that of the newest durable finalization.
	best, finalization types.Height
}

// executions are the honest nodes, a bit each, that executed a height, which all led to
// one root.
type executions struct {
	root types.Hash
	by   uint64
}

type signer struct {
	node   int
	height types.Height
}

type shares struct{ notarized, finalized []types.Hash }

// NewChecker checks the nodes of a subnet in a world; honest says which of them follow the
// protocol. There are at most 64.
func NewChecker(w *World, honest []bool) *Checker {
	c := &Checker{
		world: w, quorum: types.Quorum(len(honest)),
		final: map[types.Height]*consensus.Block{}, notarized: map[types.Height][]types.Hash{},
		states: map[types.Height]*executions{}, calls: map[types.RequestID]types.Height{}, signed: map[signer]*shares{},
		finalizations: map[types.Height]types.Hash{}, noted: map[artifact.ID]bool{},
	}
	for _, h := range honest {
		c.watched = append(c.watched, watched{honest: h})
	}
	return c
}

func (c *Checker) fail(node int, format string, args ...any) {
	c.world.Fail(fmt.Errorf("node %d: "+format, append([]any{node}, args...)...))
}

// replayTime is how long a node may take after it started to execute again, out of what it has on
// disk and whether or not it reaches any peer, what it had certified.
const replayTime = 20 * time.Second

// Started says that a life of a node begins.
func (c *Checker) Started(node int) {
	n := &c.watched[node]
	n.doubtful = append(n.doubtful, n.waiting...)
	n.finalized, n.ended, n.certified, n.waiting = 0, 0, 0, nil
	if !n.honest {
		return
	}
	best, life := n.best, c.world.Life(node)+1
	c.world.In(replayTime, func() {
		if c.world.Up(node) && c.world.Life(node) == life && n.certified < best {
			c.fail(node, "%v after its start it has certified height %d, in an earlier life it had %d", replayTime, n.certified, best)
		}
	})
}

// Down says that a node stopped itself.
func (c *Checker) Down(node int, reason error) {
	if reason != nil && c.watched[node].honest && !errors.Is(reason, ErrDisk) {
		c.fail(node, "it stopped itself: %v", reason)
	}
}

// Observe takes what a node reports.
func (c *Checker) Observe(node int, o replica.Observation) {
	n := &c.watched[node]
	if !n.honest {
		return
	}
	switch o.What {
	case replica.Proposed:
	case replica.Notarized, replica.Finalized:
		n.waiting = append(n.waiting, o)
	case replica.Began, replica.Ended:
		if o.Height > n.finalization {
			n.waiting = append(n.waiting, o)
			return
		}
		c.observe(node, o)
	case replica.Certified:
		c.observeCertified(node, o.Height, o.Hash)
	default:
		panic(fmt.Sprintf("sim: an observation of kind %d", o.What))
	}
}

// observe takes what is durable.
func (c *Checker) observe(node int, o replica.Observation) {
	n := &c.watched[node]
	switch o.What {
	case replica.Notarized:
		c.observeNotarized(node, o.Height, o.Hash)
	case replica.Finalized:
		if n.finalized != 0 && o.Height != n.finalized+1 {
			c.fail(node, "it finalized height %d after %d", o.Height, n.finalized)
		}
		n.finalized = o.Height
		c.observeFinal(node, o.Block)
	case replica.Began:
		c.observeFinal(node, o.Block)
	case replica.Ended:
		c.observeEnded(node, o.Height, o.Hash)
	}
}

func (c *Checker) observeNotarized(node int, h types.Height, hash types.Hash) {
	for _, known := range c.notarized[h] {
		if known == hash {
			return
		}
	}
	c.notarized[h] = append(c.notarized[h], hash)
	if len(c.notarized[h]) > 1 {
		c.world.score.Note(node, "notarize", "%4d %x, a second block at its height", h, hash[:4])
	}
	c.checkOnlyNotarized(node, h)
}

// finalized takes a finalization that an honest node made durable. The block at its height is the
// only one that is notarized there, which cannot be said of the ancestors that are final by it: on
// that rests that no other can become final.
func (c *Checker) finalized(node int, h types.Height, hash types.Hash) {
	if _, ok := c.finalizations[h]; !ok {
		c.finalizations[h] = hash
		c.checkOnlyNotarized(node, h)
	}
}

func (c *Checker) checkOnlyNotarized(node int, h types.Height) {
	final, ok := c.finalizations[h]
	if !ok {
		return
	}
	for _, hash := range c.notarized[h] {
		if hash != final {
			c.fail(node, "block %x is finalized at height %d, but block %x is notarized there, too", final[:4], h, hash[:4])
		}
	}
}

func (c *Checker) observeFinal(node int, b *consensus.Block) {
	hash := b.Hash()
	if known := c.final[b.Height]; known != nil {
		if known.Hash() != hash {
			c.fail(node, "two blocks are final at height %d: %x and %x", b.Height, short(known), hash[:4])
		}
		return
	}
	c.final[b.Height] = b
	c.world.score.Note(node, "finalize", "%4d %x rank %d, %d calls", b.Height, hash[:4], b.Rank, len(b.Calls))
	if parent := c.final[b.Height-1]; parent != nil {
		c.checkFollows(node, parent, b)
	}
	if next := c.final[b.Height+1]; next != nil {
		c.checkFollows(node, b, next)
	}
	c.checkCalls(node, b)
}

func (c *Checker) checkFollows(node int, parent, b *consensus.Block) {
	switch {
	case b.Parent != parent.Hash():
		c.fail(node, "block %x is final at height %d, but follows %x and not the final %x", short(b), b.Height, b.Parent[:4], short(parent))
	case b.Context.Time <= parent.Context.Time:
		c.fail(node, "block %x at height %d is not later than its parent", short(b), b.Height)
	case b.Context.Certified < parent.Context.Certified || b.Context.Certified >= b.Height:
		c.fail(node, "block %x at height %d builds on the certified state of height %d, its parent on that of %d",
			short(b), b.Height, b.Context.Certified, parent.Context.Certified)
	}
}

// checkCalls: a call is executed at most once, and not when it has expired.
func (c *Checker) checkCalls(node int, b *consensus.Block) {
	if b.Stripped() {
		c.fail(node, "block %x at height %d is final without its calls", short(b), b.Height)
		return
	}
	for _, call := range b.Calls {
		id := call.RequestID()
		if h, ok := c.calls[id]; ok {
			c.fail(node, "call %x is executed twice, at heights %d and %d", id[:4], h, b.Height)
		}
		if call.Expiry() < b.Context.Time {
			c.fail(node, "call %x expired at %s and is in block %d of %s", id[:4], call.Expiry(), b.Height, b.Context.Time)
		}
		c.calls[id] = b.Height
	}
}

func (c *Checker) observeEnded(node int, h types.Height, root types.Hash) {
	n := &c.watched[node]
	if n.ended != 0 && h != n.ended+1 {
		c.fail(node, "it executed height %d after %d", h, n.ended)
	}
	n.ended = h
	c.executed(node, h, root)
}

// executed notes that a node has made a state.
func (c *Checker) executed(node int, h types.Height, root types.Hash) {
	s := c.states[h]
	if s == nil {
		s = &executions{root: root}
		c.states[h] = s
	}
	if s.root != root {
		c.fail(node, "its state of height %d is %x, that of another node %x", h, root[:4], s.root[:4])
	}
	s.by |= 1 << node
}

// observeCertified: what is certified is of a final block that this node has on disk, and was
// executed by it and, less what Byzantine nodes may have signed, by a quorum.
func (c *Checker) observeCertified(node int, h types.Height, root types.Hash) {
	n := &c.watched[node]
	s := c.states[h]
	switch {
	case h > n.finalization:
		c.fail(node, "it shows height %d as certified, but has no more than height %d as final on its disk", h, n.finalization)
	case s == nil || n.ended != h:
		c.fail(node, "it shows height %d as certified, but executed height %d last", h, n.ended)
		return
	case s.root != root:
		c.fail(node, "the certification of height %d is of %x, the state is %x", h, root[:4], s.root[:4])
	case bits.OnesCount64(s.by)+c.Byzantine() < c.quorum:
		c.fail(node, "height %d is certified, but only %d honest nodes executed it and it takes %d with the %d Byzantine ones",
			h, bits.OnesCount64(s.by), c.quorum, c.Byzantine())
	case n.certified != 0 && h != n.certified+1:
		c.fail(node, "it certified height %d after %d", h, n.certified)
	}
	if h > c.Certified() {
		c.world.score.Note(node, "certify", "%4d %x", h, root[:4])
	}
	n.certified, n.best = h, max(n.best, h)
}

func short(b *consensus.Block) []byte {
	h := b.Hash()
	return h[:4]
}

// Honest reports whether a node follows the protocol.
func (c *Checker) Honest(node int) bool { return c.watched[node].honest }

// Byzantine is the number of nodes that do not follow the protocol.
func (c *Checker) Byzantine() (n int) {
	for i := range c.watched {
		if !c.watched[i].honest {
			n++
		}
	}
	return n
}

// Certified is the newest height that an honest node has shown as certified.
func (c *Checker) Certified() (best types.Height) {
	for i := range c.watched {
		best = max(best, c.watched[i].best)
	}
	return best
}

// CertifiedBy is the newest height that a node shows as certified in this life.
func (c *Checker) CertifiedBy(node int) types.Height { return c.watched[node].certified }

// Final is the newest height of which a block is final.
func (c *Checker) Final() (best types.Height) {
	for h := range c.final {
		best = max(best, h)
	}
	return best
}

// Executed is the height at which a call was agreed on, or false.
func (c *Checker) Executed(id types.RequestID) (types.Height, bool) {
	h, ok := c.calls[id]
	return h, ok
}

// Behind is an honest one of the nodes that does not show a state above a height, or false.
func (c *Checker) Behind(h types.Height, nodes []int) (node int, ok bool) {
	for _, i := range nodes {
		if n := &c.watched[i]; n.honest && n.certified <= h {
			return i, true
		}
	}
	return 0, false
}
