package state

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"portico/node/types"
)

// Canisters with logs of all sizes are compared with a list from which the oldest lines are dropped.
func TestALogKeepsTheNewestLinesWithinItsLimit(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c, limit := NewCanister(types.CanisterID{}, 0), uint64(MinLogBytes)
	c.LimitLog(limit)
	var want []LogRecord
	size, next := uint64(0), uint64(0)
	drop := func() {
		for size > limit {
			size -= want[0].bytes()
			want = want[1:]
		}
	}
	type version struct {
		c     *Canister
		lines []LogRecord
	}
	var older []version
	for round := range 200 {
		older = append(older, version{c, slices.Clone(want)})
		c = c.clone()
		var lines [][]byte
		for range random.IntN(128) {
			line := bytes.Repeat([]byte{byte(round)}, random.IntN(1<<random.IntN(13)))
			lines = append(lines, line)
			if limit > 0 {
				r := LogRecord{next, 7, line[:min(uint64(len(line)), limit-logRecordBytes)]}
				want, size = append(want, r), size+r.bytes()
			}
			next++
		}
		c.AppendLog(7, lines)
		drop()
		if random.IntN(20) == 0 {
			limit = []uint64{0, MinLogBytes, MinLogBytes + 1, 1 << 16, MaxLogBytes}[random.IntN(5)]
			c.LimitLog(limit)
			drop()
		}
		if c.Log.Bytes != size || c.NextLog != next {
			t.Fatalf("round %d: %d bytes and line %d next, want %d and %d", round, c.Log.Bytes, c.NextLog, size, next)
		}
	}
	for i, v := range append(older, version{c, want}) {
		var got []LogRecord
		for r := range v.c.Log.All() {
			got = append(got, *r)
		}
		if !slices.EqualFunc(got, v.lines, func(a, b LogRecord) bool { return a.Index == b.Index && bytes.Equal(a.Content, b.Content) }) {
			t.Fatalf("round %d: %d lines, want %d, or others", i, len(got), len(v.lines))
		}
	}
}

func TestALineCostsNoMoreInALongLog(t *testing.T) {
	c := NewCanister(types.CanisterID{}, 0)
	c.LimitLog(MaxLogBytes)
	empty := make([][]byte, 128)
	for c.Log.Bytes+128*logRecordBytes <= MaxLogBytes {
		c.AppendLog(0, empty)
	}
	full := testing.AllocsPerRun(100, func() { c.AppendLog(0, empty[:1]) })
	if full > 3 {
		t.Errorf("a line more takes %v allocations", full)
	}
	if n := len(c.Log.Segments); n > MaxLogBytes/logRecordBytes/segmentRecords+1 {
		t.Errorf("there are %d segments", n)
	}
}
