package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// trimmed builds testdata/program for browsers and trims it. It skips what no short run and no
// machine without Node.js can do.
func trimmed(t *testing.T) (before, after []byte, node, dir string) {
	t.Helper()
	if testing.Short() {
		t.Skip("a short run: this compiles a Go program for browsers and runs it in Node.js")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no Node.js, which runs the program here in place of a browser")
	}
	dir = t.TempDir()
	path := filepath.Join(dir, "program.wasm")
	c := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "./testdata/program")
	c.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if before, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if after, err = Trim(before); err != nil {
		t.Fatal(err)
	}
	return before, after, node, dir
}

func TestTrimmedProgramsBehaveAsBefore(t *testing.T) {
	program, trimmed, node, dir := trimmed(t)
	run := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(node, launcher(t), path).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	before, after := run("before.wasm", program), run("after.wasm", trimmed)
	if before != after || len(before) < 100 {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if bytes.Contains(trimmed, []byte("main.deep")) {
		t.Error("names of functions are still there")
	}
	if !bytes.Contains(trimmed, []byte("reflect.makeFuncStub")) {
		t.Error("a name that the runtime asks for is gone")
	}
}

func TestTrimmedProgramsThatPanicStillSayWhyAndEnd(t *testing.T) {
	_, trimmed, node, dir := trimmed(t)
	path := filepath.Join(dir, "panics.wasm")
	if err := os.WriteFile(path, trimmed, 0o600); err != nil {
		t.Fatal(err)
	}
	for how, want := range map[string]string{
		"panic":    "panic: on purpose",
		"nil":      "panic: runtime error: invalid memory address or nil pointer dereference",
		"map":      "panic: assignment to entry in nil map",
		"deadlock": "fatal error: all goroutines are asleep - deadlock!",
	} {
		out, err := exec.Command(node, launcher(t), path, how).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v; it said\n%s", how, err, out)
		}
	}
}

func launcher(t *testing.T) string {
	t.Helper()
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(goroot)), "lib/wasm/wasm_exec_node.js")
}

func TestWhatIsNoGoProgramIsRefused(t *testing.T) {
	empty := []byte("\x00asm\x01\x00\x00\x00")
	for what, b := range map[string][]byte{
		"nothing":               nil,
		"no module":             []byte("hello"),
		"no data":               empty,
		"cut off":               append(empty[:8:8], 11, 100, 1),
		"no tables":             append(empty[:8:8], 11, 7, 1, 0, 0x41, 0, 0x0b, 1, 'x'),
		"a passive segment":     append(empty[:8:8], 11, 4, 1, 1, 1, 'x'),
		"more than the segment": append(empty[:8:8], 11, 8, 1, 0, 0x41, 0, 0x0b, 1, 'x', 0),
	} {
		if _, err := Trim(b); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

// FuzzTrim: what is accepted encodes to a module that is read as the same memory.
func FuzzTrim(f *testing.F) {
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x0b\x07\x01\x00\x41\x00\x0b\x01x"))
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x0b\x0f\x01\x00\x41\x00\x0b\x09" + headerStart + "\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = Trim(b) // must not panic
		m, err := parseModule(b)
		if err != nil {
			return
		}
		again, err := parseModule(m.encode())
		if err != nil || !bytes.Equal(bytes.TrimRight(again.memory, "\x00"), bytes.TrimRight(m.memory, "\x00")) {
			t.Fatalf("not the same again: %v", err)
		}
	})
}
