package cdk

import (
	"encoding/binary"
	"errors"
	"runtime"
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

// globalTimer has every due timer executed by a call of the canister to itself: one
// that traps undoes only its own work, and neither loses the others nor leaves the
// global timer unset.
//
//go:wasmexport canister_global_timer
func globalTimer() {
	m := newTask()
	before := runtime.NumGoroutine()
	s := &system.timers
	now := Time()
	for len(s.waiting) > 0 && s.waiting[0].at <= now {
		t := s.waiting[0]
		s.waiting = s.waiting[1:]
		if s.due == nil {
			s.due = map[TimerID]timer{}
		}
		s.due[t.id] = t
		arg := binary.BigEndian.AppendUint64(nil, uint64(t.id))
		go func() {
			_, err := m.Call(Call{Canister: Self(), Method: timerMethod, Arg: arg})
			s.fired(t, err)
		}()
	}
	s.arm()
	m.settle(before)
}

// timerMethod is how the canister calls itself.
const timerMethod = "cdk_timer"

//go:wasmexport canister_update_cdk_timer
func fire() {
	Update(func(m *Message) error {
		if m.Caller() != Self() {
			return errors.New("only the canister itself fires its timers")
		}
		if len(m.Arg()) != 8 {
			return errors.New("a timer is named by 8 bytes")
		}
		if t, ok := system.timers.due[TimerID(binary.BigEndian.Uint64(m.Arg()))]; ok {
			return t.do(m)
		}
		return nil
	})
}

// fired sets a repeating timer again after its handler has ended, however it did.
func (s *timerSet) fired(t timer, err error) {
	if err != nil {
		Print("timer: " + err.Error())
	}
	if _, ok := s.due[t.id]; !ok {
		return // stopped meanwhile
	}
	delete(s.due, t.id)
	if t.every > 0 {
		t.at = max(t.at.Add(t.every), Time()+1)
		s.insert(t)
		s.arm()
	}
}
