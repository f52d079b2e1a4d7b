package wasm

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadTime is the processor time that this thread has used: what else the machine
// does counts less than in the time of day.
func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}
