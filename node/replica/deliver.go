package replica

import (
	"fmt"

	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/ingress"
	"portico/node/loop"
	"portico/node/p2p"
	"portico/node/types"
)

// deliver hands the next final block to execution, or the certification of the newest state
// to whoever waits for it.
func (r *Replica) deliver(env loop.Env) {
	if r.busy {
		return
	}
	if !r.shown {
		r.show(env)
		return
	}
	h := r.progress.Executed + 1
	block, tape := r.pool.Finalized(h), r.pool.Aggregate(artifact.Tape, h)
	if block == nil || tape == nil || block.Summary && r.checkpointing {
		return
	}
	b := &Batch{Height: h, Time: block.Context.Time, Randomness: consensus.Randomness(tape), Calls: block.Calls, Queries: block.Queries, Checkpoint: block.Summary}
	b.Maker, b.Failed = r.makers(block)
	r.observe(Observation{What: Began, Height: h, Hash: block.Hash(), Block: block})
	r.busy = true
	states := r.cfg.States
	env.Go(func() loop.Event {
		state, err := states.Execute(b)
		return executed{state, err}
	})
}

// makers are the maker of a block, and those of better rank.
func (r *Replica) makers(b *consensus.Block) (maker types.NodeID, failed []types.NodeID) {
	members := r.cfg.Records.Subnet.Members
	ranked := consensus.Makers(len(members), r.pool.Aggregate(artifact.Beacon, b.Height-1))
	for _, m := range ranked[:b.Rank] {
		failed = append(failed, members[m])
	}
	return members[ranked[b.Rank]], failed
}

// show shows the newest state to users once it is certified. A certification of another
// root means that this node computed something else than a quorum of the others.
func (r *Replica) show(env loop.Env) {
	h := r.progress.Executed
	c := r.pool.Aggregate(artifact.Certification, h)
	// Users must not see what this node's own share is part of before that share is durable.
	if c == nil || !r.dirty.Empty() {
		return
	}
	if c.Hash != r.progress.Root {
		r.stop(env, fmt.Errorf("height %d: this node's state has root hash %x, but the subnet certified %x: it stops before it serves a wrong state", h, r.progress.Root, c.Hash))
		return
	}
	r.busy = true
	states := r.cfg.States
	env.Go(func() loop.Event {
		checkpoint, err := states.Certify(c)
		return certified{checkpoint, err}
	})
}

func (r *Replica) executed(env loop.Env, ev executed) {
	r.busy = false
	if ev.err != nil {
		r.stop(env, fmt.Errorf("height %d: executing its block: %w", r.progress.Executed+1, ev.err))
		return
	}
	r.shown = false
	r.progress.Executed, r.progress.Root = ev.state.Height, ev.state.Root
	r.progress.Backlog, r.progress.Quick = ev.state.Backlog, ev.state.Quick
	r.observe(Observation{What: Ended, Height: ev.state.Height, Hash: ev.state.Root})
}

func (r *Replica) certified(env loop.Env, ev certified) {
	r.busy = false
	h := r.progress.Executed
	if ev.err != nil {
		r.stop(env, fmt.Errorf("height %d: keeping its state: %w", h, ev.err))
		return
	}
	r.shown = true
	r.progress.Certified, r.progress.CertifiedAt = h, env.Now()
	if ev.checkpoint != nil {
		r.checkpointing = true
		env.Go(func() loop.Event {
			state, err := ev.checkpoint()
			return checkpointed{h, state, err}
		})
	}
	r.observe(Observation{What: Certified, Height: h, Hash: r.progress.Root})
	r.forgetCalls(env)
}

// checkpointed notes that a height's whole state is durable. A catch-up package that came in the
// meantime is compared with it by purge.
func (r *Replica) checkpointed(env loop.Env, ev checkpointed) {
	r.checkpointing = false
	if ev.err != nil {
		r.stop(env, fmt.Errorf("height %d: keeping its checkpoint: %w", ev.height, ev.err))
		return
	}
	r.progress.Checkpoints[ev.height] = ev.state
}

// forgetCalls drops the calls that are executed or expired.
func (r *Replica) forgetCalls(env loop.Env) {
	if r.calls.Len() == 0 {
		return
	}
	now := env.Now()
	gone := r.calls.Remove(func(c *ingress.Call) bool {
		return c.Expiry() < now || r.cfg.States.Known(c.RequestID())
	})
	if len(gone) > 0 {
		r.broadcast.Withdraw(env, p2p.Ingress, func(id artifact.ID) bool { return r.calls.Get(id) != nil })
	}
}

// What is kept so that peers who were away can catch up, besides what is newer than the
// newest catch-up package: the interval before it, and some heights more.
const keptHeights = 50

// keepFrom is the height from which a node that has a catch-up package keeps everything.
func (r *Replica) keepFrom(c *consensus.CatchUp) types.Height {
	return c.Block.Height - min(c.Block.Height, r.cfg.Records.Subnet.Interval+keptHeights)
}

// shareHeights is how often shares of no further use are dropped.
const shareHeights = 10

// purge drops what nobody needs any more.
func (r *Replica) purge(env loop.Env) {
	var purges []artifact.Purge
	if final := min(r.pool.FinalizedHeight(), r.progress.Executed); final >= r.purged+shareHeights {
		r.purged = final
		for _, k := range [...]artifact.Kind{
			artifact.BeaconShare, artifact.NotarizationShare, artifact.FinalizationShare, artifact.TapeShare,
			artifact.CertificationShare, artifact.Equivocation,
		} {
			purges = append(purges, artifact.Purge{Kind: k, Below: final})
		}
	}
	if c := r.pool.CatchUp(); c != nil && c.Block.Height <= r.progress.Certified {
		if own, ok := r.progress.Checkpoints[c.Block.Height]; ok && own != c.State {
			r.stop(env, fmt.Errorf("height %d: this node's checkpoint has hash %x, but the subnet's catch-up package has %x", c.Block.Height, own, c.State))
			return
		}
		for h := range r.progress.Checkpoints {
			if h <= c.Block.Height {
				delete(r.progress.Checkpoints, h)
			}
		}
		if keep := r.keepFrom(c); keep > r.kept {
			r.kept = keep
			for k := artifact.Proposal; k < artifact.Ingress; k++ {
				below := keep
				if k == artifact.CatchUp || k == artifact.CatchUpShare {
					below = c.Block.Height
				}
				purges = append(purges, artifact.Purge{Kind: k, Below: below})
			}
			r.blocks.purge(keep)
		}
	}
	if len(purges) == 0 {
		return
	}
	r.pool.Purge(purges)
	r.dirty.Purge = append(r.dirty.Purge, purges...)
	r.broadcast.Withdraw(env, p2p.Consensus, r.pool.Has)
}
