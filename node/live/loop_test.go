package live

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"portico/lightclient/principal"
	"portico/node/loop"
	"portico/node/types"
)

// handler is a node made of a function.
type handler func(env loop.Env, ev loop.Event)

func (h handler) Handle(env loop.Env, ev loop.Event) { h(env, ev) }

// drive runs a handler in a bubble of virtual time until it stops itself, and returns why. The
// node is busy with its first event until during, if there is one, closes release.
func drive(t *testing.T, h handler, during func(d *driver, release chan<- struct{})) (reason error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d := newDriver(handler(func(env loop.Env, ev loop.Event) {
			h(env, ev)
			if _, ok := ev.(loop.Boot); ok && during != nil {
				<-release
			}
		}), nil, func() string { return "at height 7" })
		done := make(chan error)
		go func() { done <- d.run(t.Context()) }()
		if during != nil {
			during(d, release)
		}
		reason = <-done
	})
	return reason
}

var errDone = errors.New("done")

func TestEventsComeInTheOrderOfTheirTimes(t *testing.T) {
	var got []string
	began := time.Time{}
	err := drive(t, func(env loop.Env, ev loop.Event) {
		switch ev := ev.(type) {
		case loop.Boot:
			began = time.Now()
			env.After(2*time.Hour, "2h")
			env.After(time.Hour, "1h")
			env.After(time.Hour, "1h, second")
			env.After(0, "at once")
			env.After(3*time.Hour, "3h")
		case string:
			got = append(got, ev)
			if ev == "1h" {
				env.After(30*time.Minute, "1h30")
			}
			if ev == "3h" {
				if took := time.Since(began); took != 3*time.Hour {
					t.Errorf("3h came after %s", took)
				}
				env.Stop(errDone)
			}
		}
	}, nil)
	if want := []string{"at once", "1h", "1h, second", "1h30", "2h", "3h"}; err != errDone || !slices.Equal(got, want) {
		t.Errorf("%q, want %q; %v", got, want, err)
	}
}

// TestAfterZeroComesAfterWhatIsThereAlready keeps what group commit rests on.
func TestAfterZeroComesAfterWhatIsThereAlready(t *testing.T) {
	var got []string
	err := drive(t, func(env loop.Env, ev loop.Event) {
		text, _ := ev.(string)
		got = append(got, text)
		switch text {
		case "": // Boot
			for _, s := range []string{"a", "b", "c"} {
				env.After(0, s)
			}
		case "a":
			env.After(0, "flush")
		case "flush":
			env.Stop(errDone)
		}
	}, nil)
	if want := []string{"", "a", "b", "c", "flush"}; err != errDone || !slices.Equal(got, want) {
		t.Errorf("%q, want %q; %v", got, want, err)
	}
}

func TestOnlyThePeerThatFloodsHasToWait(t *testing.T) {
	flooder, other := principal.Canister(1), principal.Canister(2)
	var frames []byte
	var answered, fromOther bool
	err := drive(t, func(env loop.Env, ev loop.Event) {
		switch ev := ev.(type) {
		case loop.Boot:
			env.Go(func() loop.Event { return "result" })
		case loop.Received:
			if ev.From == other {
				fromOther = true
				return
			}
			if frames = append(frames, ev.Frame[0]); len(frames) == 200 {
				if !answered || !fromOther {
					t.Error("the result, or the other peer's frame, came after all of the flood")
				}
				env.Stop(errDone)
			}
		case string:
			answered = true
		}
	}, func(d *driver, release chan<- struct{}) {
		var sent atomic.Int64
		go func() {
			for i := range 200 {
				frame := make([]byte, maxInboxBytes/4)
				frame[0] = byte(i)
				d.deliver(loop.Received{From: flooder, Channel: loop.Bulk, Frame: frame})
				sent.Add(1)
			}
		}()
		synctest.Wait()
		if n := sent.Load(); n != 4 {
			t.Errorf("%d frames of a quarter of the bound were taken from one peer, want 4", n)
		}
		d.deliver(loop.Received{From: other, Channel: loop.Bulk, Frame: []byte{1}})
		close(release)
	})
	if err != errDone {
		t.Fatal(err)
	}
	for i, b := range frames {
		if int(b) != i {
			t.Fatalf("frame %d came as number %d", b, i)
		}
	}
}

func TestAFrameLargerThanTheBoundFindsItsWay(t *testing.T) {
	err := drive(t, func(env loop.Env, ev loop.Event) {
		if r, ok := ev.(loop.Received); ok && len(r.Frame) == loop.MaxFrameBytes {
			env.Stop(errDone)
		}
	}, func(d *driver, release chan<- struct{}) {
		d.deliver(loop.Received{Frame: make([]byte, loop.MaxFrameBytes)})
		close(release)
	})
	if err != errDone {
		t.Error(err)
	}
}

func TestWorkIsBoundedAndNoResultIsLost(t *testing.T) {
	const all = 100
	var running, most atomic.Int64
	results := 0
	var workers int
	err := drive(t, func(env loop.Env, ev loop.Event) {
		switch ev.(type) {
		case loop.Boot:
			workers = env.(*driver).workers
			for range all {
				env.Go(func() loop.Event {
					n := running.Add(1)
					defer running.Add(-1)
					for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
						continue
					}
					time.Sleep(time.Second) // virtual: all that may run together do
					return 1
				})
			}
		case int:
			if results++; results == all {
				env.Stop(errDone)
			}
		}
	}, nil)
	if err != errDone || most.Load() != int64(workers) {
		t.Errorf("%d ran at a time, want %d; %v", most.Load(), workers, err)
	}
}

func TestRunEndsAfterItsWork(t *testing.T) {
	ended := false
	err := drive(t, func(env loop.Env, ev loop.Event) {
		switch ev {
		case loop.Boot{}:
			env.Go(func() loop.Event {
				time.Sleep(time.Hour) // virtual
				ended = true
				return "late"
			})
			env.After(time.Second, "stop")
		case "stop":
			env.Stop(errDone)
			env.Stop(errors.New("a later reason"))
			env.After(0, "late")
		default:
			t.Errorf("%v was handled after the end", ev)
		}
	}, nil)
	if err != errDone || !ended {
		t.Errorf("ended with %v, the work had ended: %t", err, ended)
	}
}

func TestAPanicEndsTheNodeAndSaysWhereItWas(t *testing.T) {
	for _, inWork := range []bool{false, true} {
		err := drive(t, func(env loop.Env, _ loop.Event) {
			if inWork {
				env.Go(func() loop.Event { panic("broken invariant") })
				return
			}
			panic("broken invariant")
		}, nil)
		for _, want := range []string{"at height 7", "broken invariant", "loop_test.go"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("ended with %v, which does not have %q", err, want)
			}
		}
	}
}

func TestPeersAreLetGoWhenTheNodeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := newDriver(handler(func(loop.Env, loop.Event) { <-ctx.Done() }), nil, nil)
		done := make(chan error)
		go func() { done <- d.run(ctx) }()
		delivered := make(chan struct{})
		go func() {
			for range 2 * maxInboxFrames {
				d.deliver(loop.Received{Frame: []byte{1}})
			}
			close(delivered)
		}()
		synctest.Wait()
		select {
		case <-delivered:
			t.Error("a node that handles nothing took everything")
		default:
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		<-delivered
		if d.post("late") {
			t.Error("an event was queued after the end")
		}
	})
}

func TestTheClockNeverGoesBack(t *testing.T) {
	ahead := types.TimeOf(time.Now().Add(time.Hour))
	d := &driver{now: ahead}
	if got := d.Now(); got != ahead {
		t.Errorf("the clock went from %s to %s", ahead, got)
	}
}
