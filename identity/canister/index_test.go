package main

import (
	"io"
	"math/rand/v2"
	"testing"

	"portico/lightclient/principal"
)

// growing is stable memory of a canister that does not run as one.
type growing struct{ b []byte }

func (g *growing) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(g.b)) {
		return 0, io.EOF
	}
	n := copy(p, g.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (g *growing) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(g.b) {
		g.b = append(g.b, make([]byte, need-len(g.b))...)
	}
	return copy(g.b[off:], p), nil
}

// The index is compared with a map while entries come, change and go. Names share all
// but their last bits in one run, so that buckets overflow into blocks.
func TestTheIndexIsAMap(t *testing.T) {
	for seed := range uint64(4) {
		s := newStore(&growing{}, principal.Canister(7))
		rnd := rand.New(rand.NewPCG(seed, 1))
		want := map[name]uint64{}
		var names []name
		for i := range 20_000 {
			var k name
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
				if err := s.index.delete(k); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want[k] = uint64(i)
			if err := s.index.put(k, uint64(i)); err != nil {
				t.Fatal(err)
			}
			if seed == 3 && i == 3_000 {
				break // one chain: every step looks at all of it
			}
		}
		for _, k := range names {
			v, found, err := s.index.get(k)
			if w, expected := want[k]; err != nil || found != expected || v != w {
				t.Fatalf("seed %d: %x is %d, %v, %v; want %d, %v", seed, k, v, found, err, w, expected)
			}
		}
		if most := uint64(len(names)/bucketEntries + 2); s.counters.blocks > most {
			t.Errorf("seed %d: %d blocks were handed out, %d hold all names: splitting loses some", seed, s.counters.blocks, most)
		}
		if s.entries != uint64(len(want)) {
			t.Errorf("seed %d: %d entries counted, want %d", seed, s.entries, len(want))
		}
	}
}

func TestChainsOfBlocksKeepValuesOfAnyLength(t *testing.T) {
	s := newStore(&growing{}, principal.Canister(7))
	rnd := rand.New(rand.NewPCG(1, 1))
	chains, values := make([]uint32, 20), make([][]byte, 20)
	for range 2_000 {
		i := rnd.IntN(len(chains))
		v := make([]byte, rnd.IntN(5*blockRoom))
		for j := range v {
			v[j] = byte(rnd.Uint32())
		}
		var err error
		if chains[i], err = s.blocks.put(chains[i], v); err != nil {
			t.Fatal(err)
		}
		values[i] = v
		j := rnd.IntN(len(chains))
		if chains[j] == 0 {
			continue
		}
		if got, err := s.blocks.get(chains[j]); err != nil || string(got) != string(values[j]) {
			t.Fatalf("chain %d has %d bytes, want %d, %v", j, len(got), len(values[j]), err)
		}
	}
	if s.counters.blocks > 20*5 {
		t.Errorf("%d blocks for 20 chains of at most 5: freed ones are not used again", s.counters.blocks)
	}
}
