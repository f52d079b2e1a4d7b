package messaging_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"portico/node/canistertest"
	u "portico/node/conformance/universal"
	"portico/node/types"
)

// nest is a composite query that calls itself depth times; a failure is told by its code.
func nest(depth int, most u.Program) u.Program {
	if depth == 0 {
		return most
	}
	return u.Call{
		Callee: u.Self(), Method: u.Composite, Arg: u.Code(nest(depth-1, most)), OnReply: u.Reply(u.Arg()), OnReject: u.Reply(u.Get("msg_reject_msg")),
	}.Do()
}

func TestCompositeQueriesNestSixDeep(t *testing.T) {
	n := canistertest.New(t)
	id := install(t, n, 1)[0]
	for depth, want := range map[int]string{5: "bottom", 6: "deeper"} {
		got, rej := n.Query(user(), id, u.Composite, nest(depth, u.Reply(u.Text("bottom"))))
		if rej != nil || !strings.Contains(string(got), want) {
			t.Errorf("%d calls within each other: %q, %v, want %q", depth, got, rej, want)
		}
	}
	if _, rej := n.Call(user(), id, u.Composite, u.Reply(u.Text(""))); code(rej) != types.ErrCompositeQueryInReplicated {
		t.Errorf("a composite query as an update: %v, want IC0527", rej)
	}
}

func TestACompositeQueryEndsWhenItsTimeIsOver(t *testing.T) {
	over := false
	n := canistertest.NewWith(t, canistertest.Setup{
		Subnet:        canistertest.Subnet(),
		QueryDeadline: func() func() bool { return func() bool { return over } },
	})
	id := install(t, n, 1)[0]
	query := nest(1, u.Reply(u.Text("in time")))
	if got, rej := n.Query(user(), id, u.Composite, query); rej != nil || string(got) != "in time" {
		t.Fatalf("in time: %q, %v", got, rej)
	}
	over = true
	if got, rej := n.Query(user(), id, u.Composite, query); rej != nil || !strings.Contains(string(got), "time limit") {
		t.Errorf("too late: %q, %v", got, rej)
	}
	if _, rej := n.Query(user(), id, u.Query, u.Burn(u.Int(10_000_000))); code(rej) != types.ErrQueryTimeLimitExceeded {
		t.Errorf("a loop too late: %v, want IC0528", rej)
	}
}

// TestACompositeCallbackThatTrapsLeavesOnlyItsCleanup with a heap of any size, in memories that the
// callback lets grow.
func TestACompositeCallbackThatTrapsLeavesOnlyItsCleanup(t *testing.T) {
	n := canistertest.New(t)
	id := install(t, n, 1)[0]
	sizes := u.Concat(u.ToBytes(u.MemorySize()), u.ToBytes(u.IC0("stable64_size")))
	for _, pages := range []uint64{0, 2000} {
		inner := u.Call{Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Reply(u.Text("")))}
		first, second := inner, inner
		first.OnReply = u.Seq(
			u.Drop(u.GrowMemory(u.Int(1))), u.StableGrow(1), u.StableWrite(65_536+10, u.Text("y")),
			u.Record(u.Text("callback ")), u.StableWrite(0, u.Text("x")), u.Trap("on purpose"))
		first.OnCleanup = u.Record(u.Text("cleanup "))
		second.OnReply = u.Seq(u.StableGrow(1), u.Reply(u.Concat(u.Global(), u.StableRead(0, 1), u.StableRead(65_536+10, 1), sizes)))
		program := u.Seq(u.Drop(u.GrowMemory(u.Int(pages))), u.StableGrow(1), u.StableWrite(0, u.Text("s")), u.SetGlobal(u.Text("query ")), first.Do(), second.Do())
		want := "query cleanup s\x00"
		got, rej := n.Query(user(), id, u.Composite, program)
		if rej != nil || len(got) != len(want)+16 || string(got[:len(want)]) != want || got[len(want)+8] != 2 {
			t.Errorf("with %d pages the second callback saw %q, %v", pages, got, rej)
		}
		heap, _ := n.Query(user(), id, u.Query, u.Reply(u.ToBytes(u.MemorySize())))
		if after := binary.LittleEndian.Uint64(got[len(want):]); after != binary.LittleEndian.Uint64(heap)+pages {
			t.Errorf("the second callback saw a heap of %d pages", after)
		}
	}
}

func TestACompositeQueryHasOneBudgetOfInstructions(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	n := canistertest.New(t)
	id := install(t, n, 1)[0]
	for calls, want := range map[int]bool{2: true, 4: false} {
		burn := u.Call{Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Burn(u.Int(150_000_000)), u.Reply(u.Text(""))), OnReply: u.Record(u.Text("+")), OnReject: u.Seq()}
		var program u.Program
		for range calls {
			program = u.Seq(program, burn.Do())
		}
		last := u.Call{Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Reply(u.Text(""))), OnReply: u.Reply(u.Global()), OnReject: u.Reply(u.Global())}
		got, rej := n.Query(user(), id, u.Composite, u.Seq(program, last.Do()))
		if ok := rej == nil && string(got) == strings.Repeat("+", calls); ok != want {
			t.Errorf("%s: %q, %v", fmt.Sprint(calls, " calls of 1.2 billion instructions"), got, rej)
		}
	}
}
