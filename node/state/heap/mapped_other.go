//go:build unix && !linux

package heap

import "errors"

func newMapped(tracking, uint64) (space, error) {
	return nil, errors.New("heap: the kernel-tracked backends need Linux")
}
