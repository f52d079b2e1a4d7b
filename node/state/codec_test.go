package state

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/types"

	"github.com/google/go-cmp/cmp"
)

func sample() *State {
	s := New(1_000_000_000_000, 7)
	s.Height = 12
	user := Origin{Kind: FromUser, Sender: principal.Anonymous(), Request: types.RequestID{1, 2}}
	for i := range uint64(3) {
		c := NewCanister(principal.Canister(7+i), s.Time)
		c.Cycles = types.Cycles{Hi: i, Lo: 5}
		c.Settings.Controllers = []principal.ID{principal.Anonymous(), principal.Canister(9)}
		c.Code = &Code{ModuleHash: types.Hash{byte(i)}, Module: []byte(fmt.Sprint("module ", i)), Globals: []uint64{1, 2}, HeapBytes: 65536}
		c.Contexts[4] = &CallContext{Origin: user, Outstanding: 1}
		c.Callbacks[5] = &Callback{Context: 4, Callee: principal.Canister(8), Cleanup: &Closure{1, 2}}
		c.Pending[principal.Canister(8)] = 1
		c.Inbox = []Input{{Request: &Request{Origin: user, Receiver: c.ID, Method: "m", Arg: []byte{1}}}, {Response: &Response{Receiver: c.ID, Callback: 5, Reject: types.Rejectf(types.ErrCanisterTrapped, "x")}}}
		c.Chunks = []Chunk{{Hash: types.Hash{9, byte(i)}, Data: []byte("chunk")}}
		timer, low := uint64(5), LowMemoryReady
		c.Snapshots = []*Snapshot{
			{Number: 2, Version: 3, Module: []Chunk{{Hash: types.Hash{6, byte(i)}, Data: []byte("module")}}, Timer: &timer, LowMemory: &low, Globals: []Global{{GlobalI64, 7}}},
			{Number: 4, Uploaded: true, Module: []Chunk{{}, {Hash: types.Hash{8, byte(i)}, Data: []byte("piece")}}, Chunks: []Chunk{{Hash: types.Hash{7, byte(i)}, Data: []byte("kept")}}},
		}
		c.NextSnapshot, c.LowMemory = 5, LowMemoryExecuted
		c.Queries = types.QueryCounts{Calls: 1 + i, Instructions: 2, RequestBytes: 3, ReplyBytes: 4}
		c.Consume(UseBurned, types.CyclesOf(3))
		c.Record(Change{Kind: ChangeLoadSnapshot, Loaded: &LoadedSnapshot{ID: SnapshotID{c.ID, 2}, Uploaded: true}})
		c.AppendLog(s.Time, [][]byte{[]byte("line")})
		s.Add(c)
	}
	s.Ingress().Begin(types.RequestID{1, 2}, IngressEntry{Status: Processing, Sender: principal.Anonymous(), Expiry: s.Time.Add(60e9)})
	s.CountBlock(principal.Canister(1), []types.NodeID{principal.Canister(2)})
	s.Queries.Epoch = 3
	s.Queries = s.Queries.Add(principal.Canister(1), nil).Add(principal.Canister(2), []types.QueryReport{{Canister: principal.Canister(7), QueryCounts: types.QueryCounts{Calls: 5}}})
	s.Management = []Input{{Request: &Request{Origin: user, Method: "raw_rand"}}}
	return s
}

func TestASavedStateLoadsAsItWas(t *testing.T) {
	s := sample()
	b, objects, err := s.Save()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(b, func(h types.Hash) ([]byte, error) { return objects[h], nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range s.IDs() {
		if diff := cmp.Diff(s.Canister(id), got.Canister(id), cmp.Comparer(func(a, b principal.ID) bool { return a == b })); diff != "" {
			t.Errorf("canister %s (-saved +loaded):\n%s", id, diff)
		}
	}
	if diff := cmp.Diff(s.Queries, got.Queries, cmp.Comparer(func(a, b principal.ID) bool { return a == b })); diff != "" {
		t.Errorf("reports of queries (-saved +loaded):\n%s", diff)
	}
	again, _, err := got.Save()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, again) {
		t.Error("saving the loaded state gives other bytes")
	}
}

func TestEditLeavesEarlierStatesAlone(t *testing.T) {
	s := sample()
	id := s.IDs()[0]
	next := s.Next(s.Time + 1)
	c := next.Edit(id)
	c.Cycles = types.CyclesOf(99)
	c.Contexts[4].Responded = true
	c.Inbox[0] = Input{}
	delete(c.Callbacks, 5)
	c.Pending[principal.Canister(8)] = 7
	next.Delete(s.IDs()[1])
	fresh := sample()
	for _, id := range fresh.IDs() {
		if diff := cmp.Diff(fresh.Canister(id), s.Canister(id), cmp.Comparer(func(a, b principal.ID) bool { return a == b })); diff != "" {
			t.Errorf("canister %s changed under an earlier state:\n%s", id, diff)
		}
	}
	if len(s.IDs()) != 3 || len(next.IDs()) != 2 {
		t.Errorf("%d canisters before and %d after a deletion, want 3 and 2", len(s.IDs()), len(next.IDs()))
	}
}

func TestExpiredMessagesAreForgottenOnceDecided(t *testing.T) {
	s := sample()
	h := s.Ingress()
	decided := types.RequestID{3}
	h.Begin(decided, IngressEntry{Status: Received, Expiry: s.Time.Add(30e9)})
	h.Set(decided, Replied, []byte("x"), nil)
	h.Set(decided, Rejected, nil, types.Rejectf(types.ErrCanisterTrapped, "late"))
	if e := h.Get(decided); e.Status != Replied {
		t.Errorf("a decided message became %s", e.Status)
	}
	h.Expire(s.Time.Add(20e9))
	if h.Get(decided) == nil {
		t.Error("a message was forgotten before its expiry")
	}
	h.Expire(s.Time.Add(65e9))
	if h.Get(decided) != nil || h.Get(types.RequestID{1, 2}) == nil {
		t.Error("want the decided message forgotten and the running one kept")
	}
}

func TestAnswersThatExpireFirstAreForgottenWhenAllAreTooLarge(t *testing.T) {
	s := New(1_000_000_000_000, 0)
	h := s.Ingress()
	h.most = 20
	for i := range byte(3) {
		id := types.RequestID{9 - i}
		h.Begin(id, IngressEntry{Status: Received, Expiry: s.Time.Add(60e9 + time.Duration(i)*10e9)})
		h.Set(id, Replied, make([]byte, 10), nil)
	}
	h.Expire(s.Time)
	for i, want := range []IngressStatus{Done, Replied, Replied} {
		if e := h.Get(types.RequestID{9 - byte(i)}); e.Status != want || len(e.Reply) != 10 && want == Replied {
			t.Errorf("answer %d is %s with %d bytes, want %s", i, e.Status, len(e.Reply), want)
		}
	}
	h.Expire(s.Time.Add(200e9))
	if h.bytes != 0 || h.Len() != 0 {
		t.Errorf("%d messages with %d bytes are left", h.Len(), h.bytes)
	}
}
