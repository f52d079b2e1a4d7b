package state

import (
	"maps"
	"slices"
	"time"

	"portico/lightclient/principal"
	"portico/node/types"
)

// IngressStatus is how far an ingress message has come.
type IngressStatus uint8

// The statuses (interface specification, "Request status").
const (
	Received IngressStatus = iota + 1
	Processing
	Replied
	Rejected
	Done // the answer was forgotten to save space
)

// String is the status as the state tree has it.
func (s IngressStatus) String() string {
	return [...]string{Received: "received", Processing: "processing", Replied: "replied", Rejected: "rejected", Done: "done"}[s]
}

// Terminal reports whether the message's fate is decided.
func (s IngressStatus) Terminal() bool { return s >= Replied }

// IngressEntry is what is known of an ingress message.
type IngressEntry struct {
	Status IngressStatus
	Sender principal.ID
	// Receiver is the canister that was called, Effective the one that it concerns:
	// they differ for calls to the management canister.
	Receiver, Effective principal.ID
	Reply               []byte
	Reject              *types.Reject
	Expiry              types.Time // until when the entry must be kept
}

// IngressHistory remembers every ingress message until it can no longer be
// resubmitted. It is changed in place by the round that owns the newest state.
type IngressHistory struct {
	entries map[types.RequestID]*IngressEntry
	changed map[types.RequestID]bool
	// buckets are the ids by the second in which they expire; seconds before
	// swept are empty.
	buckets map[uint64][]types.RequestID
	swept   uint64
	// bytes is the size of all answers, most what Expire leaves of them.
	bytes, most int
}

// Bounds of the history (INGRESS_HISTORY_MAX_MESSAGES and its memory).
const (
	maxIngressEntries = 600_000
	maxIngressBytes   = 4 * types.GiB
)

func newIngressHistory(now types.Time) *IngressHistory {
	return &IngressHistory{
		entries: map[types.RequestID]*IngressEntry{}, changed: map[types.RequestID]bool{},
		buckets: map[uint64][]types.RequestID{}, swept: second(now), most: maxIngressBytes,
	}
}

func second(t types.Time) uint64 { return uint64(t) / 1e9 }

// Get returns what is known of a message, or nil.
func (h *IngressHistory) Get(id types.RequestID) *IngressEntry { return h.entries[id] }

// Full reports whether no further message can be remembered.
func (h *IngressHistory) Full() bool { return len(h.entries) >= maxIngressEntries }

// IDs are the messages remembered, in order.
func (h *IngressHistory) IDs() []types.RequestID {
	return slices.SortedFunc(maps.Keys(h.entries), func(a, b types.RequestID) int { return slices.Compare(a[:], b[:]) })
}

// Len is the number of messages remembered.
func (h *IngressHistory) Len() int { return len(h.entries) }

// Begin remembers a new message.
func (h *IngressHistory) Begin(id types.RequestID, e IngressEntry) {
	h.put(id, &e)
	h.schedule(id, e.Expiry)
}

// put replaces what is known of a message; nil forgets it.
func (h *IngressHistory) put(id types.RequestID, e *IngressEntry) {
	h.bytes += e.bytes() - h.entries[id].bytes()
	h.changed[id] = true
	if e == nil {
		delete(h.entries, id)
	} else {
		h.entries[id] = e
	}
}

// bytes is the size of the answer.
func (e *IngressEntry) bytes() int {
	switch {
	case e == nil:
		return 0
	case e.Reject != nil:
		return len(e.Reject.Message)
	default:
		return len(e.Reply)
	}
}

func (h *IngressHistory) schedule(id types.RequestID, expiry types.Time) {
	at := max(second(expiry), h.swept)
	h.buckets[at] = append(h.buckets[at], id)
}

// Set moves a message to a further status; a decided one stays as it is.
func (h *IngressHistory) Set(id types.RequestID, status IngressStatus, reply []byte, reject *types.Reject) {
	old := h.entries[id]
	if old == nil || old.Status.Terminal() {
		return
	}
	e := *old
	e.Status, e.Reply, e.Reject = status, reply, reject
	h.put(id, &e)
}

// undecidedRecheck is how much longer a message whose call still runs is kept.
const undecidedRecheck = time.Minute

// Expire forgets the decided messages whose expiry is past. Those whose calls still
// run are kept and looked at again a minute later. If the answers are too large together,
// those that expire first are forgotten and their messages are only known to be done.
func (h *IngressHistory) Expire(now types.Time) {
	for ; h.swept < second(now); h.swept++ {
		ids := h.buckets[h.swept]
		delete(h.buckets, h.swept)
		for _, id := range ids {
			if h.entries[id].Status.Terminal() {
				h.put(id, nil)
				continue
			}
			e := *h.entries[id]
			e.Expiry = now.Add(undecidedRecheck)
			h.entries[id] = &e
			at := second(e.Expiry)
			h.buckets[at] = append(h.buckets[at], id)
		}
	}
	if h.bytes > h.most {
		h.shrink()
	}
}

// shrink forgets answers until the rest is small enough.
func (h *IngressHistory) shrink() {
	for _, at := range slices.Sorted(maps.Keys(h.buckets)) {
		ids := slices.SortedFunc(slices.Values(h.buckets[at]), func(a, b types.RequestID) int { return slices.Compare(a[:], b[:]) })
		for _, id := range ids {
			if h.bytes <= h.most {
				return
			}
			if old := h.entries[id]; old.bytes() > 0 {
				e := *old
				e.Status, e.Reply, e.Reject = Done, nil, nil
				h.put(id, &e)
			}
		}
	}
}

// TakeChanged returns the messages whose entries changed since it was last called.
func (h *IngressHistory) TakeChanged() []types.RequestID {
	out := slices.SortedFunc(maps.Keys(h.changed), func(a, b types.RequestID) int { return slices.Compare(a[:], b[:]) })
	clear(h.changed)
	return out
}
