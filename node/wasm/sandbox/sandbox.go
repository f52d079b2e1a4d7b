//go:build unix

// Package sandbox runs canisters' code in processes of its own, so that a defect of the
// compiler, or of the code that it makes, reaches neither the replica's keys nor its state.
//
// # What is where
//
// A Pool is the guest.Backend that package wasm runs on instead of wazero in its own
// process. It has a few processes; each serves a group of canisters, has the private mappings
// of their heaps (package state/heap asks Group for its Spaces), compiles their modules and
// runs them. Everything that counts, allows or decides stays in the replica: the rewriter,
// the counting of instructions, all host functions and the state that they work on. A host
// function reads and writes the canister's memory through the kernel (process_vm_readv).
//
// # How they talk
//
// Requests and host calls go through slots of a shared page range, each a strict
// alternation of two sides that wait on a futex. Files are passed over a Unix socket,
// opened for reading only. Nothing that a process says is trusted: sizes of memories are
// kept here, indexes and lengths are checked, and whoever breaks the protocol is killed.
//
// # What a process may do
//
// It has no environment and no open files but these, and a seccomp filter leaves it
// memory, threads, its own page map and the socket: it opens no file, makes no connection and
// reaches no other process. Where the system has no seccomp, the Pool's Confined says so.
//
// # When a process ends
//
// A call in progress ends with guest.ErrCrashed and Spaces with heap.ErrGone; the next
// NewSpace of the group starts another process. Linux only.
package sandbox

import (
	"io"

	"portico/node/state/heap"
	"portico/node/wasm/instrument"
)

// Config says what runs in the processes.
type Config struct {
	// Command starts a process that calls Serve at once, with the same Imports.
	Command []string
	Imports []instrument.Import
	Groups  int          // of canisters, each with a process; 0 is 2
	Backend heap.Backend // of the mappings
	Stderr  io.Writer    // of the processes
}
