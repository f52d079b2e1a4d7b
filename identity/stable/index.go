package stable

import (
	"encoding/binary"
	"math/bits"

	"portico/node/cdk"
)

// The index finds numbers by hashed names. It is a linear hash table: it grows by one
// bucket at a time, so that no message pays for more than one bucket whatever the size.
// Names are hashed with the salt: if nobody outside knows it, who chooses names cannot
// fill one bucket with them.
const (
	bucketBytes   = 1024
	bucketHeader  = 8
	entryBytes    = 24
	bucketEntries = (bucketBytes - bucketHeader) / entryBytes
	// FirstBuckets is how many buckets an empty index has.
	FirstBuckets = 16
	// entriesPerBucket is how many entries a bucket has on average before there is one more.
	entriesPerBucket = 16
)

// A Name is the hash of what is looked up.
type Name [16]byte

// Index is the index. Its fields are to be set, and the counters kept.
type Index struct {
	Regions *Regions
	Region  Region // of the buckets, its own
	Blocks  *Blocks
	Entries *uint64
	Buckets *uint64 // FirstBuckets in the beginning
	Salt    *[SecretBytes]byte
}

// Name hashes what is looked up. Kinds keep names of one sort apart from those of others.
func (x *Index) Name(kind byte, parts ...[]byte) Name {
	h := cdk.NewSHA256()
	h.Write(x.Salt[:])
	h.Write([]byte{kind})
	for _, p := range parts {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(p))))
		h.Write(p)
	}
	return Name(h.Sum(nil)[:16])
}

// bucketOf is the bucket of a name among n buckets: those at the end of the table were
// split off from others, and a name whose bucket does not exist yet is where that one
// will be split off from.
func bucketOf(k Name, n uint64) uint64 {
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
	g   Region
	off uint64
	b   [bucketBytes]byte
}

func (p *place) next() uint32       { return binary.LittleEndian.Uint32(p.b[:]) }
func (p *place) setNext(n uint32)   { binary.LittleEndian.PutUint32(p.b[:], n) }
func (p *place) count() int         { return int(binary.LittleEndian.Uint16(p.b[4:])) }
func (p *place) setCount(n int)     { binary.LittleEndian.PutUint16(p.b[4:], uint16(n)) }
func (p *place) entry(i int) []byte { return p.b[bucketHeader+i*entryBytes:][:entryBytes] }

func (p *place) find(k Name) int {
	first := binary.LittleEndian.Uint64(k[:])
	for i := range min(p.count(), bucketEntries) {
		e := p.entry(i)
		if binary.LittleEndian.Uint64(e) == first && Name(e[:16]) == k {
			return i
		}
	}
	return -1
}

func (x *Index) load(p *place, g Region, off uint64) error {
	p.g, p.off = g, off
	return x.Regions.Read(g, off, p.b[:])
}

func (x *Index) store(p *place) error {
	return x.Regions.Write(p.g, p.off, p.b[:bucketHeader+p.count()*entryBytes])
}

// follow goes on to the block after p.
func (x *Index) follow(p *place) error { return x.load(p, x.Blocks.Region, x.Blocks.offset(p.next())) }

// lookUp loads the place that has k into p; i is negative if none has, and p is then
// the last of the chain.
func (x *Index) lookUp(p *place, k Name) (i int, err error) {
	if err := x.load(p, x.Region, bucketOf(k, *x.Buckets)*bucketBytes); err != nil {
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

// Get finds the value of k.
func (x *Index) Get(k Name) (value uint64, ok bool, err error) {
	var p place
	i, err := x.lookUp(&p, k)
	if err != nil || i < 0 {
		return 0, false, err
	}
	return binary.LittleEndian.Uint64(p.entry(i)[16:]), true, nil
}

// Put gives k a value.
func (x *Index) Put(k Name, value uint64) error {
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
	if (*x.Entries)++; *x.Entries > entriesPerBucket**x.Buckets {
		return x.split()
	}
	return nil
}

// add appends an entry to the last place of a chain, which is then to be stored.
func (x *Index) add(p *place, k Name, value uint64) error {
	if p.count() == bucketEntries {
		n, err := x.Blocks.allocate()
		if err != nil {
			return err
		}
		p.setNext(n)
		if err := x.store(p); err != nil {
			return err
		}
		*p = place{g: x.Blocks.Region, off: x.Blocks.offset(n)}
	}
	e := p.entry(p.count())
	copy(e, k[:])
	binary.LittleEndian.PutUint64(e[16:], value)
	p.setCount(p.count() + 1)
	return nil
}

// Delete forgets k; the last entry of the place takes its room.
func (x *Index) Delete(k Name) error {
	var p place
	i, err := x.lookUp(&p, k)
	if err != nil || i < 0 {
		return err
	}
	last := p.count() - 1
	copy(p.entry(i), p.entry(last))
	p.setCount(last)
	(*x.Entries)--
	return x.store(&p)
}

// split makes one more bucket and moves there what belongs there now.
func (x *Index) split() error {
	added := *x.Buckets
	from := added - uint64(1)<<(bits.Len64(added)-1)
	entries, err := x.drain(from)
	if err != nil {
		return err
	}
	(*x.Buckets)++
	old := &place{g: x.Region, off: from * bucketBytes}
	young := &place{g: x.Region, off: added * bucketBytes}
	for _, e := range entries {
		p, k := old, Name(e[:16])
		if bucketOf(k, *x.Buckets) == added {
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
func (x *Index) drain(bucket uint64) ([][entryBytes]byte, error) {
	var entries [][entryBytes]byte
	var p place
	if err := x.load(&p, x.Region, bucket*bucketBytes); err != nil {
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
		if err := x.Blocks.release(next); err != nil {
			return nil, err
		}
	}
}
