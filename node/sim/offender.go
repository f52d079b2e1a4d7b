package sim

import (
	"fmt"
	"slices"
	"time"

	"portico/lightclient/principal"
	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/loop"
	"portico/node/types"
)

// offender is a node whose frames are meddled with.
type offender struct {
	world   *World
	crypto  consensus.Crypto
	inner   loop.Handler
	misdeed Misdeed
	sent    []sent // of late, for replays
	peers   []types.NodeID
}

type sent struct {
	to    types.NodeID
	ch    loop.Channel
	frame []byte
}

// mischief is the offender's own event.
type mischief struct{}

const (
	mischiefPause = 200 * time.Millisecond
	maxSent       = 500
	floodFrames   = 30
)

// Handle implements loop.Handler.
func (o *offender) Handle(env loop.Env, ev loop.Event) {
	switch ev := ev.(type) {
	case mischief:
		o.mischief(env)
		return
	case loop.Boot:
		if o.misdeed == Replay || o.misdeed == Flood {
			env.After(mischiefPause, mischief{})
		}
	case loop.Connected:
		if !slices.Contains(o.peers, ev.Peer) {
			o.peers = append(o.peers, ev.Peer)
		}
	}
	o.inner.Handle(&meddling{env, o}, ev)
}

// mischief sends what nobody waits for.
func (o *offender) mischief(env loop.Env) {
	env.After(mischiefPause, mischief{})
	if o.misdeed == Replay {
		for range min(len(o.sent), 5) {
			s := o.sent[o.world.rand.IntN(len(o.sent))]
			env.Send(s.to, s.ch, s.frame)
		}
		return
	}
	for _, p := range o.peers {
		for range floodFrames {
			frame := make([]byte, o.world.rand.IntN(300))
			for i := range frame {
				frame[i] = byte(o.world.rand.Uint32())
			}
			if len(o.sent) > 0 && o.world.chance(500) {
				frame = o.sent[o.world.rand.IntN(len(o.sent))].frame
			}
			env.Send(p, loop.Channel(o.world.rand.IntN(int(loop.Channels))), frame)
		}
	}
}

// meddling is the Env of an offender.
type meddling struct {
	loop.Env
	offender *offender
}

func (m *meddling) Send(to types.NodeID, ch loop.Channel, frame []byte) {
	o := m.offender
	switch o.misdeed {
	case Silence, Withhold, Impersonate, Distort:
		frame = withArtifacts(frame, o.meddle)
	case Hoard:
		if ch == loop.Ingress && o.last(to) {
			return
		}
	case Garble:
		if o.last(to) {
			frame = withArtifacts(frame, o.meddle)
		}
	case Corrupt:
		if o.world.chance(300) && len(frame) > 0 {
			frame = slices.Clone(frame)
			for range 1 + o.world.rand.IntN(3) {
				frame[o.world.rand.IntN(len(frame))] ^= 1 << o.world.rand.IntN(8)
			}
		}
	case Replay, Flood:
		if len(o.sent) < maxSent {
			o.sent = append(o.sent, sent{to, ch, frame})
		} else {
			o.sent[o.world.rand.IntN(maxSent)] = sent{to, ch, frame}
		}
	}
	m.Env.Send(to, ch, frame)
}

// last reports whether a peer is the one that is singled out.
func (o *offender) last(peer types.NodeID) bool {
	return peer == slices.MaxFunc(o.peers, principal.ID.Compare)
}

// meddle is what the offender sends in place of an artifact, or false if it keeps it to itself.
func (o *offender) meddle(id artifact.ID, encoded []byte) (artifact.ID, []byte, bool) {
	switch {
	case id.Kind == artifact.Proposal && o.misdeed == Silence, shareKind(id.Kind) && o.misdeed == Withhold:
		return id, encoded, false
	case id.Kind == artifact.Proposal && o.misdeed == Garble && len(encoded) > 0:
		encoded = slices.Clone(encoded)
		encoded[len(encoded)/2]++
		return id, encoded, true
	case shareKind(id.Kind) && o.misdeed == Impersonate, id.Kind == artifact.Proposal && o.misdeed == Distort:
		if len(encoded) == 0 || o.world.chance(500) {
			return id, encoded, true
		}
		a, err := consensus.Decode(id, encoded)
		if err != nil {
			panic(fmt.Sprintf("sim: an artifact that a node sends cannot be read: %v", err))
		}
		switch a := a.(type) {
		case *consensus.Share:
			other := *a
			other.By = types.Member(o.world.rand.IntN(len(o.world.hosts) + 1))
			return other.ID(), consensus.Encode(&other), true
		case *consensus.Proposal:
			other := o.distort(a)
			return other.ID(), other.Encode(false), true
		}
	}
	return id, encoded, true
}

// distort is a proposal like another one, but wrong.
func (o *offender) distort(p *consensus.Proposal) *consensus.Proposal {
	w, c := o.world, p.Block.Context
	b := &consensus.Block{
		Height: p.Block.Height, Parent: p.Block.Parent, Rank: p.Block.Rank, Context: c,
		Summary: p.Block.Summary, Ingress: slices.Clone(p.Block.Ingress),
	}
	switch w.rand.IntN(8) {
	case 0:
		b.Parent[w.rand.IntN(len(b.Parent))]++
	case 1:
		b.Context.Time = c.Time.Add(w.between(-time.Hour, time.Hour))
	case 2:
		b.Context.Certified = c.Certified + types.Height(w.rand.IntN(20))
	case 3:
		b.Context.Certified = types.Height(w.rand.IntN(int(b.Height)))
	case 4:
		b.Rank = uint16(w.rand.IntN(5))
	case 5:
		b.Summary = !b.Summary
	case 6:
		b.Context.Registry++
	default:
		b.Ingress = append(b.Ingress, b.Ingress...)
	}
	signature := o.crypto.Sign(consensus.SchemeNode, consensus.ProposalMessage(b.Height, b.Hash()))
	return &consensus.Proposal{Block: b, Maker: p.Maker, Signature: signature}
}
