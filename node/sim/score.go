package sim

import (
	"fmt"
	"strings"
	"time"
)

// Everybody stands for the network in place of a node.
const Everybody = -1

// Score is what happened, one aligned line an event:
//
//	time     node what
//	12.041 s    2 crash
//	12.312 s    0 finalize   17 4e1f02a9 rank 1
type Score struct {
	now   func() time.Duration
	lines []string
	// max is how many lines are kept: the last ones.
	max     int
	dropped int
	muted   map[string]bool
	counts  map[string]int
}

// NewScore keeps the last so many lines, or all if that is zero.
func NewScore(lines int) *Score {
	return &Score{max: lines, now: func() time.Duration { return 0 }, counts: map[string]int{}}
}

// Counts are the lines by their words, also of those that were not kept.
func (s *Score) Counts() map[string]int { return s.counts }

// Mute leaves out lines with these words.
func (s *Score) Mute(what ...string) {
	s.muted = map[string]bool{}
	for _, w := range what {
		s.muted[w] = true
	}
}

// Note adds a line. What is a word; the rest says more.
func (s *Score) Note(node int, what, format string, args ...any) {
	s.counts[what]++
	if s.muted[what] {
		return
	}
	who := fmt.Sprint(node)
	if node == Everybody {
		who = "-"
	}
	line := fmt.Sprintf("%7.3f s %4s %-10s "+format, append([]any{s.now().Seconds(), who, what}, args...)...)
	if s.max > 0 && len(s.lines) >= 2*s.max {
		s.dropped += len(s.lines) - s.max
		s.lines = append(s.lines[:0], s.lines[len(s.lines)-s.max:]...)
	}
	s.lines = append(s.lines, strings.TrimRight(line, " "))
}

// String is the score's text.
func (s *Score) String() string {
	lines, dropped := s.lines, s.dropped
	if s.max > 0 && len(lines) > s.max {
		dropped += len(lines) - s.max
		lines = lines[len(lines)-s.max:]
	}
	var out strings.Builder
	if dropped > 0 {
		fmt.Fprintf(&out, "… %d lines before\n", dropped)
	}
	out.WriteString("     time node what\n")
	for _, l := range lines {
		out.WriteString(l)
		out.WriteByte('\n')
	}
	return out.String()
}
