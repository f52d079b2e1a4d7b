package p2p

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"portico/node/artifact"
	"portico/node/loop"
	"portico/node/types"
)

// slot is what a slot of this node holds at its latest commit.
type slot struct {
	commit  uint64
	live    bool
	id      artifact.ID
	encoded []byte // what is pushed; nil if the id is only advertised
}

// outbox is what one peer knows of this node's slots in a stream.
type outbox struct {
	told        []told   // by slot
	queue       []uint32 // slots to be sent; each at most once
	flight      []flight // sent, oldest first; with entries that have landed since
	flying      int      // entries of flight that have not
	flyingBytes int
	trip        time.Duration // smoothed, from the first sending to the acknowledgement
	backoff     time.Duration
}

// told is what was sent of one slot.
type told struct {
	sent, acked uint64 // commits; 0 = none
	first       types.Time
	bytes       int
	queued      bool
	flying      bool // sent is under way
}

type flight struct {
	slot   uint32
	commit uint64
	at     types.Time
}

// Publish makes an artifact live: it occupies a slot until it is withdrawn, and
// every peer is told of it. Encoded, which must not be empty nor change, is
// what travels. What is live already is not published again. False says that all slots
// are taken and nobody hears of the artifact.
func (b *Broadcast) Publish(env loop.Env, s Stream, id artifact.ID, encoded []byte) bool {
	st := &b.streams[s]
	if _, ok := st.live[id]; ok {
		return true
	}
	if len(encoded) == 0 || len(encoded) > MaxArtifactBytes {
		env.Stop(fmt.Errorf("p2p: %s has %d bytes: 1 to %d can be published", id, len(encoded), MaxArtifactBytes))
		return false
	}
	var n uint32
	switch last := len(st.free) - 1; {
	case last >= 0:
		n, st.free = st.free[last], st.free[:last]
	case len(st.slots) < b.cfg.Limits.Slots[s]:
		n = uint32(len(st.slots))
		st.slots = append(st.slots, slot{})
	default:
		return false
	}
	st.live[id] = n
	content := slot{live: true, id: id}
	// Only the first to publish pushes: with n nodes that relay, everybody would be sent n
	// copies. Whoever the first does not reach fetches from those that only advertise.
	small := len(encoded) <= b.cfg.Limits.PushBytes || (len(encoded) <= b.cfg.Limits.UrgentBytes && b.cfg.Urgent(id.Kind))
	if ad := st.adverts[id]; small && (ad == nil || !ad.advertised()) {
		content.encoded = encoded
	}
	b.commit(env, st, n, content)
	return true
}

// Withdraw frees the slots of what is live and not kept: it is neither sent nor repeated from
// now on, and peers that know of it hear that the slot is free.
func (b *Broadcast) Withdraw(env loop.Env, s Stream, keep func(artifact.ID) bool) {
	st := &b.streams[s]
	for n := range st.slots {
		if sl := &st.slots[n]; sl.live && !keep(sl.id) {
			delete(st.live, sl.id)
			st.free = append(st.free, uint32(n))
			b.commit(env, st, uint32(n), slot{})
		}
	}
}

// commit gives a slot its next content and has every peer told.
func (b *Broadcast) commit(env loop.Env, st *stream, n uint32, content slot) {
	st.commit++
	content.commit = st.commit
	st.slots[n] = content
	for _, p := range b.peers {
		p.links[st.number].enqueue(n)
	}
	b.flushSoon(env)
}

// restart has everything told again to a peer that has lost its tables, oldest first. It may
// have heard of some slots since, in frames that were under way: those that are free are also told.
func (o *outbox) restart(st *stream) {
	before := o.told
	*o = outbox{backoff: minBackoff}
	for n := range st.slots {
		if heard := n < len(before) && before[n].sent > 0; heard || st.slots[n].live {
			o.enqueue(uint32(n))
			if heard {
				o.told[n].sent = before[n].sent
			}
		}
	}
	slices.SortFunc(o.queue, func(m, n uint32) int { return cmp.Compare(st.slots[m].commit, st.slots[n].commit) })
}

// enqueue has the slot's content sent; an earlier one under way no longer counts.
func (o *outbox) enqueue(n uint32) {
	for int(n) >= len(o.told) {
		o.told = append(o.told, told{})
	}
	t := &o.told[n]
	o.land(t)
	t.first = 0
	if !t.queued {
		t.queued = true
		o.queue = append(o.queue, n)
	}
}

func (o *outbox) land(t *told) {
	if t.flying {
		t.flying = false
		o.flying--
		o.flyingBytes -= t.bytes
	}
}

// acknowledged notes that the peer has a slot's commit in its table.
func (o *outbox) acknowledged(a ack, now types.Time) {
	if int(a.slot) >= len(o.told) {
		return
	}
	t := &o.told[a.slot]
	if a.commit > t.sent || a.commit <= t.acked {
		return
	}
	t.acked = a.commit
	if t.flying && a.commit == t.sent {
		o.land(t)
		// Repetitions are due after two trips: with less, peers far away would be
		// sent everything twice. A trip that needed them says little.
		trip := min(now.Sub(t.first), 2*minBackoff)
		o.trip += (trip - o.trip) / 8
	}
	o.backoff = o.base()
	o.trim()
}

func (o *outbox) base() time.Duration { return max(minBackoff, 2*o.trip) }

// landed reports whether an entry of flight needs no acknowledgement any more.
func (o *outbox) landed(f flight) bool {
	t := &o.told[f.slot]
	return !t.flying || t.sent != f.commit
}

// trim drops landed entries at the front, and everywhere once most have landed.
func (o *outbox) trim() {
	n := 0
	for n < len(o.flight) && o.landed(o.flight[n]) {
		n++
	}
	o.flight = o.flight[n:]
	if len(o.flight) > 2*o.flying+64 {
		o.flight = slices.DeleteFunc(o.flight, o.landed)
	}
}

// expire queues again what was not acknowledged in time; each time doubles the pause.
func (o *outbox) expire(now types.Time) (repeated int) {
	o.trim()
	pause := o.backoff
	for len(o.flight) > 0 && now.Sub(o.flight[0].at) >= pause {
		o.repeat(o.flight[0].slot)
		repeated++
		o.trim()
	}
	if repeated > 0 {
		o.backoff = min(2*pause, maxBackoff)
	}
	return repeated
}

// repeatAll queues again whatever is under way, and makes pauses short.
func (o *outbox) repeatAll() {
	o.backoff = o.base()
	for _, f := range o.flight {
		if !o.landed(f) {
			o.repeat(f.slot)
		}
	}
	o.flight = nil
}

func (o *outbox) repeat(n uint32) {
	first := o.told[n].first
	o.enqueue(n)
	o.told[n].first = first
}

// next takes the next update off the queue that the peer must hear of, as long as the
// window is open and room bytes suffice for it; an update larger than a batch needs an empty frame.
func (b *Broadcast) next(p *peer, st *stream, now types.Time, room int, alone bool) (update, bool) {
	o := &p.links[st.number].outbox
	for len(o.queue) > 0 {
		n := o.queue[0]
		sl, t := &st.slots[n], &o.told[n]
		if t.acked == sl.commit || (!sl.live && t.sent == 0) {
			o.queue, t.queued = o.queue[1:], false
			continue
		}
		u := update{slot: n, commit: sl.commit, id: sl.id}
		// A peer that has published it in the meantime needs no copy.
		if sl.encoded != nil && !st.advertisedBy(sl.id, p) {
			u.encoded = sl.encoded
		}
		size := itemOverhead + len(u.encoded)
		if (size > room && !alone) || o.flying >= b.cfg.Limits.WindowItems ||
			(o.flying > 0 && o.flyingBytes+size > b.cfg.Limits.WindowBytes) {
			return update{}, false
		}
		o.queue, t.queued = o.queue[1:], false
		t.sent, t.bytes, t.flying = sl.commit, size, true
		if t.first == 0 {
			t.first = now
		}
		o.flying++
		o.flyingBytes += size
		o.flight = append(o.flight, flight{n, sl.commit, now})
		return u, true
	}
	return update{}, false
}

// transmit sends a peer what it is to hear of a stream, in as few frames as it fits.
func (b *Broadcast) transmit(env loop.Env, p *peer, s Stream) {
	l, st, now := &p.links[s], &b.streams[s], env.Now()
	p.stats.Repeated += uint64(l.expire(now))
	must := l.ackAt != 0 && l.ackAt <= now
	if s == Consensus && !p.greeted && p.helloAt <= now {
		must = true
		p.helloAt, p.helloWait = now.Add(p.helloWait), min(2*p.helloWait, maxBackoff)
	}
	for {
		f := &frame{stream: s}
		room := batchBytes - len(l.acks)*ackBytes
		for len(f.updates) < maxItems {
			u, ok := b.next(p, st, now, room, len(f.updates)+len(l.acks) == 0)
			if !ok {
				break
			}
			room -= itemOverhead + len(u.encoded)
			f.updates = append(f.updates, u)
		}
		wants := min(len(l.asking), maxItems, max(room, 0)/itemOverhead)
		f.wants, l.asking = l.asking[:wants], l.asking[wants:]
		// Acknowledgements wait for company, but not if they are in the way of a large artifact.
		if f.empty() && !must && (len(l.acks) == 0 || len(l.queue) == 0) {
			return
		}
		f.acks = l.acks
		must, l.ackAt = false, 0
		b.send(env, p, loop.Channel(s), f)
		l.acks = l.acks[:0]
	}
}

func (b *Broadcast) send(env loop.Env, p *peer, ch loop.Channel, f *frame) {
	f.life, f.yours, f.hello = p.ourLife(env), p.theirs, !p.greeted
	size := frameOverhead + ackBytes*len(f.acks) + itemOverhead*(len(f.updates)+len(f.wants)+len(f.answers))
	for i := range f.updates {
		size += len(f.updates[i].encoded)
	}
	for i := range f.answers {
		size += len(f.answers[i].encoded)
	}
	encoded := f.append(make([]byte, 0, size))
	p.stats.FramesOut++
	p.stats.BytesOut += uint64(len(encoded))
	env.Send(p.node, ch, encoded)
}

// answerBy has a frame leave by at, whatever there is to say.
func (l *link) answerBy(at types.Time) { l.ackAt = earliest(l.ackAt, at) }
