package stable

import (
	"math/rand/v2"
	"testing"
)

// store is an index and blocks with their counters.
type store struct {
	regions                         *Regions
	blocks                          Blocks
	index                           Index
	handed, freed, entries, buckets uint64
	salt                            [SecretBytes]byte
}

func newStore() *store {
	s := &store{regions: New(&Buffer{}), buckets: FirstBuckets}
	s.blocks = Blocks{s.regions, 1, &s.handed, &s.freed}
	s.index = Index{s.regions, 2, &s.blocks, &s.entries, &s.buckets, &s.salt}
	return s
}

// The index is compared with a map while entries come, change and go. Names share all
// but their last bits in one run, so that buckets overflow into blocks.
func TestTheIndexIsAMap(t *testing.T) {
	for seed := range uint64(4) {
		s := newStore()
		rnd := rand.New(rand.NewPCG(seed, 1))
		want := map[Name]uint64{}
		var names []Name
		for i := range 20_000 {
			var k Name
			if len(names) > 0 && rnd.IntN(3) == 0 {
				k = names[rnd.IntN(len(names))]
			} else {
				for j := range k {
					k[j] = byte(rnd.Uint32())
				}
				if seed == 3 {
					k[0], k[1], k[2] = 7, 7, 7
				}
				names = append(names, k)
			}
			if rnd.IntN(4) == 0 {
				delete(want, k)
				if err := s.index.Delete(k); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want[k] = uint64(i)
			if err := s.index.Put(k, uint64(i)); err != nil {
				t.Fatal(err)
			}
			if seed == 3 && i == 3_000 {
				break // one chain: every step looks at all of it
			}
		}
		for _, k := range names {
			v, found, err := s.index.Get(k)
			if w, expected := want[k]; err != nil || found != expected || v != w {
				t.Fatalf("seed %d: %x is %d, %v, %v; want %d, %v", seed, k, v, found, err, w, expected)
			}
		}
		if most := uint64(len(names)/bucketEntries + 2); s.handed > most {
			t.Errorf("seed %d: %d blocks were handed out, %d hold all names: splitting loses some", seed, s.handed, most)
		}
		if s.entries != uint64(len(want)) {
			t.Errorf("seed %d: %d entries counted, want %d", seed, s.entries, len(want))
		}
	}
}

func TestChainsOfBlocksKeepValuesOfAnyLength(t *testing.T) {
	s := newStore()
	rnd := rand.New(rand.NewPCG(1, 1))
	chains, values := make([]uint32, 20), make([][]byte, 20)
	for range 2_000 {
		i := rnd.IntN(len(chains))
		v := make([]byte, rnd.IntN(5*blockRoom))
		for j := range v {
			v[j] = byte(rnd.Uint32())
		}
		var err error
		if chains[i], err = s.blocks.Put(chains[i], v); err != nil {
			t.Fatal(err)
		}
		values[i] = v
		j := rnd.IntN(len(chains))
		if chains[j] == 0 {
			continue
		}
		if got, err := s.blocks.Get(chains[j]); err != nil || string(got) != string(values[j]) {
			t.Fatalf("chain %d has %d bytes, want %d, %v", j, len(got), len(values[j]), err)
		}
	}
	if s.handed > 20*5 {
		t.Errorf("%d blocks for 20 chains of at most 5: freed ones are not used again", s.handed)
	}
}

func TestWhatIsWrittenIsThereWhenTheMediumIsOpenedAgain(t *testing.T) {
	const magic = "sixteen letters."
	m := &Buffer{}
	r := New(m)
	if err := r.Begin(magic, 3); err != nil {
		t.Fatal(err)
	}
	a, b, secret := uint64(7), uint64(8), [SecretBytes]byte{1, 2, 3}
	for _, err := range []error{
		r.SetCounters([]*uint64{&a, &b}), r.SetSecret(secret), r.SetConfig([]byte("configured")),
		r.Write(1, ChunkBytes+5, []byte("one")), r.Write(2, 0, []byte("two")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r = New(m)
	if err := r.Open(magic, 3); err != nil {
		t.Fatal(err)
	}
	var c, d, e uint64
	if err := r.Counters([]*uint64{&c, &d, &e}); err != nil || c != 7 || d != 8 || e != 0 {
		t.Errorf("counters %d, %d, %d, %v", c, d, e, err)
	}
	if s, err := r.Secret(); err != nil || s != secret {
		t.Errorf("secret %x, %v", s, err)
	}
	if b, err := r.Config(); err != nil || string(b) != "configured" {
		t.Errorf("configuration %q, %v", b, err)
	}
	one, two := make([]byte, 4), make([]byte, 3)
	if r.Read(1, ChunkBytes+5, one) != nil || string(one) != "one\x00" || r.Read(2, 0, two) != nil || string(two) != "two" {
		t.Errorf("%q and %q", one, two)
	}
	if New(m).Open(magic, 4) == nil || New(m).Open("another program.", 3) == nil {
		t.Error("memory of another version or program is opened")
	}
	if New(m).SetConfig(make([]byte, MaxConfig+1)) == nil {
		t.Error("a configuration that does not fit is written")
	}
}
