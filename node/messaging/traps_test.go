package messaging_test

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	u "portico/node/conformance/universal"
	"portico/node/state"
	"portico/node/types"

	"github.com/fxamacker/cbor/v2"
)

// remains is all of a canister that a message which traps leaves as it was, by names: everything
// but cycles, the log and what only counts.
func remains(t *testing.T, n *canistertest.Network, id principal.ID) map[string]string {
	t.Helper()
	c := *n.State().Canister(id)
	c.Cycles, c.Consumed, c.ByUse, c.Charged = types.Cycles{}, types.Cycles{}, [state.Uses]types.Cycles{}, 0
	c.Log, c.NextLog, c.NextID, c.Priority, c.Heap, c.Install = state.Log{}, 0, 0, 0, state.Debit{}, state.Debit{}
	c.Inbox = append([]state.Input{}, c.Inbox...)
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	heap, stable := n.Memories(id)
	out := map[string]string{"heap": fmt.Sprintf("%x", heap), "stable memory": fmt.Sprintf("%x", stable)}
	for field, value := range reflect.ValueOf(c).Fields() {
		b, err := mode.Marshal(value.Interface())
		if err != nil {
			t.Fatal(err)
		}
		out[field.Name] = fmt.Sprintf("%x", b)
	}
	return out
}

// lastLog is the last line of a canister's log.
func lastLog(n *canistertest.Network, id principal.ID) string {
	last := ""
	for r := range n.State().Canister(id).Log.All() {
		last = string(r.Content)
	}
	return last
}

// hooked is a universal canister with hooks that holds something in all its memories.
func hooked(t *testing.T, n *canistertest.Network, extra ...string) principal.ID {
	t.Helper()
	id := n.Create(user())
	if rej := n.InstallCode(user(), id, canistertest.Mode{Install: true}, withHooks(t, extra...), begin()); rej != nil {
		t.Fatal(rej)
	}
	return id
}

func withHooks(t *testing.T, extra ...string) []byte {
	t.Helper()
	extra = append(extra, u.Export("canister_on_low_wasm_memory", u.LowMemory), u.Export("canister_inspect_message", u.Inspect))
	m, err := u.Module(extra...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// begin fills a canister's memories; it lets all messages in.
func begin() u.Program {
	return u.Seq(
		u.StableGrow(1), u.StableWrite(0, u.Text("stable")), u.SetGlobal(u.Text("heap")),
		u.IC0("certified_data_set", u.Split(u.Text("certified"))), u.SetHook(u.Inspect, u.IC0("accept_message")))
}

// ruin changes all that can be changed in every context.
func ruin() u.Program {
	return u.Seq(
		u.StableGrow(1), u.StableWrite(0, u.Text("ruined")), u.SetGlobal(u.Text("ruined")), u.Drop(u.GrowMemory(u.Int(1))))
}

// ruinAll is ruin in contexts that may make calls and set certified data and the timer.
func ruinAll() u.Program {
	return u.Seq(
		ruin(), u.IC0("certified_data_set", u.Split(u.Text("ruined"))), u.Drop(u.IC0("global_timer_set", u.Int(1))),
		u.Drop(u.Get128("cycles_burn128", u.Int(0), u.Int(1000))),
		u.Drop(u.Call{Callee: u.Self(), Method: u.Update, OnReply: u.Seq(), OnReject: u.Seq()}.Perform()))
}

// ways are the ways to trap, with the code and the line of the log that each leads to.
func ways() []way {
	recursion := u.Seq(u.SetHook(u.Spare, u.Run(u.Hooked(u.Spare))), u.Run(u.Hooked(u.Spare)))
	return []way{
		{"ic0.trap", u.Trap("on purpose"), types.ErrCanisterCalledTrap, "on purpose"},
		{"unreachable", u.Unreachable(), types.ErrCanisterTrapped, "unreachable"},
		{"the stack is used up", recursion, types.ErrCanisterTrapped, "nested too deeply"},
		{"memory is out of bounds", u.Drop(u.ToInt(u.Join(u.Int(1<<31), u.Int(8)))), types.ErrCanisterTrapped, "out of bounds"},
		{"stable memory is out of bounds", u.Drop(u.StableRead(1<<40, 1)), types.ErrCanisterTrapped, "out of bounds"},
		{"not allowed here", u.IC0("accept_message"), types.ErrCanisterContractViolation, "accept_message"},
	}
}

type way struct {
	name string
	trap u.Program
	code types.ErrorCode
	log  string
}

// check compares what is left, and the log.
func (w way) check(t *testing.T, hook string, n *canistertest.Network, id principal.ID, before map[string]string) {
	t.Helper()
	for what, now := range remains(t, n, id) {
		if now != before[what] {
			t.Errorf("%s, %s: %s was %.300s and is %.300s", hook, w.name, what, before[what], now)
		}
	}
	if got := lastLog(n, id); !strings.HasPrefix(got, "[TRAP]: ") || !strings.Contains(got, w.log) {
		t.Errorf("%s, %s: the log ends with %q, want %q", hook, w.name, got, w.log)
	}
}

func TestATrapInAMessageLeavesNothingBehind(t *testing.T) {
	n := canistertest.New(t)
	id := hooked(t, n)
	other := install(t, n, 1)[0]
	for _, w := range ways() {
		before := remains(t, n, id)
		for method, program := range map[string]u.Program{u.Update: u.Seq(ruinAll(), w.trap), u.Query: u.Seq(ruin(), w.trap)} {
			_, rej := n.Call(user(), id, method, program)
			if code(rej) != w.code {
				t.Errorf("%s, %s: %v, want code %d", method, w.name, rej, w.code)
			}
			w.check(t, method, n, id, before)
		}
		// the callbacks of a call, whose first part stays
		reply, reject := u.Call{Callee: u.ID(other), Method: u.Update}, u.Call{Callee: u.ID(other), Method: u.Update}
		reply.Arg, reply.OnReply = u.Code(u.Reply(u.Text(""))), u.Seq(ruinAll(), w.trap)
		reject.Arg, reject.OnReject = u.Code(u.Trap("")), u.Seq(ruinAll(), w.trap)
		for hook, call := range map[string]u.Call{"reply": reply, "reject": reject} {
			for _, cleanup := range []u.Program{nil, u.Seq(ruin(), u.Drop(u.IC0("global_timer_set", u.Int(1))), w.trap)} {
				call.OnCleanup = cleanup
				request := n.Send(user(), id, u.Update, call.Do())
				for range 5 {
					n.Tick(time.Second)
				}
				_, rej, _ := n.Result(request)
				if code(rej) != w.code {
					t.Errorf("%s, %s: %v, want code %d", hook, w.name, rej, w.code)
				}
				if c := n.State().Canister(id); len(c.Contexts) != 0 || string(c.CertifiedData) != "certified" || c.Timer != 0 || c.StableBytes != types.WasmPageBytes {
					t.Errorf("%s, %s: a trace is left", hook, w.name)
				}
				if got, _ := n.Query(user(), id, u.Query, u.Reply(u.Concat(u.Global(), u.StableRead(0, 6)))); string(got) != "heapstable" {
					t.Errorf("%s, %s: the memories hold %q", hook, w.name, got)
				}
			}
		}
	}
}

func TestATrapInATaskLeavesNothingBehind(t *testing.T) {
	for _, task := range []struct {
		name  string
		hook  u.Hook
		extra []string
		due   func(c *state.Canister)
		ran   func(c *state.Canister)
	}{
		{"heartbeat", u.Heartbeat, []string{u.Export("canister_heartbeat", u.Heartbeat)}, func(*state.Canister) {}, func(*state.Canister) {}},
		{"timer", u.Timer, nil, func(c *state.Canister) { c.Timer = 1 }, func(c *state.Canister) { c.Timer = 0 }},
		{
			"low memory", u.LowMemory, nil, func(c *state.Canister) { c.LowMemory = state.LowMemoryReady },
			func(c *state.Canister) { c.LowMemory = state.LowMemoryExecuted },
		},
	} {
		for _, w := range ways() {
			n := canistertest.New(t)
			id := hooked(t, n, task.extra...)
			if _, rej := n.Call(user(), id, u.Update, u.Seq(u.SetHook(task.hook, u.Seq(ruinAll(), w.trap)), u.Reply(u.Text("")))); rej != nil {
				t.Fatal(rej)
			}
			n.Tick(time.Second)
			c := n.State().Edit(id)
			task.ran(c)
			c.Log = state.Log{}
			before := remains(t, n, id)
			task.due(c)
			n.Tick(time.Second)
			n.Tick(time.Second)
			w.check(t, task.name, n, id, before)
		}
	}
}

func TestATrapDuringInstallationLeavesNothingBehind(t *testing.T) {
	n := canistertest.New(t)
	for _, w := range ways() {
		id := hooked(t, n)
		install := canistertest.Mode{Install: true}
		empty := n.Create(user())
		for _, x := range []struct {
			hook string
			on   principal.ID
			mode canistertest.Mode
			arg  u.Program
		}{
			{"init", empty, install, u.Seq(ruin(), w.trap)},
			{"init of a reinstallation", id, canistertest.Mode{Reinstall: true}, u.Seq(ruin(), w.trap)},
			{"post_upgrade", id, canistertest.Upgrade(canistertest.Options{}), u.Seq(ruin(), w.trap)},
		} {
			before := remains(t, n, x.on)
			if rej := n.InstallCode(user(), x.on, x.mode, withHooks(t), x.arg); code(rej) != w.code {
				t.Errorf("%s, %s: %v, want code %d", x.hook, w.name, rej, w.code)
			}
			w.check(t, x.hook, n, x.on, before)
		}
		if _, rej := n.Call(user(), id, u.Update, u.Seq(u.SetHook(u.PreUpgrade, u.Seq(ruin(), w.trap)), u.Reply(u.Text("")))); rej != nil {
			t.Fatal(rej)
		}
		before := remains(t, n, id)
		if rej := n.InstallCode(user(), id, canistertest.Upgrade(canistertest.Options{}), withHooks(t), nil); code(rej) != w.code {
			t.Errorf("pre_upgrade, %s: %v, want code %d", w.name, rej, w.code)
		}
		w.check(t, "pre_upgrade", n, id, before)
	}
}

func TestATrapInTheStartFunctionLeavesNothingBehind(t *testing.T) {
	n := canistertest.New(t)
	id := hooked(t, n)
	m, err := u.Module("(func $begin (drop (memory.grow (i32.const 1))) (unreachable)) (start $begin)")
	if err != nil {
		t.Fatal(err)
	}
	before := remains(t, n, id)
	for _, mode := range []canistertest.Mode{{Reinstall: true}, canistertest.Upgrade(canistertest.Options{})} {
		if rej := n.InstallCode(user(), id, mode, m, nil); code(rej) != types.ErrCanisterTrapped {
			t.Errorf("%v, want IC0502", rej)
		}
		way{name: "unreachable", log: "unreachable"}.check(t, "start", n, id, before)
	}
}

func TestATrapInInspectMessageRefusesTheCall(t *testing.T) {
	for _, w := range ways() {
		if w.code == types.ErrCanisterContractViolation {
			continue // accept_message is allowed there
		}
		n := canistertest.New(t)
		id := hooked(t, n)
		if _, rej := n.Call(user(), id, u.Update, u.Seq(u.SetHook(u.Inspect, u.Seq(ruin(), w.trap)), u.Reply(u.Text("")))); rej != nil {
			t.Fatal(rej)
		}
		before, log := remains(t, n, id), lastLog(n, id)
		if rej := n.InspectCall(user(), id, u.Update, nil); code(rej) != w.code {
			t.Errorf("%s: %v, want code %d", w.name, rej, w.code)
		}
		if after := remains(t, n, id); !maps.Equal(after, before) || lastLog(n, id) != log {
			t.Errorf("%s: inspection left a trace", w.name)
		}
	}
}

func TestACanisterThatCallsItselfForEverComesToAnEnd(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 2)
	again := u.Call{Callee: u.Self(), Method: u.Update, Arg: u.Code(u.Run(u.Hooked(u.Spare))), OnReject: u.Reply(u.Text("end"))}
	request := n.Send(user(), ids[0], u.Update, u.Seq(u.SetHook(u.Spare, again.Do()), again.Do()))
	deepest := 0
	for rounds := 0; ; rounds++ {
		n.Tick(time.Second)
		deepest = max(deepest, len(n.State().Canister(ids[0]).Contexts))
		if reply, rej, ok := n.Result(request); ok {
			if rej != nil || string(reply) != "end" {
				t.Errorf("the call is answered with %q, %v", reply, rej)
			}
			break
		}
		if rounds == 100 {
			t.Fatal("the call is not answered")
		}
		if reply, rej := n.Call(user(), ids[1], u.Update, u.Reply(u.Text("runs"))); rej != nil || !bytes.Equal(reply, []byte("runs")) {
			t.Fatalf("meanwhile, another canister answers %q, %v", reply, rej)
		}
	}
	if c := n.State().Canister(ids[0]); len(c.Contexts)+len(c.Callbacks)+len(c.Inbox) != 0 {
		t.Errorf("%d calls are left, %d callbacks, %d messages", len(c.Contexts), len(c.Callbacks), len(c.Inbox))
	}
	if deepest > 501 {
		t.Errorf("%d calls were open at once", deepest)
	}
}
