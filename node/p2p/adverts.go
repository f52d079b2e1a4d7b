package p2p

import (
	"slices"

	"portico/node/artifact"
	"portico/node/loop"
	"portico/node/types"
)

// heard is an entry of a peer's slot table.
type heard struct {
	commit uint64
	advert *advert // nil if the slot is free
}

// advert is an artifact that peers hold or that was asked for outright, until neither
// is the case.
type advert struct {
	id       artifact.ID
	stream   *stream
	position int // in stream.order
	holders  []holder
	outright bool // Fetch asked for it
	wanted   bool // the client's interest when it was last asked, or outright
	dropped  bool

	from *peer // who was asked
	due  types.Time

	parked      bool // all holders were asked in vain
	parkedUntil types.Time
}

// holder is a peer that may have the artifact.
type holder struct {
	peer   *peer
	slots  int  // that advertise it
	named  bool // by Fetch
	tried  bool // asked already
	queued bool // in peer.waiting
}

func (ad *advert) holder(p *peer) *holder {
	for i := range ad.holders {
		if ad.holders[i].peer == p {
			return &ad.holders[i]
		}
	}
	return nil
}

// hold returns the id's advert with p among its holders.
func (st *stream) hold(id artifact.ID, p *peer) (*advert, *holder) {
	ad := st.advert(id)
	if ad.holder(p) == nil {
		ad.holders = append(ad.holders, holder{peer: p})
	}
	return ad, ad.holder(p)
}

// advert returns the id's advert, a new one if there is none.
func (st *stream) advert(id artifact.ID) *advert {
	ad := st.adverts[id]
	if ad == nil {
		ad = &advert{id: id, stream: st, position: len(st.order)}
		st.adverts[id] = ad
		st.order = append(st.order, ad)
	}
	return ad
}

// advertised reports whether any peer holds the artifact in one of its slots.
func (ad *advert) advertised() bool {
	return slices.ContainsFunc(ad.holders, func(h holder) bool { return h.slots > 0 })
}

// advertisedBy reports whether p holds the artifact in one of its slots.
func (st *stream) advertisedBy(id artifact.ID, p *peer) bool {
	ad := st.adverts[id]
	if ad == nil {
		return false
	}
	h := ad.holder(p)
	return h != nil && h.slots > 0
}

// hear handles an update of one of the peer's slots.
func (b *Broadcast) hear(env loop.Env, p *peer, s Stream, u *update) {
	l, st := &p.links[s], &b.streams[s]
	if int64(u.slot) >= int64(b.cfg.Limits.Slots[s]) {
		p.stats.Dropped++
		return
	}
	if n := int(u.slot) + 1; n > len(l.heard) {
		l.heard = slices.Grow(l.heard, n-len(l.heard))[:n]
	}
	h := &l.heard[u.slot]
	if u.commit < h.commit {
		return
	}
	// Also what is known is acknowledged: the peer repeats it because it has not heard so.
	if len(l.acks) < maxItems {
		l.acks = append(l.acks, ack{u.slot, u.commit})
		l.answerBy(env.Now().Add(ackDelay))
	}
	if u.commit == h.commit {
		return
	}
	before := h.advert
	h.commit, h.advert = u.commit, nil
	if u.id.Kind != 0 {
		ad, hold := st.hold(u.id, p)
		hold.slots++
		h.advert = ad
	}
	if before != nil {
		b.release(env, p, before)
	}
	if ad := h.advert; ad != nil {
		b.offered(env, p, ad, u.encoded)
	}
}

// offered decides what to do about an advert that has a new holder.
func (b *Broadcast) offered(env loop.Env, p *peer, ad *advert, encoded []byte) {
	if ad.wanted = b.wants(ad); !ad.wanted {
		b.abort(env, ad)
		return
	}
	if len(encoded) > 0 {
		b.accept(env, p, ad, encoded)
		return
	}
	if ad.from != nil && p.late < ad.from.late {
		b.abort(env, ad) // better one that answers than waiting for one that has not of late
	}
	b.pursue(env, ad)
}

func (b *Broadcast) wants(ad *advert) bool {
	return ad.outright || ad.stream.client.Interest(ad.id) == Wanted
}

// release takes one slot's claim from an advert: without holders it is dropped.
func (b *Broadcast) release(env loop.Env, p *peer, ad *advert) {
	h := ad.holder(p)
	h.slots--
	if h.slots == 0 && !h.named {
		b.removeHolder(env, ad, p)
	}
}

func (b *Broadcast) removeHolder(env loop.Env, ad *advert, p *peer) {
	if ad.holder(p).queued {
		p.gone++
		defer p.compactWaiting()
	}
	ad.holders = slices.DeleteFunc(ad.holders, func(h holder) bool { return h.peer == p })
	if ad.from == p {
		b.abort(env, ad)
		if ad.wanted {
			b.pursue(env, ad)
		}
	}
	b.dropIfIdle(env, ad)
}

// dropIfIdle forgets an advert that nobody holds and nobody asked for.
func (b *Broadcast) dropIfIdle(env loop.Env, ad *advert) {
	if len(ad.holders) > 0 || ad.outright || ad.dropped {
		return
	}
	ad.wanted, ad.dropped = false, true
	b.abort(env, ad)
	st := ad.stream
	delete(st.adverts, ad.id)
	last := st.order[len(st.order)-1]
	st.order[ad.position], last.position = last, ad.position
	st.order[len(st.order)-1] = nil
	st.order = st.order[:len(st.order)-1]
}

// forgetSlots empties the tables of what the peer holds.
func (b *Broadcast) forgetSlots(env loop.Env, p *peer) {
	// Nothing is asked of the peer while its tables are half empty.
	connected := p.connected
	p.connected = false
	b.abandon(env, p)
	for s := range p.links {
		l := &p.links[s]
		for n := range l.heard {
			if ad := l.heard[n].advert; ad != nil {
				b.release(env, p, ad)
			}
		}
		l.heard, l.acks = nil, nil
	}
	p.connected = connected
}

// Refresh asks the clients again about everything that peers hold: an artifact that was for
// Later may be Wanted now, and what is fetched may have become Unwanted. It costs an
// Interest for every distinct artifact that the peers hold.
func (b *Broadcast) Refresh(env loop.Env) {
	for s := range b.streams {
		var wanted []*advert
		for _, ad := range b.streams[s].order {
			if ad.wanted = b.wants(ad); !ad.wanted {
				b.abort(env, ad)
			} else if ad.from == nil {
				wanted = append(wanted, ad)
			}
		}
		slices.SortFunc(wanted, func(x, y *advert) int { return x.id.Compare(y.id) })
		for _, ad := range wanted {
			b.pursue(env, ad)
		}
	}
	b.flushSoon(env)
}
