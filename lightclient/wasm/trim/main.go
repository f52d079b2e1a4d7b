// Command trim takes out of a Go program compiled to WebAssembly what only stack
// traces need, so that browsers load a fifth less:
//
//	trim PROGRAM.wasm OUT.wasm
//
// The names of functions, their files and lines and the trees of inlined calls
// become zeros, which compress to nothing, and the data section is written anew with
// few segments. A program that panics prints a trace without names; in every
// other respect it behaves as before. The garbage collector's tables stay.
//
// The layout is that of Go 1.26 (runtime/symtab.go). Trim changes nothing unless
// everything that it reads is as it expects.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "trim:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: trim PROGRAM.wasm OUT.wasm")
	}
	program, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	out, err := Trim(program)
	if err != nil {
		return fmt.Errorf("%s: %w", os.Args[1], err)
	}
	return os.WriteFile(os.Args[2], out, 0o666)
}

// Trim returns the program without what only stack traces need.
func Trim(program []byte) ([]byte, error) {
	m, err := parseModule(program)
	if err != nil {
		return nil, err
	}
	t, err := findTables(m.memory)
	if err != nil {
		return nil, err
	}
	gone, err := m.removeUnused(t)
	if err != nil {
		return nil, err
	}
	if err := t.clear(gone); err != nil {
		return nil, err
	}
	if err := m.fillAtStart(t); err != nil {
		return nil, err
	}
	return m.encode(), nil
}
