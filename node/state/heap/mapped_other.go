//go:build unix && !linux

package heap

import (
	"errors"
	"os"
)

func newMapped(tracking, uint64, *os.File) (Space, error) {
	return nil, errors.New("heap: the kernel-tracked backends need Linux")
}

// clone is for Linux.
func clone(_, _ *os.File) bool { return false }
