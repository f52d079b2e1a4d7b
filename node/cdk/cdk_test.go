package cdk_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"portico/lightclient/principal"
	"portico/node/cdk/cdktest"
	"portico/node/cdk/link"
)

var hello = sync.OnceValues(func() ([]byte, error) { return link.Build("testdata/hello", "") })

var machineCode = sync.OnceValue(wazero.NewCompilationCache)

var user = principal.SelfAuthenticating([]byte("somebody"))

func install(t *testing.T, arg string) *cdktest.Canister {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles a canister twice: to WebAssembly and to machine code")
	}
	wasm, err := hello()
	if err != nil {
		t.Fatal(err)
	}
	c, err := cdktest.New(machineCode())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.Install(wasm, []byte(arg), user); err != nil {
		t.Fatal(err)
	}
	return c
}

func echo(c *cdktest.Call) ([]byte, error) {
	if c.Canister != principal.Canister(9) || c.Method != "echo" {
		return nil, errors.New("no such method")
	}
	if string(c.Arg) == "reject" {
		return nil, errors.New("told to reject")
	}
	return c.Arg, nil
}

func update(t *testing.T, c *cdktest.Canister, method, arg, want string) {
	t.Helper()
	got, err := c.Update(user, method, []byte(arg), echo)
	if err != nil || string(got) != want {
		t.Fatalf("%s(%q) = %q, %v; want %q", method, arg, got, err, want)
	}
}

func TestQuerySeesCallerAndNetworkTimeAndChangesNothing(t *testing.T) {
	c := install(t, "")
	for range 2 {
		got, err := c.Query(user, "hello_to_you", []byte("there"))
		if want := "Hello there " + user.String() + " 2023-11-14T22:13:20Z"; err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	update(t, c, "count", "", "1")
}

func TestInitErrorFailsTheInstallation(t *testing.T) {
	c := install(t, "")
	wasm, _ := hello()
	err := c.Install(wasm, []byte("refuse"), user)
	var trap *cdktest.TrapError
	if !errors.As(err, &trap) || trap.Text != "refused to start" {
		t.Fatalf("got %v", err)
	}
}

func TestStableMemoryOutlivesAnUpgrade(t *testing.T) {
	c := install(t, "")
	update(t, c, "count", "", "1")
	update(t, c, "count", "", "2")
	wasm, _ := hello()
	if err := c.Upgrade(wasm, nil, user); err != nil {
		t.Fatal(err)
	}
	update(t, c, "count", "", "3")
	if len(c.Stable) != 2*65536 {
		t.Fatalf("stable memory has %d bytes for a write at 100000", len(c.Stable))
	}
}

func TestCallServesOtherMessagesWhileItWaits(t *testing.T) {
	c := install(t, "")
	m, err := c.Start(user, "call", []byte("hi"))
	if err != nil || len(c.Outgoing) != 1 || m.Answered {
		t.Fatalf("calls %d, answered %v, %v", len(c.Outgoing), m.Answered, err)
	}
	if p := c.Outgoing[0].Patience; p != 2 {
		t.Errorf("1.5 s of patience became %d s", p)
	}
	update(t, c, "count", "", "2")
	if err := c.Settle(echo); err != nil || string(m.Reply) != "hi 12" {
		t.Fatalf("reply %q, %v", m.Reply, err)
	}
}

func TestRejectedCallIsAnError(t *testing.T) {
	c := install(t, "")
	_, err := c.Update(user, "call", []byte("reject"), echo)
	if err == nil || err.Error() != "called: call rejected (4): told to reject" {
		t.Fatalf("got %v", err)
	}
}

func TestTrapAfterAnAnswerUndoesAndReleasesLocks(t *testing.T) {
	c := install(t, "")
	m, err := c.Start(user, "call", []byte("trap"))
	if err != nil {
		t.Fatal(err)
	}
	err = c.Settle(echo)
	var trap *cdktest.TrapError
	if !errors.As(err, &trap) || trap.Text != "told to trap" {
		t.Fatalf("got %v", err)
	}
	if m.Answered {
		t.Error("a trapped message was answered")
	}
	// counted once before the call; the ten after it are undone, and the lock is free
	update(t, c, "call", "again", "again 12")
}

func TestGoroutinesCallAtTheSameTime(t *testing.T) {
	c := install(t, "")
	m, err := c.Start(user, "parallel", []byte("a b reject d"))
	if err != nil || len(c.Outgoing) != 4 {
		t.Fatalf("%d calls, %v", len(c.Outgoing), err)
	}
	for _, i := range []int{2, 0, 1, 0} {
		call := c.Outgoing[i]
		reply, rejected := echo(call)
		if err := c.Answer(call, reply, rejected); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(m.Reply); got != "a<nil>,b<nil>,call rejected (4): told to reject,d<nil>" {
		t.Fatalf("got %q", got)
	}
}

func TestAnAnswerToTheCodeBeforeAnUpgradeIsNobodys(t *testing.T) {
	c := install(t, "")
	if _, err := c.Start(user, "parallel", []byte("old")); err != nil {
		t.Fatal(err)
	}
	wasm, err := hello()
	if err != nil {
		t.Fatal(err)
	}
	c.Now += 1_000_000_000
	if err := c.Upgrade(wasm, nil, user); err != nil {
		t.Fatal(err)
	}
	m, err := c.Start(user, "parallel", []byte("new"))
	if err != nil || len(c.Outgoing) != 2 {
		t.Fatalf("%d calls, %v", len(c.Outgoing), err)
	}
	before, after := c.Outgoing[0], c.Outgoing[1]
	if err := c.Answer(before, before.Arg, nil); err == nil || !strings.Contains(err.Error(), "not under way") {
		t.Errorf("an answer to a call of the code before: %v", err)
	}
	if err := c.Answer(after, after.Arg, nil); err != nil {
		t.Fatal(err)
	}
	if got := string(m.Reply); got != "new<nil>" {
		t.Errorf("got %q", got)
	}
}

func TestErrorKeepsAndTrapUndoes(t *testing.T) {
	for _, tc := range []struct{ arg, text, then string }{
		{"error", "an error", "101"},
		{"panic", "panic: at counter 100", "1"},
		{"nil", "panic: runtime error: invalid memory address or nil pointer dereference", "1"},
		{"block", "the handler waits for something other than a call to a canister, and would wait for ever", "1"},
		{"exit", "the canister's Go program exited", "1"},
	} {
		c := install(t, "")
		_, err := c.Update(user, "fail", []byte(tc.arg), nil)
		if err == nil || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: got %v, want %q; log %q", tc.arg, err, tc.text, c.Log)
		}
		if len(c.Log) == 0 || c.Log[0] != "about to fail by "+tc.arg {
			t.Errorf("%s: log %q", tc.arg, c.Log)
		}
		update(t, c, "count", "", tc.then)
	}
}

func TestTimersFireInOrderAndATrapStopsNoOther(t *testing.T) {
	c := install(t, "")
	update(t, c, "timer", "", "DIDL\x00\x00")
	for range 12 {
		c.Now = c.Now.Add(30 * time.Second)
		if err := c.Tick(); err != nil {
			t.Fatal(err)
		}
		if err := c.Settle(nil); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.Query(user, "events", nil)
	if err != nil || string(got) != "every 1,every 2,every 3" {
		t.Fatalf("got %q, %v", got, err)
	}
	if c.Timer != 0 && c.Timer > c.Now {
		t.Errorf("a timer is still set at %s", c.Timer)
	}
	if _, err := c.Update(user, "cdk_timer", make([]byte, 8), nil); err == nil {
		t.Error("a user may fire timers")
	}
}

func TestGarbageIsCollectedBetweenMessages(t *testing.T) {
	c := install(t, "")
	for range 50 {
		update(t, c, "churn", "", "4500")
	}
	// 500 MB went through it
	if n := c.MemoryBytes(); n > 32<<20 {
		t.Errorf("the heap has grown to %d bytes", n)
	}
}

func TestHashIsSHA256(t *testing.T) {
	c := install(t, "")
	for _, n := range []int{0, 1, 55, 56, 63, 64, 65, 127, 128, 1000, 100_000} {
		in := bytes.Repeat([]byte{0, 255, byte(n), 7, 130}, n/5+1)[:n]
		want := sha256.Sum256(in)
		got, err := c.Query(user, "hash", in)
		if err != nil || !bytes.Equal(got, append(want[:], want[:]...)) {
			t.Errorf("%d bytes: %x, %v, want %x twice", n, got, err, want)
		}
	}
}
