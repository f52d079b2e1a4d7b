package state

import (
	"bytes"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/types"
)

func TestSnapshotIDsReadAsTheyWereWritten(t *testing.T) {
	for _, id := range []SnapshotID{{}, {principal.Canister(7), 0}, {principal.Canister(1 << 40), 1<<64 - 1}} {
		if got, ok := ParseSnapshotID(id.Bytes()); !ok || got != id {
			t.Errorf("%x reads as %v, %v", id.Bytes(), got, ok)
		}
	}
	for _, b := range [][]byte{nil, make([]byte, 7), make([]byte, 8+30)} {
		if id, ok := ParseSnapshotID(b); ok {
			t.Errorf("%d bytes are the snapshot id %v", len(b), id)
		}
	}
}

func FuzzParseSnapshotID(f *testing.F) {
	f.Add(SnapshotID{principal.Canister(7), 3}.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, ok := ParseSnapshotID(b); ok && !bytes.Equal(id.Bytes(), b) {
			t.Errorf("%x reads as %x", b, id.Bytes())
		}
	})
}

func TestSixtyDaysOfBlockMakersAreKept(t *testing.T) {
	s := New(types.Time(0), 0)
	maker := principal.Canister(1)
	for range 61 {
		s.Time = s.Time.Add(24 * time.Hour)
		s.CountBlock(maker, nil)
	}
	days := s.BlockMakers
	if len(days) != 60 || days[0].Nodes[0].Proposed != 2 || days[59].Nodes[0].Proposed != 61 {
		t.Errorf("%d days are kept, the first is %+v", len(days), days[0])
	}
	before := days[59].Nodes[0]
	next := s.Next(s.Time + 1)
	next.CountBlock(maker, nil)
	if days[59].Nodes[0] != before {
		t.Error("counting a block changed an earlier state")
	}
}
