package sim

import (
	"errors"
	"strings"
	"testing"
	"time"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/ingress"
	"portico/node/loop"
	"portico/node/replica"
	"portico/node/types"
)

// bench is a Checker of four nodes, of which the last is Byzantine, that is told what
// nodes report.
type bench struct {
	w *World
	c *Checker
}

type idle struct{}

func (idle) Handle(loop.Env, loop.Event) {}

func newBench() *bench {
	w := NewWorld(1, NewScore(0))
	for i := range 4 {
		w.Add(principal.SelfAuthenticating([]byte{byte(i)}), func() (loop.Handler, error) { return idle{}, nil })
		w.Start(i)
	}
	return &bench{w, NewChecker(w, []bool{true, true, true, false})}
}

// block is the one at a height that a maker of a rank makes on a chain of such blocks.
func block(h types.Height, rank uint16, calls ...*ingress.Call) *consensus.Block {
	b := &consensus.Block{Height: h, Rank: rank, Context: consensus.Context{Registry: 1, Time: start + types.Time(h)*1e9}, Calls: calls}
	if h > 1 {
		b.Parent = block(h-1, 0).Hash()
	}
	for _, c := range calls {
		b.Ingress = append(b.Ingress, c.ID)
	}
	return b
}

func call(t *testing.T, expiry types.Time) *ingress.Call {
	e, err := envelope.Anonymous{}.Sign(envelope.Request{Kind: envelope.Call, IngressExpiry: uint64(expiry), Canister: principal.Canister(0), Method: "m"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := ingress.Open(ingress.Message{Envelope: e.Append(nil)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// final has a node report a block as final, and make it durable.
func (b *bench) final(node int, x *consensus.Block) {
	b.c.Observe(node, replica.Observation{What: replica.Finalized, Height: x.Height, Hash: x.Hash(), Block: x})
	b.durable(node, &consensus.Aggregate{Content: consensus.Content{Kind: artifact.Finalization, Height: x.Height, Hash: x.Hash()}})
}

func (b *bench) durable(node int, as ...consensus.Artifact) {
	var items []artifact.Item
	for _, a := range as {
		items = append(items, artifact.Item{ID: a.ID(), Encoded: consensus.Encode(a)})
	}
	b.c.durable(node, items)
}

func (b *bench) ended(node int, h types.Height, root byte) {
	b.c.Observe(node, replica.Observation{What: replica.Ended, Height: h, Hash: types.Hash{root}})
}

func (b *bench) certified(node int, h types.Height, root byte) {
	b.c.Observe(node, replica.Observation{What: replica.Certified, Height: h, Hash: types.Hash{root}})
}

func share(k artifact.Kind, by types.Member, h types.Height, hash byte) *consensus.Share {
	return &consensus.Share{Content: consensus.Content{Kind: k, Height: h, Hash: types.Hash{hash}}, By: by, Signature: []byte{1}}
}

func TestTheCheckerNoticesWhatMustNotHappen(t *testing.T) {
	fresh, old := call(t, start+types.Time(time.Hour)), call(t, start)
	late := block(2, 0)
	late.Context.Time = start
	ahead := block(2, 0)
	ahead.Context.Certified = 2
	for want, play := range map[string]func(b *bench){
		"two blocks are final at height 1": func(b *bench) {
			b.final(0, block(1, 0))
			b.final(1, block(1, 1))
		},
		"is finalized at height 1, but block": func(b *bench) {
			b.final(0, block(1, 0))
			b.c.Observe(1, replica.Observation{What: replica.Notarized, Height: 1, Hash: types.Hash{7}})
			b.durable(1)
		},
		"and not the final": func(b *bench) {
			b.final(0, block(1, 1))
			b.final(0, block(2, 0))
		},
		"it finalized height 3 after 1": func(b *bench) {
			b.final(0, block(1, 0))
			b.final(0, block(3, 0))
		},
		"is not later than its parent": func(b *bench) {
			b.final(0, block(1, 0))
			b.final(0, late)
		},
		"builds on the certified state of height 2": func(b *bench) {
			b.final(0, block(1, 0))
			b.final(0, ahead)
		},
		"is executed twice, at heights 1 and 3": func(b *bench) {
			b.final(0, block(1, 0, fresh))
			b.final(1, block(3, 0, fresh))
		},
		"expired at": func(b *bench) { b.final(0, block(1, 0, old)) },
		"its state of height 1 is 02": func(b *bench) {
			b.final(0, block(1, 0))
			b.final(1, block(1, 0))
			b.ended(0, 1, 1)
			b.ended(1, 1, 2)
		},
		"it executed height 3 after 1": func(b *bench) {
			b.final(0, block(3, 0))
			b.ended(0, 1, 1)
			b.ended(0, 3, 3)
		},
		"it shows height 1 as certified, but executed height 0 last": func(b *bench) {
			b.final(0, block(1, 0))
			b.certified(0, 1, 1)
		},
		"but has no more than height 0 as final on its disk": func(b *bench) {
			b.ended(0, 1, 1)
			b.certified(0, 1, 1)
		},
		"the certification of height 1 is of 02": func(b *bench) {
			b.final(0, block(1, 0))
			b.ended(0, 1, 1)
			b.certified(0, 1, 2)
		},
		"only 1 honest nodes executed it and it takes 3 with the 1 Byzantine": func(b *bench) {
			b.final(0, block(1, 0))
			b.ended(0, 1, 1)
			b.certified(0, 1, 1)
		},
		"as final and block": func(b *bench) {
			b.durable(0, share(artifact.Notarization, 0, 1, 1), share(artifact.Finalization, 0, 1, 2))
		},
		"it signed the randomness of height 3": func(b *bench) {
			b.final(1, block(1, 0))
			b.durable(1, share(artifact.Tape, 1, 2, 0), share(artifact.Tape, 1, 3, 0))
		},
		"it stopped itself": func(b *bench) { b.c.Down(2, errors.New("of its own accord")) },
		"in an earlier life it had 1": func(b *bench) {
			b.executed(1)
			b.w.Crash(0)
			b.c.Started(0)
			b.w.Start(0)
			b.w.Run(replayTime + time.Second)
		},
	} {
		b := newBench()
		play(b)
		if err := b.w.Failure(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// executed has all honest nodes execute and certify a height.
func (b *bench) executed(h types.Height) {
	for i := range 3 {
		b.final(i, block(h, 0))
		b.ended(i, h, byte(h))
	}
	for i := range 3 {
		b.certified(i, h, byte(h))
	}
}

func TestTheCheckerIsContentWithWhatMayHappen(t *testing.T) {
	b := newBench()
	b.executed(1)
	b.executed(2)
	// what is not durable when its node crashes has not happened
	b.c.Observe(0, replica.Observation{What: replica.Finalized, Height: 3, Hash: block(3, 1).Hash(), Block: block(3, 1)})
	b.c.Observe(0, replica.Observation{What: replica.Ended, Height: 3, Hash: types.Hash{9}})
	b.w.Crash(0)
	b.c.Started(0)
	b.w.Start(0)
	b.ended(0, 1, 1)
	b.certified(0, 1, 1)
	b.ended(0, 2, 2)
	b.certified(0, 2, 2)
	b.executed(3)
	// a Byzantine node may say anything
	b.final(3, block(3, 2))
	b.ended(3, 3, 77)
	b.w.Run(replayTime + time.Second)
	if b.w.Failure() != nil {
		t.Error(b.w.Failure())
	}
	if node, ok := b.c.Behind(2, []int{0, 1, 2, 3}); ok {
		t.Errorf("node %d is behind", node)
	}
	if node, ok := b.c.Behind(3, []int{3, 2}); !ok || node != 2 {
		t.Errorf("node %d is behind: %t, want node 2", node, ok)
	}
}
