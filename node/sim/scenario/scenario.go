// Package scenario plays scripted faults in the simulator: a plain text file says
// what happens to a subnet and when, and what must come of it. The score that is printed
// has a line for each thing that happened and, every second, the height that each node
// shows as certified: - if it is down, * if it is Byzantine.
//
//	# A minority is cut off and catches up.
//	nodes 4
//	seed 7
//	load 5/s
//	at 5s partition 0 1 2 | 3
//	at 15s expect progress since 6s of 0 1 2
//	at 15s expect stall since 6s of 3
//	at 15s heal
//	until 30s
//	expect progress since 15s
//	expect calls
//
// A line is a directive; what comes after # is a comment. Without "at" a directive is carried
// out at the beginning, an expectation at the end. Times and durations are written as in
// 1.5s, 200ms or 3m. The directives:
//
//	nodes N                       the size of the subnet, before all others that name nodes (4)
//	seed N                        what all chances follow from (1)
//	interval N                    heights between checkpoints (20)
//	until TIME                    the end
//	score blocks                  lines for each block and state, too
//	byzantine NODE MISDEED        such as equivocate, silence or forge: those of sim.Misdeed
//	load N/s                      calls sent by users, to random nodes
//	partition A B | C D           only nodes of one group reach each other
//	cut A -> B                    what A sends to B is lost, silently
//	heal                          ends partitions and cuts
//	crash NODES, start NODES      a list of nodes, or all
//	disk NODE FAULT               its next transaction meets crash-before, crash-after, error-before or error-after
//	skew NODE OFFSET              its clock is wrong, as in +3m or -200ms; it never goes back within a life
//	storm KEY VALUE …             weather: delay and jitter (durations), lost, doubled, overtaken, slow (percentages), broken (as in 5/1000000)
//	calm                          ends storms
//	expect progress since TIME [of NODES]   each of these that is up shows a state higher than any was then
//	expect stall since TIME [of NODES]      none of these shows a higher state than then
//	expect height N [of NODES]              each of these that is up shows at least this height
//	expect calls                            every call that an honest node had and kept is executed
package scenario

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"portico/node/sim"
	"portico/node/types"
)

// Scenario is a script that was read.
type Scenario struct {
	nodes    int
	seed     uint64
	interval types.Height
	misdeeds map[int]sim.Misdeed
	end      time.Duration
	blocks   bool
	steps    []step
	marks    []time.Duration // at which heights are remembered
}

// step is something to do at a time.
type step struct {
	at   time.Duration
	line int
	text string
	do   func(*stage) error
}

// stage is a Scenario that is being played.
type stage struct {
	*sim.Subnet
	score *sim.Score
	// heights are those of all nodes at the marks.
	heights map[time.Duration][]types.Height
}

// Play reads a scenario, plays it and writes its score. The error names what is wrong with
// the script, by its line, or what went otherwise than a checker or the script expects.
func Play(r io.Reader, w io.Writer) error {
	s, err := Parse(r)
	if err != nil {
		return err
	}
	return s.Play(w)
}

// Play plays the scenario and writes its score.
func (s *Scenario) Play(w io.Writer) error {
	score := sim.NewScore(0)
	if !s.blocks {
		score.Mute("finalize", "certify", "notarize", "break")
	}
	g := &stage{
		Subnet:  sim.NewSubnet(sim.SubnetConfig{Seed: s.seed, Nodes: s.nodes, Misdeeds: s.misdeeds, Interval: s.interval, Score: score}),
		score:   score,
		heights: map[time.Duration][]types.Height{},
	}
	g.every()
	for _, at := range s.marks {
		g.World.In(at, func() { g.heights[at] = g.shown() })
	}
	for _, st := range s.steps {
		g.World.In(st.at, func() {
			g.score.Note(sim.Everybody, "script", "%s", st.text)
			if err := st.do(g); err != nil {
				g.World.Fail(fmt.Errorf("line %d: %s: %w", st.line, st.text, err))
			}
		})
	}
	g.World.In(0, g.StartAll)
	g.World.Run(s.end)
	if g.World.Failure() == nil {
		g.CheckKnown()
	}
	g.score.Note(sim.Everybody, "end", "height %d, %d of %d calls", g.Checker.Certified(), g.Load.Executed(g.Checker), g.Load.Sent())
	_, err := io.WriteString(w, score.String())
	return errors.Join(g.World.Failure(), err)
}

// shown are the heights that the nodes show as certified.
func (g *stage) shown() (out []types.Height) {
	for _, i := range g.Nodes() {
		out = append(out, g.Checker.CertifiedBy(i))
	}
	return out
}

// every adds a line with all heights each second.
func (g *stage) every() {
	g.World.In(time.Second, func() {
		var line strings.Builder
		for i, h := range g.shown() {
			switch {
			case !g.Checker.Honest(i):
				line.WriteString("    *")
			case !g.World.Up(i):
				line.WriteString("    -")
			default:
				fmt.Fprintf(&line, "%5d", h)
			}
		}
		g.score.Note(sim.Everybody, "heights", "%s %6d calls", line.String(), g.Load.Executed(g.Checker))
		g.every()
	})
}
