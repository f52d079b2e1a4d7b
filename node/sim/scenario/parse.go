package scenario

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"portico/node/sim"
	"portico/node/types"
)

const (
	maxNodes   = 40
	maxMinutes = 60
)

// parser reads a script line by line.
type parser struct {
	s     *Scenario
	named bool // a node was named: it is too late to say how many there are
}

// Parse reads a script. An error names the line and what would be right.
func Parse(r io.Reader) (*Scenario, error) {
	p := &parser{s: &Scenario{nodes: 4, seed: 1, misdeeds: map[int]sim.Misdeed{}}}
	lines := bufio.NewScanner(r)
	n := 0
	for lines.Scan() {
		n++
		text, _, _ := strings.Cut(lines.Text(), "#")
		if words := strings.Fields(text); len(words) > 0 {
			if err := p.line(n, words); err != nil {
				return nil, fmt.Errorf("line %d: %s: %w", n, strings.Join(words, " "), err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	s := p.s
	if s.end == 0 {
		return nil, errors.New(`the script does not say when it ends: add a line such as "until 30s"`)
	}
	for i := range s.steps {
		if st := &s.steps[i]; st.at < 0 {
			st.at = s.end
		} else if st.at > s.end {
			return nil, fmt.Errorf("line %d: %v is after the end at %v", st.line, st.at, s.end)
		}
	}
	slices.SortStableFunc(s.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return s, nil
}

// line reads a line that is not empty.
func (p *parser) line(n int, words []string) error {
	at := time.Duration(0)
	text := strings.Join(words, " ")
	if words[0] == "at" {
		if len(words) < 3 {
			return errors.New("want a time and a directive, such as at 2s crash 1")
		}
		var err error
		if at, err = duration(words[1]); err != nil {
			return err
		}
		words = words[2:]
		text = strings.Join(words, " ")
	} else {
		if known, err := p.setting(words[0], words[1:]); known || err != nil {
			return err
		}
		if words[0] == "expect" {
			at = -1 // the end
		}
	}
	do, err := p.directive(words[0], words[1:])
	if err != nil {
		return err
	}
	p.s.steps = append(p.s.steps, step{at: at, line: n, text: text, do: do})
	return nil
}

// setting reads what holds for the whole scenario.
func (p *parser) setting(name string, args []string) (known bool, err error) {
	s := p.s
	var n uint64
	switch name {
	case "nodes":
		if n, err = number(args, 1, maxNodes); err == nil && p.named {
			err = errors.New("nodes were named before: say it first")
		}
		s.nodes = int(n)
	case "seed":
		s.seed, err = number(args, 0, 1<<63)
	case "interval":
		n, err = number(args, 1, 1000)
		s.interval = types.Height(n)
	case "until":
		if len(args) != 1 {
			return true, errors.New("want a time, such as until 30s")
		}
		if s.end, err = duration(args[0]); err == nil && s.end == 0 {
			err = errors.New("want a time after the beginning")
		}
	case "score":
		if len(args) != 1 || args[0] != "blocks" {
			return true, errors.New("want score blocks")
		}
		s.blocks = true
	case "byzantine":
		if len(args) != 2 {
			return true, errors.New("want a node and a misdeed, such as byzantine 0 equivocate")
		}
		var node int
		if node, err = p.node(args[0]); err == nil {
			s.misdeeds[node], err = sim.ParseMisdeed(args[1])
		}
		if most := types.Faults(s.nodes); err == nil && len(s.misdeeds) > most {
			err = fmt.Errorf("of %d nodes at most %d may be Byzantine", s.nodes, most)
		}
	default:
		return false, nil
	}
	return true, err
}

func number(args []string, low, high uint64) (uint64, error) {
	if len(args) == 1 {
		if n, err := strconv.ParseUint(args[0], 10, 64); err == nil && n >= low && n <= high {
			return n, nil
		}
	}
	return 0, fmt.Errorf("want one number, from %d to %d", low, high)
}

func duration(word string) (time.Duration, error) {
	d, err := time.ParseDuration(word)
	if err != nil || d < 0 || d > maxMinutes*time.Minute {
		return 0, fmt.Errorf("%q is no time: want one such as 1.5s, 200ms or 3m, up to %dm", word, maxMinutes)
	}
	return d, nil
}

func (p *parser) node(word string) (int, error) {
	p.named = true
	n, err := strconv.Atoi(word)
	if err != nil || n < 0 || n >= p.s.nodes {
		return 0, fmt.Errorf("%q is no node: want a number from 0 to %d", word, p.s.nodes-1)
	}
	return n, nil
}

// nodes reads a list of nodes, or all.
func (p *parser) nodes(words []string) ([]int, error) {
	var out []int
	if len(words) == 1 && words[0] == "all" {
		for i := range p.s.nodes {
			out = append(out, i)
		}
		p.named = true
		return out, nil
	}
	for _, w := range words {
		n, err := p.node(w)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	if len(out) == 0 {
		return nil, errors.New("want nodes, such as 0 2, or all")
	}
	return out, nil
}

// percent reads a share as so many of a thousand.
func percent(word string) (int, error) {
	number, ok := strings.CutSuffix(word, "%")
	f, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || f < 0 || f > 100 {
		return 0, fmt.Errorf("%q is no share: want one such as 2.5%%", word)
	}
	return int(f * 10), nil
}
