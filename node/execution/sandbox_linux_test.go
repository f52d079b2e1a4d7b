package execution_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"portico/node/canistertest"
	u "portico/node/conformance/universal"
	"portico/node/wasm"
	"portico/node/wasm/ic0"
	"portico/node/wasm/sandbox"
)

func TestMain(m *testing.M) {
	if sandbox.Called() {
		fmt.Fprintln(os.Stderr, sandbox.Serve(wasm.Imports(ic0.Functions())))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func sandboxes(t *testing.T) *sandbox.Pool {
	t.Helper()
	pool, err := sandbox.New(sandbox.Config{Command: []string{os.Args[0]}, Imports: wasm.Imports(ic0.Functions()), Groups: 1})
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// children are the processes that this one has started.
func children(t *testing.T) (pids []int) {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestALostProcessChangesNothing runs the same messages on a network whose canisters' process is
// killed again and again, and on one whose canisters run here.
func TestALostProcessChangesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	module, err := u.Module()
	if err != nil {
		t.Fatal(err)
	}
	var states [][]byte
	for _, there := range []bool{false, true} {
		setup := canistertest.Setup{Subnet: canistertest.Subnet()}
		kill := func() {}
		if there {
			setup.Sandboxes = sandboxes(t)
			kill = func() {
				for _, pid := range children(t) {
					if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		n := canistertest.NewWith(t, setup)
		id := n.Install(user(), module, nil)
		other := n.Install(user(), module, nil)
		call := func(p u.Program) {
			t.Helper()
			if _, rej := n.Call(user(), id, u.Update, u.Seq(p, u.Reply(u.Text("")))); rej != nil {
				t.Fatal(rej)
			}
		}
		call(u.SetGlobal(u.Text("before")))
		kill()
		call(u.Record(u.Text(", after")))
		// several slices, of which the process lives to see one
		long := n.Send(user(), id, u.Update, u.Seq(u.Record(u.Text(", long")), u.Burn(u.Int(1_000_000_000)), u.Reply(u.Global())))
		kill()
		if _, rej := n.Call(user(), other, u.Update, u.Seq(u.SetGlobal(u.Text("other")), u.Reply(u.Text("")))); rej != nil {
			t.Fatal(rej)
		}
		n.Tick(time.Second)
		kill()
		reply, rej, ok := n.Result(long)
		for rounds := 0; !ok && rounds < 1000; rounds++ {
			n.Tick(time.Second)
			reply, rej, ok = n.Result(long)
		}
		if !ok || rej != nil || string(reply) != "before, after, long" {
			t.Fatalf("in other processes %v: the long message gives %q, %v, %v", there, reply, rej, ok)
		}
		kill()
		if got, rej := n.Query(user(), id, u.Query, u.Reply(u.Global())); rej != nil || string(got) != "before, after, long" {
			t.Fatalf("in other processes %v: a query gives %q, %v", there, got, rej)
		}
		saved, _, err := n.State().Save()
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, saved)
	}
	if !bytes.Equal(states[0], states[1]) {
		t.Error("the states differ")
	}
}
