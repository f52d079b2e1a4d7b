package messaging_test

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/canistertest"
	u "portico/node/conformance/universal"
	"portico/node/execution"
	"portico/node/types"
)

// workers is a Parallel of n goroutines.
func workers(n int) execution.Parallel {
	return func(items int, work func(int)) {
		next := make(chan int, items)
		for i := range items {
			next <- i
		}
		close(next)
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				for i := range next {
					work(i)
				}
			})
		}
		wg.Wait()
	}
}

// busy runs canisters that call each other, trap, run for several rounds, change much memory
// and are installed meanwhile, and returns the state that comes of it.
func busy(t *testing.T, parallel execution.Parallel) []byte {
	n := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Parallel: parallel})
	ids := install(t, n, 9)
	for round := range 12 {
		var calls []canistertest.Call
		for i, id := range ids {
			other := ids[(i*7+round)%len(ids)]
			call := u.Call{Callee: u.ID(other), Method: u.Update, Arg: u.Code(u.Record(u.Text("x")), u.Reply(u.Self())), Cycles: u.Seq(u.Int(0), u.Int(uint64(i)))}.Do()
			switch {
			case i < 6 && round == 5:
				calls = append(calls, canistertest.Call{From: user(), To: id, Method: u.Update, Arg: u.Seq(u.Burn(u.Int(300_000_000)), call)})
			case (i+round)%5 == 0:
				calls = append(calls, canistertest.Call{From: user(), To: id, Method: u.Update, Arg: u.Seq(call, u.Trap("on purpose"))})
			default:
				calls = append(calls, canistertest.Call{From: user(), To: id, Method: u.Update, Arg: call})
			}
		}
		n.SendAll(calls...)
		if round == 7 {
			n.Checkpoint()
		}
	}
	for range 12 {
		n.Tick(3 * time.Second)
	}
	saved, _, err := n.State().Save()
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func TestResultsDoNotDependOnTheNumberOfProcessors(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	one := busy(t, workers(1))
	for _, n := range []int{2, 7} {
		if !bytes.Equal(one, busy(t, workers(n))) {
			t.Errorf("%d workers come to another state than one", n)
		}
	}
}

func TestAtMostFourMessagesAreInTheMiddleAndAllEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	n := canistertest.New(t)
	ids := install(t, n, 6)
	var calls []canistertest.Call
	for _, id := range ids {
		calls = append(calls, canistertest.Call{From: user(), To: id, Method: u.Update, Arg: u.Seq(u.Burn(u.Int(300_000_000)), u.Reply(u.Text("done")))})
	}
	sent := n.SendAll(calls...)
	most := 0
	for range 40 {
		most = max(most, len(n.Executor().Paused()))
		n.Tick(time.Second)
	}
	if most != 4 {
		t.Errorf("up to %d messages were in the middle, want 4", most)
	}
	for i, id := range sent {
		if reply, rej, ok := n.Result(id); !ok || rej != nil || string(reply) != "done" {
			t.Errorf("message %d was answered %q, %v, %v", i, reply, rej, ok)
		}
	}
}

func TestALongInstallationGoesOnOverRoundsWhileOthersRun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	n := canistertest.New(t)
	other := n.Install(user(), universal(t), nil)
	id := n.Create(user())
	code := n.SendInstall(user(), id, canistertest.Mode{Install: true}, universal(t), u.Burn(u.Int(1_000_000_000)))
	second := n.SendInstall(user(), id, canistertest.Mode{Reinstall: true}, universal(t), u.SetGlobal(u.Text("second")))
	n.Create(user()) // other calls to the management canister go on
	if _, ok := n.Executor().Installing(); !ok {
		t.Fatal("the creation of a canister waited for the installation")
	}
	began := n.State().Height - 3 // the first had a slice when it came and one when the second did
	for {
		if _, rej, ok := n.Result(code); ok {
			if rej != nil {
				t.Fatal(rej)
			}
			break
		}
		if _, rej := n.Call(user(), other, u.Update, u.Reply(u.Text(""))); rej != nil {
			t.Fatal(rej)
		}
		_, _, ended := n.Result(code)
		if n.State().Canister(id).Code != nil && !ended {
			t.Fatal("the code is there before its installation has ended")
		}
		if _, _, ok := n.Result(second); ok && !ended {
			t.Fatal("a second installation overtook the first")
		}
	}
	if rounds := n.State().Height - began; rounds < 4 {
		t.Errorf("8 billion instructions took %d rounds, want slices of 2 billion", rounds)
	}
	// the first has used more than a round's allowance
	n.Tick(time.Second)
	if _, rej, ok := n.Result(second); !ok || rej == nil || rej.Code != types.ErrCanisterInstallRateLimited {
		t.Errorf("the second installation was answered %v, %v, want IC0209", rej, ok)
	}
	for range 5 {
		n.Tick(time.Second)
	}
	if rej := n.InstallCode(user(), id, canistertest.Mode{Reinstall: true}, universal(t), nil); rej != nil {
		t.Errorf("after some rounds: %v", rej)
	}
}

func TestQueriesSeeWhatAnInstallationOverRoundsMade(t *testing.T) {
	n := canistertest.New(t)
	id := n.Install(user(), universal(t), nil)
	shown := func() string {
		t.Helper()
		reply, rej := n.Query(user(), id, u.Query, u.Reply(u.Global()))
		if rej != nil {
			t.Fatal(rej)
		}
		return string(reply)
	}
	if _, rej := n.Call(user(), id, u.Update, u.Seq(u.SetGlobal(u.Text("old")), u.Reply(u.Text("")))); rej != nil || shown() != "old" {
		t.Fatal(rej)
	}
	began := n.State().Height
	upgrade := n.SendInstall(user(), id, canistertest.Upgrade(canistertest.Options{}), universal(t), u.Seq(u.SetGlobal(u.Text("new")), u.Burn(u.Int(5_000_000))))
	for {
		if _, rej, ok := n.Result(upgrade); ok {
			if rej != nil {
				t.Fatal(rej)
			}
			break
		}
		if got := shown(); got != "old" {
			t.Fatalf("in the middle of an upgrade a query sees %q", got)
		}
		n.Tick(time.Millisecond)
	}
	if rounds := n.State().Height - began; rounds < 3 {
		t.Fatalf("the upgrade took %d rounds, so nothing was in the middle", rounds)
	}
	if got := shown(); got != "new" {
		t.Errorf("after an upgrade over some rounds a query sees %q", got)
	}
}

func TestACheckpointAbandonsAnInstallationAndItBeginsAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	n := canistertest.New(t)
	id := n.Create(user())
	before := n.State().Canister(id).Cycles
	code := n.SendInstall(user(), id, canistertest.Mode{Install: true}, universal(t), u.Burn(u.Int(600_000_000)))
	if _, ok := n.Executor().Installing(); !ok {
		t.Fatal("the installation has ended at once")
	}
	n.Checkpoint()
	if _, ok := n.Executor().Installing(); ok {
		t.Fatal("the installation went on over a checkpoint")
	}
	if c := n.State().Canister(id); c.Code != nil || before.Sub(c.Cycles).Cmp(types.CyclesOf(100_000_000)) > 0 {
		t.Errorf("an installation that was given up left code, or cost %s", before.Sub(c.Cycles))
	}
	for range 6 {
		n.Tick(time.Second)
	}
	if _, rej, ok := n.Result(code); !ok || rej != nil {
		t.Errorf("the installation ended with %v, %v", rej, ok)
	}
}

func TestATimerThatACheckpointAbandonsFiresAllTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	n := steady(t)
	id := install(t, n, 1)[0]
	hook := u.SetHook(u.Timer, u.Burn(u.Int(700_000_000)), u.SetGlobal(u.Text("fired")))
	if _, rej := n.Call(user(), id, u.Update, u.Seq(hook, u.Drop(u.IC0("global_timer_set", u.Int(1))), u.Reply(u.Text("")))); rej != nil {
		t.Fatal(rej)
	}
	n.Tick(time.Second)
	if len(n.Executor().Paused()) != 1 {
		t.Fatal("the timer's message is not in the middle")
	}
	n.Checkpoint()
	for range 6 {
		n.Tick(time.Second)
	}
	if reply, rej := n.Query(user(), id, u.Query, u.Reply(u.Global())); rej != nil || string(reply) != "fired" {
		t.Errorf("afterwards the canister holds %q, %v", reply, rej)
	}
	if timer := n.State().Canister(id).Timer; timer != 0 {
		t.Errorf("the timer is set to %d", timer)
	}
}

func TestACanisterThatChangesMuchMemoryWaits(t *testing.T) {
	n := canistertest.New(t)
	id := install(t, n, 1)[0]
	grow := func(bytes uint64) u.Program { return u.Seq(u.SetGlobal(u.Fill(1, bytes)), u.Reply(u.Text(""))) }
	rounds := func(bytes uint64) int {
		if _, rej := n.Call(user(), id, u.Update, grow(bytes)); rej != nil {
			t.Fatal(rej)
		}
		next := n.Send(user(), id, u.Update, u.Reply(u.Text("")))
		for rounds := 0; ; rounds++ {
			if _, _, ok := n.Result(next); ok {
				return rounds
			}
			n.Tick(time.Second)
		}
	}
	if got := rounds(10 * types.MiB); got != 0 {
		t.Errorf("after 10 MiB the next message waited %d rounds", got)
	}
	// 200 MiB less what may change at once, at 75,000 KiB a second
	if got := rounds(200 * types.MiB); got != 2 {
		t.Errorf("after 200 MiB the next message waited %d rounds of a second, want 2", got)
	}
}

func TestAComputeAllocationRunsFirstAsOftenAsItSays(t *testing.T) {
	n := canistertest.New(t)
	ids := install(t, n, 12)
	for i, allocation := range map[int]uint64{7: 50, 8: 100} {
		c := n.State().Edit(ids[i])
		c.Settings.ComputeAllocation, c.Settings.FreezingThreshold = allocation, 0
	}
	heads := map[principal.ID]int{}
	const rounds = 40
	for range rounds {
		var calls []canistertest.Call
		for _, id := range ids {
			calls = append(calls, canistertest.Call{From: user(), To: id, Method: u.Update, Arg: u.Reply(u.Text(""))})
		}
		before := map[principal.ID]int64{}
		for _, id := range ids {
			before[id] = n.State().Canister(id).Priority
		}
		n.SendAll(calls...)
		for _, id := range ids {
			if n.State().Canister(id).Priority <= before[id] {
				heads[id]++
			}
		}
	}
	if got := heads[ids[7]]; got < rounds/2 || got > rounds*9/10 {
		t.Errorf("a canister with half a lane went first %d times in %d rounds", got, rounds)
	}
	if got := heads[ids[8]]; got != rounds {
		t.Errorf("a canister with a whole lane went first %d times in %d rounds", got, rounds)
	}
	for _, id := range ids {
		if p := n.State().Canister(id).Priority; p < -200_000 || p > 200_000 {
			t.Errorf("a priority has run off to %d", p)
		}
	}
}

// steady is a network whose rounds have the same length whether users call or not.
func steady(t *testing.T) *canistertest.Network {
	t.Helper()
	limits := execution.DefaultLimits()
	limits.QuickSliceInstructions, limits.QuickRoundInstructions = limits.SliceInstructions, limits.RoundInstructions
	return canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Limits: limits})
}

func TestRoundsAreShortWhileUsersGetQuickAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	n, limits := canistertest.New(t), execution.DefaultLimits()
	ids := install(t, n, 2)
	n.Send(user(), ids[0], u.Update, u.Burn(u.Int(4_000_000_000)))
	slice := func() uint64 {
		before := n.Executor().Progress(ids[0])
		n.Tick(100 * time.Millisecond)
		return n.Executor().Progress(ids[0]) - before
	}
	short := func(when string, want bool) {
		t.Helper()
		most := limits.SliceInstructions
		if want { // the round brings no calls
			most = 2 * limits.QuickSliceInstructions
		}
		if got := slice(); got < most || got > most+most/2 {
			t.Errorf("%s a slice has %d instructions, want %d", when, got, most)
		}
	}
	short("before anybody was answered quickly", false)
	for range 2 {
		if _, rej := n.Call(user(), ids[1], u.Update, u.Reply(u.Text(""))); rej != nil {
			t.Fatal(rej)
		}
		short("after a quick answer", true)
	}
	before := n.Executor().Progress(ids[0])
	n.Send(user(), ids[1], u.Update, u.Reply(u.Text(""))) // in a round of its own
	if got, most := n.Executor().Progress(ids[0])-before, limits.QuickSliceInstructions; got < most || got > most+most/2 {
		t.Errorf("in a round with a call a slice has %d instructions, want %d", got, most)
	}
	n.Tick(6 * time.Second)
	short("seconds but few heights later", true)
	for range 30 {
		n.Tick(time.Millisecond)
	}
	short("seconds and many heights later", false)
}

// A checkpoint gives up what is in the middle. While users get quick answers slices are short, and
// without longer ones the next time neither of these would ever get to its end.
func TestWhatCheckpointsGiveUpGetsFurtherTheNextTime(t *testing.T) {
	limits := execution.DefaultLimits()
	limits.SliceInstructions, limits.RoundInstructions = 100_000_000, 400_000_000
	limits.QuickSliceInstructions, limits.QuickRoundInstructions = 500_000, 2_000_000
	const length = 60_000_000 / 8 // turns of the loop
	long := u.Seq(u.Burn(u.Int(length)), u.Reply(u.Text("")))
	for what, send := range map[string]func(n *canistertest.Network, id, other types.CanisterID) types.RequestID{
		"message": func(n *canistertest.Network, id, _ types.CanisterID) types.RequestID {
			return n.Send(user(), id, u.Update, long)
		},
		"installation": func(n *canistertest.Network, _, other types.CanisterID) types.RequestID {
			return n.SendInstall(user(), other, canistertest.Mode{Reinstall: true}, universal(t), u.Burn(u.Int(length)))
		},
	} {
		n := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Limits: limits})
		ids := install(t, n, 3)
		quick := func() { n.Send(user(), ids[2], u.Update, u.Reply(u.Text(""))) }
		quick()
		id := send(n, ids[0], ids[1])
		intervals := 0
		for ; intervals < 10; intervals++ {
			if _, rej, ok := n.Result(id); ok {
				if rej != nil {
					t.Errorf("%s: %v", what, rej)
				}
				break
			}
			for range 5 {
				quick()
			}
			n.Checkpoint()
		}
		// 5 short slices, then 5 of 4 times as much, then 16 times, then 64.
		if intervals < 3 || intervals > 5 {
			t.Errorf("a %s ended after %d intervals of five rounds", what, intervals)
		}
		quick()
		if s := n.State(); s.Canister(ids[0]).Restarts != 0 || s.InstallRestarts != 0 {
			t.Errorf("after a %s ended, restarts are still counted: %d, %d", what, s.Canister(ids[0]).Restarts, s.InstallRestarts)
		}
	}
}

func TestOnlyTheRoundsInstructionsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs billions of instructions")
	}
	n := steady(t)
	ids := install(t, n, 24)
	var calls []canistertest.Call
	for _, id := range ids {
		// 1.6 billion each: six for each of four lanes, of which five fit
		calls = append(calls, canistertest.Call{From: user(), To: id, Method: u.Update, Arg: u.Seq(u.Burn(u.Int(200_000_000)), u.Reply(u.Text("")))})
	}
	sent := n.SendAll(calls...)
	answered := func() (k int) {
		for _, id := range sent {
			if _, _, ok := n.Result(id); ok {
				k++
			}
		}
		return k
	}
	first := answered()
	if first == len(ids) || first < 16 {
		t.Errorf("%d of %d messages ran in the first round, want 7 billion instructions for each of four lanes", first, len(ids))
	}
	n.Tick(time.Second)
	if got := answered(); got != len(ids) {
		t.Errorf("%d of %d messages ran in two rounds", got, len(ids))
	}
}

func TestASubnetThatChangedTooMuchWaitsForTheCheckpoint(t *testing.T) {
	limits := execution.DefaultLimits()
	limits.HeapDeltaBytes = types.MiB
	n := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Limits: limits})
	id := install(t, n, 1)[0]
	n.Checkpoint()
	write := u.Seq(u.SetGlobal(u.Fill(1, 300<<10)), u.Reply(u.Text("")))
	ran := func() bool {
		call := n.Send(user(), id, u.Update, write)
		n.Tick(time.Second)
		_, _, ok := n.Result(call)
		return ok
	}
	written := 0
	for ran() {
		if written++; written > 20 {
			t.Fatal("nothing stops the subnet")
		}
	}
	if delta := n.State().HeapDelta; delta < types.MiB || delta > types.MiB+400<<10 {
		t.Errorf("it stopped after %d bytes, want 1 MiB", delta)
	}
	n.Checkpoint()
	if !ran() {
		t.Error("it does not go on after the checkpoint")
	}
}
