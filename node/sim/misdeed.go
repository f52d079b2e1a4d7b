package sim

import (
	"fmt"
	"slices"
	"time"

	"portico/node/consensus"
	"portico/node/loop"
	"portico/node/replica"
	"portico/node/types"
)

// Misdeed is what a Byzantine node does, besides the work of an honest one.
type Misdeed uint8

// The misdeeds.
const (
	Honest      Misdeed = iota
	Equivocate          // two nodes in one: each half of the peers sees another
	Silence             // it shows nobody its block proposals
	Withhold            // it shows nobody its shares
	Hoard               // it keeps users' calls from one peer, but not the blocks with them
	Garble              // its blocks arrive at one peer with a byte changed
	Forge               // its shares and signatures are wrong, or of something else
	Impersonate         // its shares say that they are others'
	Distort             // its blocks break a rule, a different one for each peer
	Replay              // it sends again what it sent long ago
	Corrupt             // bits of its frames change
	Flood               // it sends far more than anybody asked for
	misdeeds            // their number
)

var misdeedNames = [misdeeds]string{
	"honest", "equivocate", "silence", "withhold", "hoard", "garble", "forge", "impersonate", "distort", "replay", "corrupt", "flood",
}

// String is the misdeed's name in scenarios.
func (m Misdeed) String() string {
	if m >= misdeeds {
		return fmt.Sprintf("Misdeed(%d)", uint8(m))
	}
	return misdeedNames[m]
}

// ParseMisdeed reads a misdeed's name.
func ParseMisdeed(name string) (Misdeed, error) {
	if i := slices.Index(misdeedNames[1:], name); i >= 0 {
		return Misdeed(i + 1), nil
	}
	return 0, fmt.Errorf("there is no misdeed %q: want one of %v", name, misdeedNames[1:])
}

// forger signs wrongly at times.
type forger struct {
	consensus.Crypto
	world *World
}

// Sign signs something else, or makes bytes up, a third of the time.
func (f *forger) Sign(s consensus.Scheme, message []byte) []byte {
	switch f.world.rand.IntN(6) {
	case 0:
		return f.Crypto.Sign(s, append([]byte("other"), message...))
	case 1:
		out := f.Crypto.Sign(s, message)
		for i := range out {
			out[i] = byte(f.world.rand.Uint32())
		}
		return out
	default:
		return f.Crypto.Sign(s, message)
	}
}

// twins are two nodes with one key, an equivocating node in its most general form: each
// half of the peers talks to one of them (Bano et al., "Twins: BFT Systems Made Robust").
type twins struct {
	subnet *Subnet
	lives  [2]loop.Handler
}

// twinEvent is an event that one of them sent itself.
type twinEvent struct {
	twin  int
	event loop.Event
}

// Handle implements loop.Handler.
func (t *twins) Handle(env loop.Env, ev loop.Event) {
	switch e := ev.(type) {
	case twinEvent:
		t.handle(env, e.twin, e.event)
	case loop.Received:
		t.handle(env, t.side(e.From), ev)
	case loop.Connected:
		t.handle(env, t.side(e.Peer), ev)
	case loop.Disconnected:
		t.handle(env, t.side(e.Peer), ev)
	case replica.Submit:
		t.handle(env, t.subnet.World.rand.IntN(2), ev)
	default:
		t.handle(env, 0, ev)
		t.handle(env, 1, ev)
	}
}

func (t *twins) handle(env loop.Env, twin int, ev loop.Event) {
	t.lives[twin].Handle(&twinEnv{env, t, twin}, ev)
}

// side is the twin that a peer talks to.
func (t *twins) side(peer types.NodeID) int {
	m, _ := t.subnet.Records.Subnet.Member(peer)
	return int(m) % 2
}

type twinEnv struct {
	loop.Env
	twins *twins
	twin  int
}

func (e *twinEnv) Send(to types.NodeID, ch loop.Channel, frame []byte) {
	if e.twins.side(to) == e.twin {
		e.Env.Send(to, ch, frame)
	}
}

func (e *twinEnv) After(d time.Duration, ev loop.Event) { e.Env.After(d, twinEvent{e.twin, ev}) }

func (e *twinEnv) Go(work func() loop.Event) {
	e.Env.Go(func() loop.Event { return twinEvent{e.twin, work()} })
}
