package main

import (
	"encoding/binary"
	"math/bits"

	"portico/node/cdk"
)

// The index finds anchors and accounts by hashed names, in stable memory. It is a
// linear hash table: it grows by one bucket at a time, so that no message pays for
// more than one bucket whatever the size. Names are hashed with the salt, which nobody
// outside knows: who chooses names cannot fill one bucket with them.
const (
	bucketBytes   = 1024
	bucketHeader  = 8
	entryBytes    = 24
	bucketEntries = (bucketBytes - bucketHeader) / entryBytes
	firstBuckets  = 16
	// entriesPerBucket is how many entries a bucket has on average before there is one more.
	entriesPerBucket = 16
)

// A name is the hash of what is looked up.
type name [16]byte

// Kinds of names.
const (
	principalName  = 'p' // of a device's key: the anchor
	credentialName = 'c' // of a device: the anchor
	accountsName   = 'a' // of an anchor at an origin: the chain of the accounts there
)

type index struct {
	r      *regions
	c      *counters
	blocks *blocks
	salt   *[saltBytes]byte
}

// name hashes what is looked up.
func (x *index) name(kind byte, parts ...[]byte) name {
	h := cdk.NewSHA256()
	h.Write(x.salt[:])
	h.Write([]byte{kind})
	for _, p := range parts {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(p))))
		h.Write(p)
	}
	return name(h.Sum(nil)[:16])
}

// bucketOf is the bucket of a name among n buckets: those at the end of the table were
// split off from others, and a name whose bucket does not exist yet is where that one
// will be split off from.
func bucketOf(k name, n uint64) uint64 {
	low := uint64(1) << (bits.Len64(n) - 1)
	h := binary.LittleEndian.Uint64(k[:])
	if i := h & (2*low - 1); i < n {
		return i
	}
	return h & (low - 1)
}

// place is a bucket, or a block that a full bucket continues in. They look the same:
// the block after it plus one, how many entries there are, and those.
type place struct {
	g   region
	off uint64
	b   [bucketBytes]byte
}

func (p *place) next() uint32       { return binary.LittleEndian.Uint32(p.b[:]) }
func (p *place) setNext(n uint32)   { binary.LittleEndian.PutUint32(p.b[:], n) }
func (p *place) count() int         { return int(binary.LittleEndian.Uint16(p.b[4:])) }
func (p *place) setCount(n int)     { binary.LittleEndian.PutUint16(p.b[4:], uint16(n)) }
func (p *place) entry(i int) []byte { return p.b[bucketHeader+i*entryBytes:][:entryBytes] }

func (p *place) find(k name) int {
	first := binary.LittleEndian.Uint64(k[:])
	for i := range min(p.count(), bucketEntries) {
		e := p.entry(i)
		if binary.LittleEndian.Uint64(e) == first && name(e[:16]) == k {
			return i
		}
	}
	return -1
}

func (x *index) load(p *place, g region, off uint64) error {
	p.g, p.off = g, off
	return x.r.read(g, off, p.b[:])
}

func (x *index) store(p *place) error {
	return x.r.write(p.g, p.off, p.b[:bucketHeader+p.count()*entryBytes])
}

// follow goes on to the block after p.
func (x *index) follow(p *place) error { return x.load(p, blockRegion, x.blocks.offset(p.next())) }

// lookUp loads the place that has k into p; i is negative if none has, and p is then
// the last of the chain.
func (x *index) lookUp(p *place, k name) (i int, err error) {
	if err := x.load(p, bucketRegion, bucketOf(k, x.c.buckets)*bucketBytes); err != nil {
		return -1, err
	}
	for {
		if i := p.find(k); i >= 0 || p.next() == 0 {
			return i, nil
		}
		if err := x.follow(p); err != nil {
			return -1, err
		}
	}
}

// get finds the value of k.
func (x *index) get(k name) (value uint64, ok bool, err error) {
	var p place
	i, err := x.lookUp(&p, k)
	if err != nil || i < 0 {
		return 0, false, err
	}
	return binary.LittleEndian.Uint64(p.entry(i)[16:]), true, nil
}

// put gives k a value.
func (x *index) put(k name, value uint64) error {
	var p place
	i, err := x.lookUp(&p, k)
	if err != nil {
		return err
	}
	if i >= 0 {
		binary.LittleEndian.PutUint64(p.entry(i)[16:], value)
		return x.store(&p)
	}
	if err := x.add(&p, k, value); err != nil {
		return err
	}
	if err := x.store(&p); err != nil {
		return err
	}
	if x.c.entries++; x.c.entries > entriesPerBucket*x.c.buckets {
		return x.split()
	}
	return nil
}

// add appends an entry to the last place of a chain, which is then to be stored.
func (x *index) add(p *place, k name, value uint64) error {
	if p.count() == bucketEntries {
		n, err := x.blocks.allocate()
		if err != nil {
			return err
		}
		p.setNext(n)
		if err := x.store(p); err != nil {
			return err
		}
		*p = place{g: blockRegion, off: x.blocks.offset(n)}
	}
	e := p.entry(p.count())
	copy(e, k[:])
	binary.LittleEndian.PutUint64(e[16:], value)
	p.setCount(p.count() + 1)
	return nil
}

// delete forgets k; the last entry of the place takes its room.
func (x *index) delete(k name) error {
	var p place
	i, err := x.lookUp(&p, k)
	if err != nil || i < 0 {
		return err
	}
	last := p.count() - 1
	copy(p.entry(i), p.entry(last))
	p.setCount(last)
	x.c.entries--
	return x.store(&p)
}

// split makes one more bucket and moves there what belongs there now.
func (x *index) split() error {
	added := x.c.buckets
	from := added - uint64(1)<<(bits.Len64(added)-1)
	entries, err := x.drain(from)
	if err != nil {
		return err
	}
	x.c.buckets++
	old := &place{g: bucketRegion, off: from * bucketBytes}
	young := &place{g: bucketRegion, off: added * bucketBytes}
	for _, e := range entries {
		p, k := old, name(e[:16])
		if bucketOf(k, x.c.buckets) == added {
			p = young
		}
		if err := x.add(p, k, binary.LittleEndian.Uint64(e[16:])); err != nil {
			return err
		}
	}
	if err := x.store(old); err != nil {
		return err
	}
	return x.store(young)
}

// drain takes everything out of a bucket and releases the blocks it continued in.
func (x *index) drain(bucket uint64) ([][entryBytes]byte, error) {
	var entries [][entryBytes]byte
	var p place
	if err := x.load(&p, bucketRegion, bucket*bucketBytes); err != nil {
		return nil, err
	}
	for {
		for i := range min(p.count(), bucketEntries) {
			entries = append(entries, [entryBytes]byte(p.entry(i)))
		}
		next := p.next()
		if next == 0 {
			return entries, nil
		}
		if err := x.follow(&p); err != nil {
			return nil, err
		}
		if err := x.blocks.release(next); err != nil {
			return nil, err
		}
	}
}
