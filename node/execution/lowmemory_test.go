package execution_test

import (
	"math/big"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/state"
	"portico/node/types"
)

type memorySettings struct {
	Limit     **big.Int `candid:"wasm_memory_limit"`
	Threshold **big.Int `candid:"wasm_memory_threshold"`
}

func setMemory(t *testing.T, n *canistertest.Network, id principal.ID, limit, threshold uint64) *types.Reject {
	t.Helper()
	l, th := nat0(limit), nat0(threshold)
	return update(t, n, id, memorySettings{&l, &th})
}

func lows(t *testing.T, n *canistertest.Network, id principal.ID) byte {
	t.Helper()
	reply, rej := n.Query(user(), id, "lows", nil)
	if rej != nil {
		t.Fatal(rej)
	}
	return reply[0]
}

func grow(t *testing.T, n *canistertest.Network, id principal.ID, pages byte) *types.Reject {
	t.Helper()
	_, rej := n.Call(user(), id, "grow", []byte{pages})
	return rej
}

func TestTheLowMemoryHookRunsOncePerCrossing(t *testing.T) {
	const page = types.WasmPageBytes
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil) // one page
	if rej := setMemory(t, n, id, 10*page, 5*page); rej != nil {
		t.Fatal(rej)
	}
	for _, step := range []struct {
		pages, lows byte
		status      state.LowMemory
	}{
		{4, 0, state.LowMemoryNotReached}, // exactly the threshold is left
		{1, 1, state.LowMemoryExecuted},
		{1, 1, state.LowMemoryExecuted},
	} {
		if rej := grow(t, n, id, step.pages); rej != nil {
			t.Fatal(rej)
		}
		n.Tick(time.Second)
		if got, status := lows(t, n, id), n.State().Canister(id).LowMemory; got != step.lows || status != step.status {
			t.Errorf("after %+v the hook has run %d times and is in state %d", step, got, status)
		}
	}
	// more room, then less again: a new crossing, without any message
	if rej := setMemory(t, n, id, 100*page, 5*page); rej != nil {
		t.Fatal(rej)
	}
	if rej := setMemory(t, n, id, 10*page, 5*page); rej != nil {
		t.Fatal(rej)
	}
	n.Tick(time.Second)
	n.Tick(time.Second)
	if got := lows(t, n, id); got != 2 {
		t.Errorf("after the second crossing the hook has run %d times, want 2", got)
	}
}

func TestTheLowMemoryHookWaitsForAStoppedCanister(t *testing.T) {
	const page = types.WasmPageBytes
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	if rej := n.Manage(user(), "stop_canister", onCanister{id}); rej != nil {
		t.Fatal(rej)
	}
	if rej := setMemory(t, n, id, 2*page, 2*page); rej != nil {
		t.Fatal(rej)
	}
	n.Tick(time.Second)
	if c := n.State().Canister(id); c.LowMemory != state.LowMemoryReady {
		t.Fatalf("the hook of a stopped canister is in state %d, want ready", c.LowMemory)
	}
	if rej := n.Manage(user(), "start_canister", onCanister{id}); rej != nil {
		t.Fatal(rej)
	}
	n.Tick(time.Second)
	n.Tick(time.Second)
	if got := lows(t, n, id); got != 1 {
		t.Errorf("after the start the hook has run %d times, want 1", got)
	}
}

func TestTheWasmMemoryLimitTrapsUpdatesThatExceedIt(t *testing.T) {
	const page = types.WasmPageBytes
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	if rej := setMemory(t, n, id, 3*page, 0); rej != nil {
		t.Fatal(rej)
	}
	if rej := grow(t, n, id, 2); rej != nil {
		t.Errorf("growing to the limit: %v", rej)
	}
	rejected(t, "growing beyond the limit", grow(t, n, id, 1), types.ErrCanisterWasmMemoryLimit, "memory limit")
	if got := n.State().Canister(id).Code.HeapBytes; got != 3*page {
		t.Errorf("the heap has %d bytes, want %d", got, 3*page)
	}
	if rej := setMemory(t, n, id, 1<<48, 1<<48); rej != nil {
		t.Errorf("the largest limit and threshold: %v", rej)
	}
	rejected(t, "a larger limit", setMemory(t, n, id, 1<<48+1, 0), types.ErrCanisterContractViolation, "wasm_memory_limit")
	rejected(t, "a larger threshold", setMemory(t, n, id, 0, 1<<48+1), types.ErrCanisterContractViolation, "wasm_memory_threshold")
}

func TestTheLowMemoryHookWaitsForAFrozenCanister(t *testing.T) {
	const page = types.WasmPageBytes
	n := canistertest.New(t)
	id := n.Install(user(), notebookModule(), nil)
	freeze := func(seconds uint64) {
		t.Helper()
		s := nat0(seconds)
		if rej := update(t, n, id, struct {
			Freezing **big.Int `candid:"freezing_threshold"`
		}{&s}); rej != nil {
			t.Fatal(rej)
		}
	}
	freeze(1 << 60)
	if rej := setMemory(t, n, id, 2*page, 2*page); rej != nil {
		t.Fatal(rej)
	}
	n.Tick(time.Second)
	if c := n.State().Canister(id); c.LowMemory != state.LowMemoryReady {
		t.Fatalf("the hook of a frozen canister is in state %d, want ready", c.LowMemory)
	}
	freeze(0)
	n.Tick(time.Second)
	if got := lows(t, n, id); got != 1 {
		t.Errorf("after the canister was thawed the hook has run %d times, want 1", got)
	}
}
