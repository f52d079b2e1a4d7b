//go:build unix && !linux

package sandbox

import (
	"context"
	"errors"

	"portico/node/state/heap"
	"portico/node/wasm/guest"
	"portico/node/wasm/instrument"
)

var errLinux = errors.New("sandbox: processes for canisters need Linux")

// Pool cannot be made here.
type Pool struct{}

// New fails.
func New(Config) (*Pool, error) { return nil, errLinux }

// Confined implements nothing here.
func (p *Pool) Confined() error { return errLinux }

// Group implements nothing here.
func (p *Pool) Group(uint64) heap.Spaces { return nil }

// Compile implements guest.Backend.
func (p *Pool) Compile(context.Context, []byte, guest.Shape) (guest.Code, error) {
	return nil, errLinux
}

// Close implements guest.Backend.
func (p *Pool) Close() error { return nil }

// Called is false.
func Called() bool { return false }

// Serve fails.
func Serve([]instrument.Import) error { return errLinux }
