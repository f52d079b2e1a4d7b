package messaging_test

import (
	"strings"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	u "portico/node/conformance/universal"
	"portico/node/execution"
	"portico/node/types"
	"portico/node/wasm/wat"
)

func user() principal.ID { return principal.SelfAuthenticating([]byte("user")) }

func universal(t testing.TB) []byte {
	t.Helper()
	m, err := u.Module()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// install makes n universal canisters.
func install(t testing.TB, net *canistertest.Network, n int) []principal.ID {
	t.Helper()
	module := universal(t)
	ids := make([]principal.ID, n)
	for i := range ids {
		ids[i] = net.Install(user(), module, nil)
	}
	return ids
}

// silent is a program that answers only after calls of its own, round after round, while
// the canister's global is "held".
func silent() u.Program {
	again := u.Run(u.Hooked(u.Spare))
	step := u.If(u.Equal(u.ToInt(u.Global()), u.ToInt(u.Text("held"))),
		u.Call{Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Reply(u.Text(""))), OnReply: again, OnReject: again}.Do(),
		u.Reply(u.Text("at last")))
	return u.Seq(u.SetGlobal(u.Text("held")), u.SetHook(u.Spare, step), again)
}

func release() u.Program { return u.Seq(u.SetGlobal(u.Text("free")), u.Reply(u.Text(""))) }

func TestABoundedWaitCallTimesOutAndItsLateReplyIsDropped(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 2)
	call := u.Call{
		Callee: u.ID(ids[1]), Method: u.Update, Arg: u.Code(silent()), Timeout: u.Int(10), Cycles: u.Seq(u.Int(0), u.Int(1_000_000)),
		OnReject: u.Reply(u.Concat(u.ToBytes(u.IC0("msg_reject_code")), u.Get("msg_reject_msg"))),
	}
	id := n.Send(user(), ids[0], u.Update, call.Do())
	for range 9 {
		n.Tick(time.Second)
	}
	if _, _, ok := n.Result(id); ok {
		t.Fatal("the call ended before its deadline")
	}
	n.Tick(time.Second)
	n.Tick(time.Nanosecond)
	reply, rej, ok := n.Result(id)
	if !ok || rej != nil || reply[0] != byte(types.SysUnknown) || !strings.Contains(string(reply), "deadline") {
		t.Fatalf("after the deadline the call was answered %q, %v, %v", reply, rej, ok)
	}
	before, gone := n.State().Canister(ids[0]).Cycles, n.State().Metrics.GoneCycles
	if _, rej := n.Call(user(), ids[1], u.Update, release()); rej != nil {
		t.Fatal(rej)
	}
	n.Tick(time.Second)
	if c := n.State().Canister(ids[0]); c.Cycles != before || len(c.Callbacks) != 0 || len(c.Inbox) != 0 {
		t.Errorf("the late reply changed the caller: %s cycles became %s", before, c.Cycles)
	}
	if lost := n.State().Metrics.GoneCycles.Sub(gone); lost != types.CyclesOf(1_000_000) {
		t.Errorf("%s cycles of the late reply are gone, want 1000000", lost)
	}
}

func TestDeadlinesAreShownToUpdatesOnlyAndAreAtMost300SecondsAhead(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 2)
	deadline := u.Code(u.Reply(u.ToBytes(u.IC0("msg_deadline"))))
	for _, test := range []struct {
		method  string
		timeout uint64
		ahead   uint64 // seconds; 0 for no deadline
	}{{u.Update, 300, 300}, {u.Update, 301, 300}, {u.Update, 1, 1}, {u.Query, 300, 0}} {
		call := u.Call{Callee: u.ID(ids[1]), Method: test.method, Arg: deadline, Timeout: u.Int(test.timeout)}
		reply, rej := n.Call(user(), ids[0], u.Update, call.Do())
		if rej != nil {
			t.Fatal(rej)
		}
		got, now := uint64(0), uint64(n.State().Time)
		for i := range 8 {
			got |= uint64(reply[i]) << (8 * i)
		}
		if test.ahead == 0 && got != 0 || test.ahead != 0 && got != now+test.ahead*1e9 {
			t.Errorf("%s with %d s has the deadline %d at %d, want %d s ahead", test.method, test.timeout, got, now, test.ahead)
		}
	}
}

func TestAnExpiredRequestIsNotExecuted(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	n := canistertest.New(t)
	ids := install(t, n, 2)
	// the callee is busy with a message of many rounds when the call arrives
	n.Send(user(), ids[1], u.Update, u.Seq(u.Burn(u.Int(900_000_000)), u.Reply(u.Text(""))))
	call := u.Call{Callee: u.ID(ids[1]), Method: u.Update, Arg: u.Code(u.Record(u.Text("ran")), u.Reply(u.Text(""))), Timeout: u.Int(1)}
	id := n.Send(user(), ids[0], u.Update, call.Do())
	for range 6 {
		n.Tick(time.Second)
	}
	if _, rej, ok := n.Result(id); !ok || rej == nil {
		t.Fatalf("the call was answered %v, %v", rej, ok)
	}
	if got, rej := n.Query(user(), ids[1], u.Query, u.Reply(u.Global())); rej != nil || len(got) != 0 {
		t.Errorf("the expired request left %q, %v", got, rej)
	}
}

// calls makes n calls to a callee that holds them, and replies how many were queued.
func calls(callee principal.ID, n uint64, timeout u.Program, arg u.Program) u.Program {
	one := u.Call{Callee: u.ID(callee), Method: u.Update, Arg: arg, Timeout: timeout, OnReply: u.Seq(), OnReject: u.Seq()}.Perform()
	return u.Seq(u.Repeat(u.Int(n), u.If(one, u.Record(u.Text("-")), u.Record(u.Text("+")))), u.Reply(u.Global()))
}

func count(t *testing.T, reply []byte, rej *types.Reject) (performed, refused int) {
	t.Helper()
	if rej != nil {
		t.Fatal(rej)
	}
	return strings.Count(string(reply), "+"), strings.Count(string(reply), "-")
}

func TestFiveHundredCallsFitBetweenTwoCanistersInEachDirection(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 2)
	idle := u.Code(u.Reply(u.Text("")))
	for i, from := range ids {
		reply, rej := n.Call(user(), from, u.Update, calls(ids[1-i], 501, nil, idle))
		if performed, refused := count(t, reply, rej); performed != 500 || refused != 1 {
			t.Errorf("%d calls were performed and %d refused, want 500 and 1", performed, refused)
		}
	}
}

func TestTheSubnetsRoomForGuaranteedResponsesIsKept(t *testing.T) {
	for name, test := range map[string]struct {
		limits  func(*execution.Limits)
		timeout u.Program
		want    int
	}{
		"guaranteed, exactly three calls":   {func(l *execution.Limits) { l.GuaranteedBytes = 12 * types.MiB }, nil, 3},
		"guaranteed, a byte less":           {func(l *execution.Limits) { l.GuaranteedBytes = 12*types.MiB - 1 }, nil, 2},
		"best effort, exactly three calls":  {func(l *execution.Limits) { l.BestEffortBytes = 3 * 106 }, u.Int(100), 3},
		"best effort, a byte less":          {func(l *execution.Limits) { l.BestEffortBytes = 3*106 - 1 }, u.Int(100), 2},
		"callbacks beyond those of its own": {func(l *execution.Limits) { l.Callbacks, l.CanisterCallbacks = 0, 3 }, nil, 3},
		"callbacks of the subnet":           {func(l *execution.Limits) { l.Callbacks, l.CanisterCallbacks = 4, 2 }, nil, 4},
	} {
		t.Run(name, func(t *testing.T) {
			limits := execution.DefaultLimits()
			test.limits(&limits)
			n := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Limits: limits})
			ids := install(t, n, 2)
			hundred := u.Fill(0, 100)
			reply, rej := n.Call(user(), ids[0], u.Update, calls(ids[1], 10, test.timeout, hundred))
			if performed, _ := count(t, reply, rej); performed != test.want {
				t.Errorf("%d calls were performed, want %d", performed, test.want)
			}
			// what they took comes back
			n.Tick(time.Second)
			n.Tick(time.Second)
			reply, rej = n.Call(user(), ids[0], u.Update, u.Seq(u.SetGlobal(u.Text("")), calls(ids[1], 10, test.timeout, hundred)))
			if performed, _ := count(t, reply, rej); performed != test.want {
				t.Errorf("%d calls were performed later, want %d", performed, test.want)
			}
		})
	}
}

func TestABestEffortResponseWithoutRoomIsDropped(t *testing.T) {
	limits := execution.DefaultLimits()
	limits.BestEffortBytes = 10_000
	n := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Limits: limits})
	ids := install(t, n, 2)
	call := func(bytes uint64) (reply []byte, rej *types.Reject) {
		arg := u.Code(u.Reply(u.Fill(1, bytes)))
		return n.Call(user(), ids[0], u.Update, u.Call{
			Callee: u.ID(ids[1]), Method: u.Update, Arg: arg, Timeout: u.Int(100),
			OnReply: u.Reply(u.Text("reply")), OnReject: u.Reply(u.ToBytes(u.IC0("msg_reject_code"))),
		}.Do())
	}
	request := uint64(len(u.Update) + len(u.Reply(u.Fill(1, 1))))
	if reply, rej := call(10_000 - request); rej != nil || string(reply) != "reply" {
		t.Errorf("a response that just fits: %q, %v", reply, rej)
	}
	if reply, rej := call(10_001 - request); rej != nil || reply[0] != byte(types.SysUnknown) {
		t.Errorf("a response of one byte more: %q, %v, want reject code 6", reply, rej)
	}
}

func TestACanisterIsCalledWithTheSameOrderInWhichCallsWereMade(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 2)
	var program u.Program
	for _, letter := range []string{"a", "b", "c", "d"} {
		program = u.Seq(program, u.Call{Callee: u.ID(ids[1]), Method: u.Update, Arg: u.Code(u.Record(u.Text(letter)), u.Reply(u.Text(""))), OnReply: u.Seq(), OnReject: u.Seq()}.Do())
	}
	if _, rej := n.Call(user(), ids[0], u.Update, u.Seq(program, u.Reply(u.Text("")))); rej != nil {
		t.Fatal(rej)
	}
	n.Tick(time.Second)
	if got, rej := n.Query(user(), ids[1], u.Query, u.Reply(u.Global())); rej != nil || string(got) != "abcd" {
		t.Errorf("the calls ran in the order %q, %v, want abcd", got, rej)
	}
}

func assemble(t testing.TB, source string) []byte {
	t.Helper()
	m, err := wat.Assemble(source)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAnIngressMessageThatWaitedTooLongDoesNotBegin(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	n := steady(t)
	id := install(t, n, 1)[0]
	first := n.Send(user(), id, u.Update, u.Seq(u.Burn(u.Int(1_150_000_000)), u.Reply(u.Text("first"))))
	second := n.Send(user(), id, u.Update, u.Seq(u.Record(u.Text("ran")), u.Reply(u.Text(""))))
	n.Tick(5*time.Minute - time.Second)
	n.Tick(2 * time.Second)
	n.Tick(time.Second)
	if reply, rej, ok := n.Result(first); !ok || rej != nil || string(reply) != "first" {
		t.Errorf("the message that had begun was answered %q, %v, %v", reply, rej, ok)
	}
	if _, rej, ok := n.Result(second); !ok || code(rej) != types.ErrIngressMessageTimeout {
		t.Errorf("the message that waited was answered %v, %v, want IC0202", rej, ok)
	}
}

func TestCallsThatTimedOutStillFillTheQueueOfTheCallee(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	for most, want := range map[uint64]string{499: "free", 500: "queue is full"} {
		n := canistertest.New(t)
		ids := install(t, n, 2)
		n.Send(user(), ids[1], u.Update, u.Seq(u.Burn(u.Int(1_150_000_000)), u.SetGlobal(u.Text("free")), u.Reply(u.Text(""))))
		reply, rej := n.Call(user(), ids[0], u.Update, calls(ids[1], most, u.Int(1), u.Code(u.Reply(u.Text("")))))
		if performed, _ := count(t, reply, rej); performed != int(most) {
			t.Fatalf("%d calls were performed", performed)
		}
		n.Tick(2 * time.Second)
		call := u.Call{
			Callee: u.ID(ids[1]), Method: u.Update, Arg: u.Code(u.Reply(u.Global())), Timeout: u.Int(300),
			OnReject: u.Reply(u.Get("msg_reject_msg")),
		}
		if reply, rej := n.Call(user(), ids[0], u.Update, call.Do()); rej != nil || !strings.Contains(string(reply), want) {
			t.Errorf("behind %d calls that timed out: %q, %v, want %q", most, reply, rej, want)
		}
	}
}
