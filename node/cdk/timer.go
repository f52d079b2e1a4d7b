package cdk

import (
	"slices"
	"time"

	"portico/node/types"
)

// TimerID names a timer.
type TimerID uint64

type timer struct {
	id    TimerID
	at    types.Time
	every time.Duration // zero for a timer that fires once
	do    Handler
}

// timerSet holds the timers not yet due, earliest first.
type timerSet struct {
	waiting []timer
	due     map[TimerID]timer
	last    TimerID
}

// After has do executed as a message of its own once d has passed. Upgrades forget
// all timers: set them again in PostUpgrade.
func After(d time.Duration, do Handler) TimerID {
	return system.timers.add(timer{at: Time().Add(d), do: do})
}

// Every has do executed every d, or less often if the canister does not keep up.
func Every(d time.Duration, do Handler) TimerID {
	return system.timers.add(timer{at: Time().Add(d), every: max(d, 1), do: do})
}

// Stop forgets a timer; one already forgotten is none of its business.
func (id TimerID) Stop() {
	t := &system.timers
	delete(t.due, id)
	t.waiting = slices.DeleteFunc(t.waiting, func(t timer) bool { return t.id == id })
}

func (s *timerSet) add(t timer) TimerID {
	s.last++
	t.id = s.last
	s.insert(t)
	s.arm()
	return t.id
}

func (s *timerSet) insert(t timer) {
	i, _ := slices.BinarySearchFunc(s.waiting, t.at+1, func(t timer, at types.Time) int {
		if t.at < at {
			return -1
		}
		return 1
	})
	s.waiting = slices.Insert(s.waiting, i, t)
}

func (s *timerSet) arm() {
	if len(s.waiting) > 0 {
		globalTimerSet(uint64(s.waiting[0].at))
	}
}
