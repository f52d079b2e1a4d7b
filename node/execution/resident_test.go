package execution_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/execution"
	"portico/node/types"
	"portico/node/wasm/wat"
)

// used is what the process holds.
type used struct {
	descriptors    int
	resident, anon int64 // bytes
}

func usage(t *testing.T) used {
	t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this system does not tell what a process holds: ", err)
	}
	b, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		t.Skip("this system does not tell what a process holds: ", err)
	}
	field := func(name string) int64 {
		_, rest, _ := bytes.Cut(b, []byte("\n"+name+":"))
		kib, err := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return kib << 10
	}
	return used{len(list), field("Rss"), field("Anonymous")}
}

func (u used) minus(v used) used {
	return used{u.descriptors - v.descriptors, u.resident - v.resident, u.anon - v.anon}
}

// TestColdCanistersTakeNeitherDescriptorsNorMemory budgets what canisters cost that were used and
// are not any more: state, two closed memories, and what this package's network keeps of the
// calls made.
func TestColdCanistersTakeNeitherDescriptorsNorMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("measures memory, which the race detector multiplies")
	}
	keep := execution.Residency{Canisters: 20, Queries: 20, ModuleBytes: types.MiB}
	const (
		canisters       = 600
		openDescriptors = 5
		coldBytes       = 16 * types.KiB
	)
	n := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Residency: keep, Unchecked: true})
	touch := func(count int) []principal.ID {
		var ids []principal.ID
		for range count {
			id := n.Install(user(), canistertest.Counter(), nil)
			if _, rej := n.Call(user(), id, "inc", nil); rej != nil {
				t.Fatal(rej)
			}
			if reply, rej := n.Query(user(), id, "get", nil); rej != nil || reply[0] != 1 {
				t.Fatal(reply, rej)
			}
			ids = append(ids, id)
		}
		return ids
	}
	empty := usage(t)
	touch(200) // also whatever is as large with many canisters
	before := usage(t)
	ids := touch(canisters)
	n.Tick(10 * time.Minute) // beyond the expiry of all calls, whose answers are state
	n.Tick(time.Second)
	cold := usage(t).minus(before)
	t.Logf("at most %d open canisters: %+v; %d more cold ones: %+v", keep.Canisters, before.minus(empty), canisters, cold)
	most := keep.Canisters * openDescriptors
	if got := usage(t).minus(empty).descriptors; got > most {
		t.Errorf("the process holds %d descriptors more than before, want at most %d", got, most)
	}
	if got := cold.resident / canisters; got > coldBytes {
		t.Errorf("a cold canister takes %d bytes of memory, want at most %d", got, coldBytes)
	}
	for i, id := range ids {
		reply, rej := n.Query(user(), id, "get", nil)
		if i%50 == 0 {
			reply, rej = n.Call(user(), id, "inc", nil)
			reply[0]--
		}
		if rej != nil || reply[0] != 1 {
			t.Fatalf("canister %d answered %v, %v after it was cold", i, reply, rej)
		}
	}
}

// stubborn keeps values in places that only an instance has, besides its heap: a global, and a
// table that it changes. "step" returns all three and stable memory, each one higher every time;
// "fail" changes them and traps.
const stubborn = `(module
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "stable64_grow" (func $grow (param i64) (result i64)))
  (import "ic0" "stable64_size" (func $size (result i64)))
  (memory 1)
  (global $g (mut i32) (i32.const 0))
  (func $change
    (global.set $g (i32.add (global.get $g) (i32.const 1)))
    (i32.store (i32.const 0) (global.get $g))
    (i32.store (i32.const 4) (i32.add (i32.load (i32.const 4)) (i32.const 1)))
    (drop (call $grow (i64.const 1)))
    (drop (memory.grow (i32.const 1)))
    (i32.store (i32.const 8) (i32.wrap_i64 (call $size)))
    (i32.store (i32.const 12) (memory.size)))
  (func (export "canister_update step")
    (call $change) (call $append (i32.const 0) (i32.const 16)) (call $reply))
  (func (export "canister_query peek")
    (call $change) (call $append (i32.const 0) (i32.const 16)) (call $reply))
  (func (export "canister_update fail") (call $change) (unreachable))
)`

// TestOutcomesDoNotDependOnWhatIsKeptOpen runs the same messages on a network that keeps
// everything and on one that keeps nothing.
func TestOutcomesDoNotDependOnWhatIsKeptOpen(t *testing.T) {
	run := func(keep execution.Residency) (answers []string) {
		n := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Residency: keep})
		var ids []principal.ID
		for range 3 {
			ids = append(ids, n.Install(user(), wat.MustAssemble(stubborn), nil))
		}
		for round := range 4 {
			for _, id := range ids {
				for _, method := range []string{"step", "fail", "step"} {
					reply, rej := n.Call(user(), id, method, nil)
					answers = append(answers, fmt.Sprint(reply, rej))
					reply, rej = n.Query(user(), id, "peek", nil)
					answers = append(answers, fmt.Sprint(reply, rej))
				}
			}
			if round == 1 {
				n.Checkpoint()
			}
			c := n.State().Canister(ids[round%3])
			answers = append(answers, c.Cycles.String(), strconv.FormatUint(c.StableBytes, 10))
		}
		return answers
	}
	warm, cold := run(execution.Residency{}), run(execution.Residency{Canisters: 1, ModuleBytes: 1})
	for i := range warm {
		if warm[i] != cold[i] {
			t.Errorf("answer %d is %q when everything is kept, and %q when nothing is", i, warm[i], cold[i])
		}
	}
}

// TestQueriesGoOnWhileCanistersGetColdAndGo queries canisters from several goroutines while rounds
// run, with room for one of everything, and while some of the canisters are deleted.
func TestQueriesGoOnWhileCanistersGetColdAndGo(t *testing.T) {
	n := canistertest.NewWith(t, canistertest.Setup{
		Subnet: canistertest.Subnet(), Residency: execution.Residency{Canisters: 1, Queries: 1, ModuleBytes: 1},
	})
	var ids []principal.ID
	for range 4 {
		id := n.Install(user(), canistertest.Counter(), nil)
		if _, rej := n.Call(user(), id, "inc", nil); rej != nil {
			t.Fatal(rej)
		}
		ids = append(ids, id)
	}
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for k := range 3 {
		asking.Go(func() {
			for i := k; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := ids[i%len(ids)]
				reply, rej := n.Query(user(), id, "get", nil)
				switch {
				case rej == nil && reply[0] == 0, rej != nil && rej.Code != types.ErrCanisterNotFound && rej.Code != types.ErrCanisterStopped && rej.Code != types.ErrCanisterStopping:
					t.Errorf("a query was answered %v, %v", reply, rej)
					return
				}
			}
		})
	}
	for range 5 {
		for _, id := range ids {
			if _, rej := n.Call(user(), id, "inc", nil); rej != nil {
				t.Error(rej)
			}
		}
	}
	for _, id := range ids[:2] {
		for _, method := range []string{"stop_canister", "delete_canister"} {
			if rej := n.Manage(user(), method, struct {
				Canister principal.ID `candid:"canister_id"`
			}{id}); rej != nil {
				t.Error(rej)
			}
		}
	}
	close(stop)
	asking.Wait()
}

// diligent counts in its heap until it has used more than the instructions of one round.
const diligent = `(module
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (memory 1)
  (func (export "canister_update count") (local $n i32)
    (local.set $n (i32.const 300000000))
    (i32.store (i32.const 0) (i32.const 0))
    (loop $next
      (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (call $append (i32.const 0) (i32.const 4)) (call $reply))
)`

func TestACanisterInTheMiddleOfAMessageIsNeverClosed(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	rounds := func(keep execution.Residency) (n int) {
		net := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Residency: keep})
		long := net.Install(user(), wat.MustAssemble(diligent), nil)
		other := net.Install(user(), canistertest.Counter(), nil)
		inc := canistertest.Call{From: user(), To: other, Method: "inc"}
		count := net.SendAll(canistertest.Call{From: user(), To: long, Method: "count"}, inc)[0]
		for n = 1; n < 10; n++ {
			reply, rej, ok := net.Result(count)
			if ok && (rej != nil || binary.LittleEndian.Uint32(reply) != 300_000_000) {
				t.Errorf("the long message was answered %v, %v, want 300000000", reply, rej)
			}
			if ok {
				break
			}
			net.SendAll(inc)
		}
		return n
	}
	warm, cold := rounds(execution.Residency{}), rounds(execution.Residency{Canisters: 1, ModuleBytes: 1})
	if warm < 2 || warm != cold {
		t.Errorf("the message took %d rounds when everything is kept, and %d when nothing is; want as many, and several", warm, cold)
	}
}
