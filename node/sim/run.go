package sim

import (
	"fmt"
	"slices"
	"time"

	"portico/node/consensus"
	"portico/node/registry"
	"portico/node/types"
)

// Options change what Run draws.
type Options struct {
	// Rules are consensus.DefaultRules, unless a test breaks one.
	Rules consensus.Rules
	// Crypto, if given, stands before every node's own.
	Crypto func(consensus.Crypto) consensus.Crypto
	// ScoreLines is how much of the score's end is kept; 0 stands for all.
	ScoreLines int
	// Nodes is the size of the subnet; 0 stands for a drawn one.
	Nodes int
	// States and Request are those of SubnetConfig.
	States  func(*registry.Records) States
	Request Request
	// Began, if given, is told of the subnet before its nodes start.
	Began func(*Subnet)
	// Calm is how long users have the subnet to themselves before the first fault.
	Calm time.Duration
	// Settled says what the subnet has yet to do once users send no more; nil stands for
	// nothing.
	Settled func() error
}

// Result is what came of a seed.
type Result struct {
	Seed     uint64
	Nodes    int
	Misdeeds map[int]Misdeed
	Trace    types.Hash
	// Failure is nil if every checker was content.
	Failure error
	Score   string
	// Counts are the lines of the score by their words.
	Counts map[string]int
	// Heights is how many were certified, Calls how many were executed of those Sent.
	Heights     types.Height
	Calls, Sent int
	Events      uint64 // that nodes handled
	Virtual     time.Duration
}

// String is a line about the run, and after a failure its score.
func (r *Result) String() string {
	line := fmt.Sprintf("seed %d: %d nodes %v, %v, %d events, %d heights, %d of %d calls, trace %x",
		r.Seed, r.Nodes, r.Misdeeds, r.Virtual, r.Events, r.Heights, r.Calls, r.Sent, r.Trace[:4])
	if r.Failure != nil {
		line += fmt.Sprintf("\nFAILED: %v\n%s", r.Failure, r.Score)
	}
	return line
}

// Bounds of time that liveness is held to.
const (
	minPhase, maxPhase = 10 * time.Second, 15 * time.Second
	// recovery is how long everything may take once all faults are over.
	recovery = 40 * time.Second
	// settling is how long canisters may take to finish what they began: one that stops itself
	// waits for five minutes.
	settling = 6 * time.Minute
)

// Run draws a subnet, its load and its faults from a seed, and runs it until everything has
// had time to heal. The same seed gives the same Result.
func Run(seed uint64, o Options) Result {
	score := NewScore(o.ScoreLines)
	draw := NewWorld(^seed, NewScore(1)) // chances of what the subnet is made of
	cfg := SubnetConfig{
		Seed: seed, Nodes: drawSize(draw), Misdeeds: map[int]Misdeed{}, Rules: o.Rules, Crypto: o.Crypto,
		States: o.States, Request: o.Request, Score: score,
	}
	if o.Nodes > 0 {
		cfg.Nodes = o.Nodes
	}
	cfg.Interval = types.Height([]int{10, 20, 50}[draw.rand.IntN(3)])
	f := types.Faults(cfg.Nodes)
	if f > 0 && draw.chance(500) {
		for _, i := range draw.rand.Perm(cfg.Nodes)[:1+draw.rand.IntN(f)] {
			cfg.Misdeeds[i] = Misdeed(1 + draw.rand.IntN(int(misdeeds)-1))
		}
	}
	d := &director{Subnet: NewSubnet(cfg), spare: f - len(cfg.Misdeeds)}
	if d.settled = o.Settled; d.settled == nil {
		d.settled = func() error { return nil }
	}
	if o.Began != nil {
		o.Began(d.Subnet)
	}
	d.World.OnDown(d.down)
	for i := range cfg.Nodes {
		d.smallOffset(i)
	}
	d.StartAll()
	d.Load.Rate(1 + draw.rand.IntN(8))
	d.World.Run(o.Calm)
	for range 1 + draw.rand.IntN(1+12/(2+cfg.Nodes)) {
		d.phase()
	}
	if d.World.failure == nil {
		d.recover()
	}
	return Result{
		Seed: seed, Nodes: cfg.Nodes, Misdeeds: cfg.Misdeeds, Trace: d.World.Trace(), Failure: d.World.Failure(), Score: score.String(), Counts: score.Counts(),
		Heights: d.Checker.Certified(), Calls: d.Load.Executed(d.Checker), Sent: d.Load.Sent(),
		Events: d.World.Handled(), Virtual: d.World.Elapsed(),
	}
}

// drawSize draws the size of a subnet, mostly small, and not always 3f + 1.
func drawSize(w *World) int {
	if w.chance(50) {
		return []int{10, 13}[w.rand.IntN(2)]
	}
	return []int{1, 4, 4, 4, 4, 4, 4, 5, 6, 7}[w.rand.IntN(10)]
}

// director has a subnet meet faults in phases.
type director struct {
	*Subnet
	// spare is how many nodes may fail besides the Byzantine ones.
	spare int
	// bad are the nodes that a phase lets fail.
	bad []int
	// ahead are nodes whose clocks were fast once: they may have made a block that nobody takes
	// before its time, and until then they vote for no other at its height.
	ahead []int
	// settled is that of Options.
	settled func() error
}

// down restarts a node that the disk brought down.
func (d *director) down(node int, reason error) {
	d.Checker.Down(node, reason)
	d.World.In(d.World.between(time.Second, 3*time.Second), func() { d.World.Start(node) })
}

func (d *director) smallOffset(node int) {
	w := d.World
	w.SetClock(node, w.between(-200*time.Millisecond, 200*time.Millisecond), w.rand.Int64N(400)-200)
}

// phase lets something fail for a while, and then heals it. If no more than f nodes failed,
// the others must have made progress, and so must the subnet: a node that starts late may still
// be catching up.
func (d *director) phase() {
	w := d.World
	if w.failure != nil {
		return
	}
	d.bad = d.ahead
	tolerable := d.fault()
	before, own := d.Checker.Certified(), make([]types.Height, len(d.members))
	for i := range own {
		own[i] = d.Checker.CertifiedBy(i)
	}
	w.Run(w.between(minPhase, maxPhase))
	if tolerable && w.failure == nil {
		if d.Checker.Certified() == before {
			w.Fail(fmt.Errorf("nothing was certified after height %d, although no more than f nodes failed", before))
		}
		for i, h := range own {
			if !slices.Contains(d.bad, i) {
				d.expectAbove(h, []int{i}, "no more than f nodes failed, and not this one")
			}
		}
	}
	d.heal()
}

// heal ends all faults.
func (d *director) heal() {
	w := d.World
	w.score.Note(Everybody, "heal", "")
	w.SetWeather(Fair())
	w.Heal()
	for i := range d.members {
		d.Arm(i, NoFault, 0)
		if o := w.Offset(i); o > time.Second || o < -time.Second {
			w.Crash(i) // its clock must not go back in one life
			d.smallOffset(i)
		}
		w.Start(i)
	}
}

// some draws nodes that may fail without the subnet noticing.
func (d *director) some() []int {
	w := d.World
	fit := func(i int) bool { return d.Checker.Honest(i) && !slices.Contains(d.ahead, i) }
	fresh := slices.DeleteFunc(d.Nodes(), func(i int) bool { return !fit(i) })
	w.rand.Shuffle(len(fresh), func(i, j int) { fresh[i], fresh[j] = fresh[j], fresh[i] })
	d.bad = append(fresh[:w.rand.IntN(d.spare-len(d.ahead)+1)], d.ahead...)
	return d.bad
}

// fault begins a phase and reports whether the subnet must go on all the same.
func (d *director) fault() (tolerable bool) {
	w := d.World
	switch w.rand.IntN(10) {
	case 0:
		w.score.Note(Everybody, "calm", "")
		return true
	case 1:
		for _, i := range d.some() {
			w.Crash(i)
		}
		return true
	case 2:
		lonely := d.some()
		rest := slices.DeleteFunc(d.Nodes(), func(i int) bool { return slices.Contains(lonely, i) })
		w.score.Note(Everybody, "partition", "%v alone", lonely)
		w.Partition(rest)
		return true
	case 3:
		all := w.rand.Perm(len(d.members))
		half := w.rand.IntN(len(all) + 1)
		w.score.Note(Everybody, "partition", "%v | %v", all[:half], all[half:])
		w.Partition(all[:half], all[half:])
		return false
	case 4:
		for _, i := range w.rand.Perm(len(d.members))[:1+w.rand.IntN(len(d.members))] {
			w.Crash(i)
		}
		return false
	case 5:
		d.cutSome()
		return true
	case 6:
		d.skewSome()
		return true
	case 7:
		d.breakDisks()
		return false
	case 8:
		d.storm()
		return true
	default:
		d.flicker()
		return false
	}
}

// cutSome cuts single directions of links of few nodes.
func (d *director) cutSome() {
	w := d.World
	for _, i := range d.some() {
		for j := range d.members {
			if i == j {
				continue
			}
			switch w.rand.IntN(3) {
			case 0:
				w.score.Note(i, "cut", "to node %d", j)
				w.CutOneWay(i, j)
			case 1:
				w.score.Note(i, "cut", "from node %d", j)
				w.CutOneWay(j, i)
			}
		}
	}
}

// skewSome makes the clocks of few nodes wrong by minutes.
func (d *director) skewSome() {
	w := d.World
	for _, i := range d.some() {
		offset := w.between(time.Minute, 10*time.Minute)
		if w.chance(500) {
			offset = -offset
		}
		w.score.Note(i, "skew", "%v", offset)
		w.SetClock(i, offset, 0)
		switch {
		case offset < 0:
			w.Crash(i) // its clock must not go back in one life
			w.Start(i)
		case !slices.Contains(d.ahead, i):
			d.ahead = append(d.ahead, i)
		}
	}
}

// breakDisks has transactions fail on any nodes.
func (d *director) breakDisks() {
	w := d.World
	for i := range d.members {
		if w.chance(500) {
			f := Fault(1 + w.rand.IntN(int(faults)-1))
			w.score.Note(i, "arm", "%s", f)
			d.Arm(i, f, w.rand.IntN(100))
		}
	}
}

// storm is bad weather.
func (d *director) storm() {
	w := d.World
	weather := Weather{
		Delay: w.upTo(100 * time.Millisecond), Jitter: w.upTo(400 * time.Millisecond), Slow: w.rand.IntN(20),
		Lost: w.rand.IntN(150), Doubled: w.rand.IntN(100), Overtaken: w.rand.IntN(500), Break: w.rand.IntN(500), Queue: 1000,
	}
	w.score.Note(Everybody, "storm", "%+v", weather)
	w.SetWeather(weather)
}

// flicker crashes and starts nodes again and again.
func (d *director) flicker() {
	w := d.World
	for range 3 + w.rand.IntN(10) {
		i := w.rand.IntN(len(d.members))
		at := w.upTo(minPhase)
		w.In(at, func() { w.Crash(i) })
		w.In(at+w.upTo(2*time.Second), func() { w.Start(i) })
	}
}

// recover expects that all is well some time after the last fault.
func (d *director) recover() {
	w := d.World
	d.Load.Rate(0)
	healed, before := w.now, d.Checker.Certified()
	well := func() bool {
		_, behind := d.Checker.Behind(before, d.Nodes())
		return !behind && d.Load.Missing(d.Checker, healed, healed.Add(recovery)) == nil
	}
	for w.now < healed.Add(recovery) && w.failure == nil && !well() {
		w.Run(time.Second)
	}
	d.expectAbove(before, d.Nodes(), "all faults are over")
	if id := d.Load.Missing(d.Checker, healed, healed.Add(recovery)); id != nil {
		w.Fail(fmt.Errorf("call %x, which an honest node has had all the time, is not executed %v after the last fault", id[:4], recovery))
	}
	d.CheckKnown()
	for w.now < healed.Add(settling) && w.failure == nil && d.settled() != nil {
		w.Run(time.Second)
	}
	if err := d.settled(); err != nil {
		w.Fail(fmt.Errorf("%v after the last call: %w", settling, err))
	}
}

func (d *director) expectAbove(h types.Height, nodes []int, why string) {
	if i, ok := d.Checker.Behind(h, nodes); ok {
		d.Checker.fail(i, "it has certified height %d, expected more than %d: %s", d.Checker.CertifiedBy(i), h, why)
	}
}
