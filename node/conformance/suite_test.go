package conformance

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// suite collects what the checks found.
type suite struct {
	*network
	mu   sync.Mutex
	rows []row
}

// row is a line of the table.
type row struct {
	id, claim, outcome, detail string
}

// The outcomes.
const (
	passed = "passed"
	failed = "failed"
	notYet = "not yet"
	// elsewhere is a behaviour that another package's tests keep.
	elsewhere = "elsewhere"
)

func (s *suite) add(r row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, r)
}

// section is a section of the checklist.
type section struct {
	*testing.T
	suite *suite
}

// check runs a behaviour as a subtest. The name begins with the checklist's id.
func (s *section) check(name string, f func(c *check)) {
	s.Run(name, func(t *testing.T) {
		t.Parallel()
		id, claim, _ := strings.Cut(name, " ")
		c := &check{T: t, network: s.suite.network}
		defer func() {
			outcome := passed
			if t.Failed() {
				outcome = failed
			}
			s.suite.add(row{id, claim, outcome, strings.Join(c.found, "; ")})
		}()
		f(c)
	})
}

// notYet lists a behaviour that cannot be checked so far.
func (s *section) notYet(name, reason string) { s.skip(name, notYet, reason) }

// elsewhere lists a behaviour that the tests of other packages check.
func (s *section) elsewhere(name, packages string) {
	s.skip(name, elsewhere, "kept by the tests of "+packages)
}

func (s *section) skip(name, outcome, reason string) {
	s.Run(name, func(t *testing.T) {
		id, claim, _ := strings.Cut(name, " ")
		s.suite.add(row{id, claim, outcome, reason})
		t.Skip(reason)
	})
}

// check is one behaviour under test.
type check struct {
	*testing.T
	*network
	mu    sync.Mutex // calls run beside the check
	found []string   // what was wrong
}

func (c *check) note(format string, args []any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// Errorf records what was wrong for the table.
func (c *check) Errorf(format string, args ...any) {
	c.Helper()
	c.note(format, args)
	c.T.Errorf(format, args...)
}

// Fatalf records what was wrong for the table and ends the check.
func (c *check) Fatalf(format string, args ...any) {
	c.Helper()
	c.note(format, args)
	c.T.Fatalf(format, args...)
}

// must ends the check if something that is no part of the claim went wrong.
func (c *check) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatalf("%v", err)
	}
}

// print writes the table: all that did not pass, and a summary by section.
func (s *suite) print(t *testing.T, cfg settings) {
	slices.SortFunc(s.rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.section(), b.section()), cmp.Compare(a.number(), b.number()), cmp.Compare(a.id, b.id), cmp.Compare(a.claim, b.claim))
	})
	var b, all strings.Builder
	count := map[string]map[string]int{}
	var names []string
	for _, r := range s.rows {
		if count[r.section()] == nil {
			count[r.section()] = map[string]int{}
			names = append(names, r.section())
		}
		count[r.section()][r.outcome]++
		count[r.section()]["all"]++
		line := fmt.Sprintf("%-9s  %-6s  %s", r.outcome, r.id, r.claim)
		if r.detail != "" {
			line += "\n                   " + r.detail
		}
		fmt.Fprintln(&all, line)
		if r.outcome != passed {
			fmt.Fprintln(&b, line)
		}
	}
	fmt.Fprintf(&b, "\n%-8s %7s %7s %7s %7s %9s\n", "section", "checks", passed, failed, notYet, elsewhere)
	sum := map[string]int{}
	for _, name := range names {
		c := count[name]
		fmt.Fprintf(&b, "%-8s %7d %7d %7d %7d %9d\n", name, c["all"], c[passed], c[failed], c[notYet], c[elsewhere])
		for k, n := range c {
			sum[k] += n
		}
	}
	fmt.Fprintf(&b, "%-8s %7d %7d %7d %7d %9d  on %d replica(s)\n", "all", sum["all"], sum[passed], sum[failed], sum[notYet], sum[elsewhere], cfg.nodes)
	fmt.Println(b.String())
	if cfg.report == "" {
		return
	}
	if err := os.WriteFile(cfg.report, []byte(all.String()), 0o644); err != nil {
		t.Error(err)
	}
}

// section is the letters of the id, padded so that AA comes after Z.
func (r row) section() string {
	letters := strings.TrimRight(r.id, "0123456789abcdefghijklmnopqrstuvwxyz")
	return fmt.Sprintf("%2s", letters)
}

func (r row) number() (n int) {
	for _, c := range strings.TrimSpace(strings.TrimPrefix(r.id, strings.TrimSpace(r.section()))) {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + int(c-'0')
	}
	return n
}
