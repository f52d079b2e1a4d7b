package messaging_test

import (
	"syscall"
	"time"
)

// cpuTime is what the process has used of all processors: figures that others on the
// machine do not change.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
