package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"portico/node/sim"
	"portico/node/types"
)

// directive reads what happens at a time.
func (p *parser) directive(name string, args []string) (func(*stage) error, error) {
	switch name {
	case "load":
		return p.load(args)
	case "partition":
		return p.partition(args)
	case "cut":
		return p.cut(args)
	case "crash", "start":
		return p.crashOrStart(name, args)
	case "disk":
		return p.disk(args)
	case "skew":
		return p.skew(args)
	case "storm":
		return p.storm(args)
	case "heal", "calm":
		if len(args) > 0 {
			return nil, fmt.Errorf("nothing comes after %s", name)
		}
		if name == "heal" {
			return func(g *stage) error { g.World.Heal(); return nil }, nil
		}
		return func(g *stage) error { g.World.SetWeather(sim.Fair()); return nil }, nil
	case "expect":
		return p.expect(args)
	case "nodes", "seed", "interval", "until", "score", "byzantine":
		return nil, fmt.Errorf("%s holds for the whole scenario: write it without at", name)
	}
	return nil, fmt.Errorf("%q is no directive: want nodes, seed, interval, until, score, byzantine, load, partition, cut, heal, crash, start, disk, skew, storm, calm or expect", name)
}

const maxRate = 1000

func (p *parser) load(args []string) (func(*stage) error, error) {
	if len(args) == 1 {
		rate, ok := strings.CutSuffix(args[0], "/s")
		if n, err := strconv.Atoi(rate); ok && err == nil && n >= 0 && n <= maxRate {
			return func(g *stage) error { g.Load.Rate(n); return nil }, nil
		}
	}
	return nil, fmt.Errorf("want a rate, such as load 5/s, up to %d/s", maxRate)
}

func (p *parser) partition(args []string) (func(*stage) error, error) {
	groups := [][]int{nil}
	var seen []int
	for _, w := range args {
		last := len(groups) - 1
		if w == "|" {
			groups = append(groups, nil)
			continue
		}
		n, err := p.node(w)
		if err != nil {
			return nil, err
		}
		if slices.Contains(seen, n) {
			return nil, fmt.Errorf("node %d is in two places", n)
		}
		seen = append(seen, n)
		groups[last] = append(groups[last], n)
	}
	if len(seen) == 0 {
		return nil, errors.New("want groups of nodes, such as partition 0 1 | 2 3")
	}
	return func(g *stage) error { g.World.Partition(groups...); return nil }, nil
}

func (p *parser) cut(args []string) (func(*stage) error, error) {
	if len(args) != 3 || args[1] != "->" {
		return nil, errors.New("want two nodes, such as cut 0 -> 1")
	}
	from, err := p.node(args[0])
	if err != nil {
		return nil, err
	}
	to, err := p.node(args[2])
	if err != nil {
		return nil, err
	}
	if from == to {
		return nil, errors.New("a node always reaches itself")
	}
	return func(g *stage) error { g.World.CutOneWay(from, to); return nil }, nil
}

func (p *parser) crashOrStart(name string, args []string) (func(*stage) error, error) {
	nodes, err := p.nodes(args)
	if err != nil {
		return nil, err
	}
	return func(g *stage) error {
		for _, n := range nodes {
			if name == "crash" {
				g.World.Crash(n)
			} else {
				g.World.Start(n)
			}
		}
		return nil
	}, nil
}

func (p *parser) disk(args []string) (func(*stage) error, error) {
	faults := map[string]sim.Fault{
		"crash-before": sim.CrashBefore, "crash-after": sim.CrashAfter, "error-before": sim.ErrorBefore, "error-after": sim.ErrorAfter,
	}
	if len(args) != 2 || faults[args[1]] == sim.NoFault {
		return nil, errors.New("want a node and one of crash-before, crash-after, error-before and error-after")
	}
	n, err := p.node(args[0])
	if err != nil {
		return nil, err
	}
	return func(g *stage) error { g.Arm(n, faults[args[1]], 0); return nil }, nil
}

func (p *parser) skew(args []string) (func(*stage) error, error) {
	if len(args) != 2 {
		return nil, errors.New("want a node and an offset, such as skew 1 +3m")
	}
	n, err := p.node(args[0])
	if err != nil {
		return nil, err
	}
	d, err := duration(strings.TrimLeft(args[1], "+-"))
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(args[1], "-") {
		d = -d
	}
	return func(g *stage) error { g.World.SetClock(n, d, 0); return nil }, nil
}

func (p *parser) storm(args []string) (func(*stage) error, error) {
	w := sim.Fair()
	if len(args) == 0 || len(args)%2 != 0 {
		return nil, errors.New("want pairs, such as storm lost 10% jitter 300ms")
	}
	for i := 0; i < len(args); i += 2 {
		var err error
		key, value := args[i], args[i+1]
		switch key {
		case "delay":
			w.Delay, err = duration(value)
		case "jitter":
			w.Jitter, err = duration(value)
		case "lost":
			w.Lost, err = percent(value)
		case "doubled":
			w.Doubled, err = percent(value)
		case "overtaken":
			w.Overtaken, err = percent(value)
		case "slow":
			w.Slow, err = percent(value)
		case "broken":
			number, ok := strings.CutSuffix(value, "/1000000")
			if w.Break, err = strconv.Atoi(number); !ok || err != nil || w.Break < 0 {
				err = fmt.Errorf("%q: want the share of frames that take their connection with them, such as 50/1000000", value)
			}
		default:
			err = fmt.Errorf("%q: want delay, jitter, lost, doubled, overtaken, slow or broken", key)
		}
		if err != nil {
			return nil, err
		}
	}
	return func(g *stage) error { g.World.SetWeather(w); return nil }, nil
}

// expect reads an expectation.
func (p *parser) expect(args []string) (func(*stage) error, error) {
	if len(args) == 1 && args[0] == "calls" {
		return expectCalls, nil
	}
	of, err := p.nodes([]string{"all"})
	if i := slices.Index(args, "of"); i >= 0 {
		of, err = p.nodes(args[i+1:])
		args = args[:i]
	}
	if err != nil {
		return nil, err
	}
	switch {
	case len(args) == 2 && args[0] == "height":
		h, err := number(args[1:], 1, 1_000_000)
		return func(g *stage) error { return g.expectAbove(types.Height(h)-1, of) }, err
	case len(args) == 3 && args[1] == "since" && (args[0] == "progress" || args[0] == "stall"):
		since, err := duration(args[2])
		if err != nil {
			return nil, err
		}
		p.s.marks = append(p.s.marks, since)
		if args[0] == "progress" {
			return func(g *stage) error { return g.expectProgress(since, of) }, nil
		}
		return func(g *stage) error { return g.expectStall(since, of) }, nil
	}
	return nil, errors.New("want expect progress since 5s, expect stall since 5s, expect height 10 or expect calls; the first three also with of and nodes")
}

func (g *stage) expectAbove(h types.Height, of []int) error {
	up := slices.DeleteFunc(slices.Clone(of), func(i int) bool { return !g.World.Up(i) })
	if i, ok := g.Checker.Behind(h, up); ok {
		return fmt.Errorf("node %d shows height %d, not more than %d", i, g.Checker.CertifiedBy(i), h)
	}
	return nil
}

func (g *stage) expectProgress(since time.Duration, of []int) error {
	then, ok := g.heights[since]
	if !ok {
		return fmt.Errorf("%v is not yet past", since)
	}
	return g.expectAbove(slices.Max(then), of)
}

func (g *stage) expectStall(since time.Duration, of []int) error {
	then, ok := g.heights[since]
	if !ok {
		return fmt.Errorf("%v is not yet past", since)
	}
	for _, i := range of {
		if h := g.Checker.CertifiedBy(i); g.World.Up(i) && h > then[i] {
			return fmt.Errorf("node %d shows height %d, %d then", i, h, then[i])
		}
	}
	return nil
}

func expectCalls(g *stage) error {
	now := g.World.Now()
	if id := g.Load.Missing(g.Checker, now.Add(-patience), now.Add(patience)); id != nil {
		return fmt.Errorf("call %x is in the pool of an honest node since %v, and is not executed", id[:4], patience)
	}
	return nil
}

// patience is how long a call may take in a subnet without faults.
const patience = 10 * time.Second
