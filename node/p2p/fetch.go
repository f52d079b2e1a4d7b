package p2p

import (
	"crypto/sha256"
	"slices"

	"portico/node/artifact"
	"portico/node/loop"
	"portico/node/types"
)

// maxLate bounds how far down in the order of holders silence pushes a peer.
const maxLate = 8

// bulkBytes is the size from which answers leave the stream's channel.
const bulkBytes = 64 * types.KiB

// Fetch asks for an artifact whatever the client's Interest in it, such as an ingress
// message that a block lacks: the nodes of from and all others that advertise it, one
// after the other and again, until it is received or CancelFetch. False says that
// Limits.Fetches are under way.
func (b *Broadcast) Fetch(env loop.Env, s Stream, id artifact.ID, from []types.NodeID) bool {
	st := &b.streams[s]
	if ad := st.adverts[id]; (ad == nil || !ad.outright) && st.fetches >= b.cfg.Limits.Fetches {
		return false
	}
	ad := st.advert(id)
	if !ad.outright {
		ad.outright = true
		st.fetches++
	}
	ad.wanted = true
	for _, node := range from {
		if p := b.byNode[node]; p != nil {
			_, h := st.hold(id, p)
			h.named = true
		}
	}
	b.pursue(env, ad)
	b.flushSoon(env)
	return true
}

// CancelFetch ends what Fetch began; the artifact may still be fetched because the
// client is interested.
func (b *Broadcast) CancelFetch(env loop.Env, s Stream, id artifact.ID) {
	if ad := b.streams[s].adverts[id]; ad != nil && ad.outright {
		ad.outright = false
		ad.wanted = b.wants(ad)
		if !ad.wanted {
			b.abort(env, ad)
		}
		b.endOutright(env, ad)
		b.flushSoon(env)
	}
}

// endOutright forgets the holders that only Fetch has named.
func (b *Broadcast) endOutright(env loop.Env, ad *advert) {
	ad.stream.fetches--
	for _, h := range slices.Clone(ad.holders) {
		ad.holder(h.peer).named = false
		if h.slots == 0 {
			b.removeHolder(env, ad, h.peer)
		}
	}
	b.dropIfIdle(env, ad)
}

// pursue asks the best holder for a wanted artifact, or queues it where there is no
// room, or parks it when all were asked. Without a connected holder it does nothing:
// a connection, a new holder or Refresh brings it back.
func (b *Broadcast) pursue(env loop.Env, ad *advert) {
	if ad.from != nil {
		return
	}
	now := env.Now()
	var best *holder
	connected, full := false, false
	// The first look is at a holder that differs between artifacts, so that equals share the load.
	for i := range ad.holders {
		h := &ad.holders[(i+int(ad.id.Hash[0]))%len(ad.holders)]
		connected = connected || h.peer.connected
		if h.tried || !h.peer.connected || !h.peer.credit.has(now) {
			continue
		}
		if !b.room(h.peer) {
			full = true
		} else if best == nil || h.peer.before(best.peer) {
			best = h
		}
	}
	switch {
	case best != nil:
		b.ask(env, best, ad)
	case full:
		for i := range ad.holders {
			h := &ad.holders[i]
			if !h.tried && !h.queued && h.peer.connected && h.peer.credit.has(now) {
				h.queued = true
				h.peer.waiting = append(h.peer.waiting, ad)
			}
		}
	case connected && !ad.parked:
		ad.parked, ad.parkedUntil = true, now.Add(retryDelay)
		ad.stream.parked = append(ad.stream.parked, ad)
	}
}

// before reports whether p is the better one to ask: one that answers, then one with less to do.
func (p *peer) before(q *peer) bool {
	if p.late != q.late {
		return p.late < q.late
	}
	return len(p.outstanding) < len(q.outstanding)
}

// room reports whether the peer may be asked for more: a silent one only now and then.
func (b *Broadcast) room(p *peer) bool {
	return len(p.outstanding) < max(b.cfg.Limits.Parallel>>p.late, 1)
}

func (b *Broadcast) ask(env loop.Env, h *holder, ad *advert) {
	h.tried = true
	p := h.peer
	ad.from, ad.due = p, env.Now().Add(b.cfg.Limits.FetchWait[ad.stream.number])
	p.outstanding = append(p.outstanding, ad)
	l := &p.links[ad.stream.number]
	l.asking = append(l.asking, ad.id)
	p.stats.Asked++
	b.flushSoon(env)
}

// abort ends the fetch that is under way, if any, whose place another may take.
func (b *Broadcast) abort(env loop.Env, ad *advert) {
	p := ad.from
	if p == nil {
		return
	}
	ad.from = nil
	p.outstanding = slices.DeleteFunc(p.outstanding, func(o *advert) bool { return o == ad })
	b.pump(env, p)
}

// pump fills the room at a peer from those that wait for it.
func (b *Broadcast) pump(env loop.Env, p *peer) {
	if !p.connected || !p.credit.has(env.Now()) {
		return
	}
	for b.room(p) && len(p.waiting) > 0 {
		ad := p.waiting[0]
		p.waiting = p.waiting[1:]
		h := ad.holder(p)
		if h == nil || !h.queued {
			p.gone--
			continue
		}
		h.queued = false
		if ad.from != nil || h.tried || !ad.wanted {
			continue
		}
		if ad.wanted = b.wants(ad); ad.wanted {
			b.ask(env, h, ad)
		}
	}
}

// compactWaiting keeps the entries of waiting that have lost their meaning fewer than the others.
func (p *peer) compactWaiting() {
	if p.gone <= 64 || p.gone <= len(p.waiting)/2 {
		return
	}
	p.gone = 0
	// A holder that went and came back has several entries: the first one clears the
	// mark, so that the others go.
	p.waiting = slices.DeleteFunc(p.waiting, func(ad *advert) bool {
		h := ad.holder(p)
		if h == nil || !h.queued {
			return true
		}
		h.queued = false
		return false
	})
	for _, ad := range p.waiting {
		ad.holder(p).queued = true
	}
}

// overdue moves on from a peer that has not answered in time.
func (b *Broadcast) overdue(env loop.Env, p *peer) {
	now := env.Now()
	late := func(ad *advert) bool { return ad.due <= now }
	for i := slices.IndexFunc(p.outstanding, late); i >= 0; i = slices.IndexFunc(p.outstanding, late) {
		ad := p.outstanding[i]
		p.late = min(p.late+1, maxLate)
		p.stats.Late++
		b.abort(env, ad)
		b.pursue(env, ad)
	}
}

// unpark tries the parked again whose time has come, from all holders.
func (b *Broadcast) unpark(env loop.Env, st *stream) {
	for now := env.Now(); len(st.parked) > 0 && st.parked[0].parkedUntil <= now; {
		ad := st.parked[0]
		st.parked = st.parked[1:]
		ad.parked = false
		if ad.dropped {
			continue
		}
		for i := range ad.holders {
			ad.holders[i].tried = false
		}
		if ad.wanted = b.wants(ad); ad.wanted {
			b.pursue(env, ad)
		}
	}
}

// resume looks for holders of everything that is wanted and not under way.
func (b *Broadcast) resume(env loop.Env) {
	for s := range b.streams {
		for _, ad := range b.streams[s].order {
			if ad.wanted {
				b.pursue(env, ad)
			}
		}
	}
}

// abandon gives what a disconnected peer was or would have been asked to others.
func (b *Broadcast) abandon(env loop.Env, p *peer) {
	again := slices.Concat(p.outstanding, p.waiting)
	for _, ad := range again {
		if h := ad.holder(p); h != nil {
			h.queued, h.tried = false, false
		}
		if ad.from == p {
			ad.from = nil
		}
	}
	p.outstanding, p.waiting, p.gone = nil, nil, 0
	for s := range p.links {
		p.links[s].asking = nil
	}
	for _, ad := range again {
		if ad.wanted && !ad.dropped {
			b.pursue(env, ad)
		}
	}
}

// forgetNamed takes a former peer out of what Fetch asks for.
func (b *Broadcast) forgetNamed(env loop.Env, p *peer) {
	for s := range b.streams {
		for _, ad := range slices.Clone(b.streams[s].order) {
			if h := ad.holder(p); h != nil {
				b.removeHolder(env, ad, p)
			}
		}
	}
}

// answered handles what a peer says to a fetch.
func (b *Broadcast) answered(env loop.Env, p *peer, s Stream, a *answer) {
	ad := b.streams[s].adverts[a.id]
	if ad == nil {
		return // withdrawn in the meantime
	}
	if ad.holder(p) == nil {
		return
	}
	if ad.from == p {
		p.late = 0
	}
	if len(a.encoded) > 0 {
		// A late answer is as good as any other, and one that nobody asked for as a push.
		if ad.wanted = b.wants(ad); ad.wanted {
			b.accept(env, p, ad, a.encoded)
		} else {
			b.abort(env, ad)
		}
		return
	}
	if ad.from == p {
		b.abort(env, ad)
		b.pursue(env, ad)
	}
}

// accept hands an artifact that arrived to the client, or punishes who sent what
// its id does not name.
func (b *Broadcast) accept(env loop.Env, p *peer, ad *advert, encoded []byte) {
	if b.cfg.Hashed(ad.id.Kind) && sha256.Sum256(encoded) != ad.id.Hash {
		b.offend(env.Now(), p)
		ad.holder(p).tried = true
		if ad.from == p {
			b.abort(env, ad)
		}
		b.pursue(env, ad)
		return
	}
	p.stats.Received++
	ad.wanted = false
	b.abort(env, ad)
	if ad.outright {
		ad.outright = false
		b.endOutright(env, ad)
	}
	// A copy: the bytes lie in a frame, and a small artifact would keep a large one in memory.
	ad.stream.client.Received(p.node, ad.id, slices.Clone(encoded))
}

// serve answers a peer's fetches as far as its buckets go.
func (b *Broadcast) serve(env loop.Env, p *peer, s Stream, ids []artifact.ID) {
	now := env.Now()
	small := &frame{stream: s}
	room := batchBytes
	for _, id := range ids {
		if !p.servedItems.has(now) || !p.servedBytes.has(now) {
			p.stats.Refused++
			continue
		}
		a := answer{id, b.streams[s].content(id)}
		p.servedItems.charge(now, 1)
		p.servedBytes.charge(now, int64(len(a.encoded)))
		p.stats.Served++
		if len(a.encoded) >= bulkBytes {
			b.send(env, p, loop.Bulk, &frame{stream: s, answers: []answer{a}})
			continue
		}
		small.answers = append(small.answers, a)
		if room -= itemOverhead + len(a.encoded); room < 0 {
			b.send(env, p, loop.Channel(s), small)
			small, room = &frame{stream: s}, batchBytes
		}
	}
	if len(small.answers) > 0 {
		b.send(env, p, loop.Channel(s), small)
	}
}

// content is what serves a fetch: the bytes that were pushed, or the client's.
func (st *stream) content(id artifact.ID) []byte {
	if n, ok := st.live[id]; ok && st.slots[n].encoded != nil {
		return st.slots[n].encoded
	}
	return st.client.Get(id)
}
