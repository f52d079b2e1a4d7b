// Command fuzz runs every fuzz target of the project for a while, one after the
// other, and stops at the first that finds something.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	each := flag.Duration("time", 20*time.Second, "how long to run each target")
	flag.Parse()
	if err := run(*each); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// target is a fuzz function and its folder.
type target struct{ folder, name string }

// minimize bounds how often an input that reaches new code is made shorter. By default go
// test takes a minute for each such input, which is more than a target has: of some, a score of
// inputs was all that ever ran.
const minimize = "20x"

func run(each time.Duration) error {
	targets, err := find()
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return fmt.Errorf("no fuzz targets found")
	}
	for i, t := range targets {
		fmt.Printf("[%d/%d] %s %s\n", i+1, len(targets), t.folder, t.name)
		cmd := exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", each.String(), "-fuzzminimizetime", minimize, "./"+t.folder)
		out, err := cmd.CombinedOutput()
		if err != nil && !endedInTime(out) {
			return fmt.Errorf("%s in %s: %w\n%s", t.name, t.folder, err, out)
		}
	}
	return nil
}

// endedInTime reports whether a run failed only because its time was up while an
// input ran: go test then says so instead of passing.
func endedInTime(out []byte) bool {
	return bytes.Contains(out, []byte("context deadline exceeded")) && !bytes.Contains(out, []byte("Failing input"))
}

var declaration = regexp.MustCompile(`(?m)^func (Fuzz[A-Za-z0-9_]+)\(f \*testing\.F\)`)

func find() ([]target, error) {
	var out []target
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(name)
		for _, m := range declaration.FindAllSubmatch(text, -1) {
			out = append(out, target{filepath.ToSlash(filepath.Dir(name)), string(m[1])})
		}
		return err
	})
	return out, err
}
