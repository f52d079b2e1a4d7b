package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"portico/identity/history"
	"portico/identity/stable"
	"portico/lightclient/candid/marshal"
)

// Regions of stable memory, and what it is.
const (
	magic         = "portico archive "
	formatVersion = 1

	slotRegion   stable.Region = 1 // a slot for each entry
	dataRegion   stable.Region = 2 // the entries
	bucketRegion stable.Region = 3
	blockRegion  stable.Region = 4
)

// Kinds of names in the index.
const (
	firstName = 'f' // of an anchor: its first entry
	lastName  = 'l' // of an anchor: its last entry
)

const (
	slotBytes = 32
	// maxEntry is far more than an entry has.
	maxEntry = 64 << 10
	// maxAnswer is how many bytes of entries an answer has, roughly: below what a response
	// may have.
	maxAnswer = 1 << 20
)

// log is the entries, in the order in which they came. Those of an anchor are a list: each
// knows the next one.
type log struct {
	regions *stable.Regions
	blocks  stable.Blocks
	index   stable.Index

	length   uint64 // entries
	end      uint64 // of the data
	archived uint64 // the number that the identity canister gives the next entry
	missing  uint64 // entries that never came

	entries, buckets, handed, freed uint64 // of the index
	salt                            [stable.SecretBytes]byte
}

// slot is where an entry is and what it is found by.
type slot struct {
	offset, anchor, timestamp uint64
	size                      uint32
	next                      uint32 // of the same anchor, plus one; zero for none
	number                    uint64
}

// following and ofAnchor are the entry after one, in the log and of the same anchor. The
// length of every log is below none.
func (s *slot) following() uint64 { return s.number + 1 }

func (s *slot) ofAnchor() uint64 {
	if s.next == 0 {
		return none
	}
	return uint64(s.next) - 1
}

// none is no entry.
const none = 1 << 63

// makeLog is a log without its counters. Names are hashed without a secret: they are the
// numbers of anchors, which nobody chooses.
func makeLog(m stable.Medium) *log {
	l := &log{regions: stable.New(m), buckets: stable.FirstBuckets}
	l.blocks = stable.Blocks{Regions: l.regions, Region: blockRegion, Handed: &l.handed, Freed: &l.freed}
	l.index = stable.Index{Regions: l.regions, Region: bucketRegion, Blocks: &l.blocks, Entries: &l.entries, Buckets: &l.buckets, Salt: &l.salt}
	return l
}

// newLog makes a log in memory that was empty.
func newLog(m stable.Medium) (*log, error) {
	l := makeLog(m)
	if err := l.regions.Begin(magic, formatVersion); err != nil {
		return nil, err
	}
	return l, l.regions.SetCounters(l.counters())
}

// openLog opens the log that an earlier version of the code left.
func openLog(m stable.Medium) (*log, error) {
	l := makeLog(m)
	if err := l.regions.Open(magic, formatVersion); err != nil {
		return nil, err
	}
	return l, l.regions.Counters(l.counters())
}

func (l *log) counters() []*uint64 {
	return []*uint64{&l.length, &l.end, &l.archived, &l.entries, &l.buckets, &l.handed, &l.freed, &l.missing}
}

// add keeps a batch, of which it may have a part already: an acknowledgement got lost.
// Entries that the identity canister has forgotten and this one never had are counted.
func (l *log) add(batch []history.Buffered) error {
	for _, e := range batch {
		if e.Sequence < l.archived {
			continue
		}
		if err := l.append(e.Anchor, e.Timestamp, e.Entry); err != nil {
			return err
		}
		l.missing += e.Sequence - l.archived
		l.archived = e.Sequence + 1
	}
	return l.regions.SetCounters(l.counters())
}

func (l *log) append(anchor, timestamp uint64, entry []byte) error {
	if len(entry) > maxEntry {
		return fmt.Errorf("an entry has %d bytes, at most %d fit", len(entry), maxEntry)
	}
	at := l.end
	if left := stable.ChunkBytes - at%stable.ChunkBytes; uint64(len(entry)) > left {
		at += left
	}
	if err := l.regions.Write(dataRegion, at, entry); err != nil {
		return err
	}
	n := l.length
	if err := l.put(&slot{offset: at, anchor: anchor, timestamp: timestamp, size: uint32(len(entry)), number: n}); err != nil {
		return err
	}
	if err := l.link(anchor, n); err != nil {
		return err
	}
	l.length, l.end = n+1, at+uint64(len(entry))
	return nil
}

// link makes n the last entry of an anchor.
func (l *log) link(anchor, n uint64) error {
	key := binary.BigEndian.AppendUint64(nil, anchor)
	name := l.index.Name(lastName, key)
	last, found, err := l.index.Get(name)
	if err != nil {
		return err
	}
	if found {
		s, err := l.get(last)
		if err != nil {
			return err
		}
		s.next = uint32(n + 1)
		if err := l.put(s); err != nil {
			return err
		}
	} else if err := l.index.Put(l.index.Name(firstName, key), n); err != nil {
		return err
	}
	return l.index.Put(name, n)
}

func (l *log) put(s *slot) error {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, slotBytes), s.offset)
	b = binary.LittleEndian.AppendUint64(b, s.anchor)
	b = binary.LittleEndian.AppendUint64(b, s.timestamp)
	b = binary.LittleEndian.AppendUint32(b, s.size)
	return l.regions.Write(slotRegion, s.number*slotBytes, binary.LittleEndian.AppendUint32(b, s.next))
}

func (l *log) get(n uint64) (*slot, error) {
	var b [slotBytes]byte
	if err := l.regions.Read(slotRegion, n*slotBytes, b[:]); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	s := &slot{offset: le.Uint64(b[:]), anchor: le.Uint64(b[8:]), timestamp: le.Uint64(b[16:]), size: le.Uint32(b[24:]), next: le.Uint32(b[28:]), number: n}
	if s.size > maxEntry {
		return nil, fmt.Errorf("entry %d says it has %d bytes", n, s.size)
	}
	return s, nil
}

// from reads entries from one on, each telling which is the next. It stops after so many
// and after maxAnswer bytes, and tells where to go on; that is at least the log's length
// if there are no more. An entry that this code does not understand is nil.
func (l *log) from(first uint64, most int, next func(*slot) uint64) (out []*history.Entry, rest uint64, err error) {
	size := 0
	for rest = first; rest < l.length && len(out) < most && size < maxAnswer; {
		s, err := l.get(rest)
		if err != nil {
			return nil, 0, err
		}
		b := make([]byte, s.size)
		if err := l.regions.Read(dataRegion, s.offset, b); err != nil {
			return nil, 0, err
		}
		e := &history.Entry{}
		if marshal.Decode(b, e) != nil {
			e = nil
		}
		out, size, rest = append(out, e), size+len(b), next(s)
	}
	return out, rest, nil
}

// start is the entry of an anchor that a cursor is at, or none.
func (l *log) start(anchor uint64, c *cursor) (uint64, error) {
	key := binary.BigEndian.AppendUint64(nil, anchor)
	if c != nil && c.Next != nil {
		return l.resume(anchor, *c.Next)
	}
	n, found, err := l.index.Get(l.index.Name(firstName, key))
	if err != nil || !found {
		return none, err
	}
	if c == nil {
		return n, nil
	}
	for n != none {
		s, err := l.get(n)
		if err != nil {
			return none, err
		}
		if s.timestamp >= *c.Timestamp {
			break
		}
		n = s.ofAnchor()
	}
	return n, nil
}

// A token is the anchor and the entry that comes next.
const tokenBytes = 16

func token(anchor, n uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, anchor), n)
}

var errToken = errors.New("the token is not one that was given out for this anchor")

func (l *log) resume(anchor uint64, t []byte) (uint64, error) {
	if len(t) != tokenBytes || binary.BigEndian.Uint64(t) != anchor {
		return none, errToken
	}
	n := binary.BigEndian.Uint64(t[8:])
	if n >= l.length {
		return none, errToken
	}
	s, err := l.get(n)
	if err != nil {
		return none, err
	}
	if s.anchor != anchor {
		return none, errToken
	}
	return n, nil
}
