package cdk

import (
	"encoding/binary"
	"errors"
	"runtime"
	"time"

	"portico/node/types"
)

// The functions through which the system enters this package.

// answered serves both callbacks of every call: the system tells a reply by the
// reject code zero.
//
//go:wasmexport cdk_callback
func answered(env uint32) {
	p := takeCall(env)
	p.response.Refunded = cycles(msgCyclesRefunded)
	if code := msgRejectCode(); code != 0 {
		p.err = &RejectError{types.RejectCode(code), string(read(msgRejectMsgSize, msgRejectMsgCopy))}
	} else {
		p.response.Arg = read(msgArgDataSize, msgArgDataCopy)
	}
	before := runtime.NumGoroutine()
	close(p.done)
	p.message.settle(before)
}

// abandoned is told that the answer's execution trapped and was undone, so that
// the goroutine waits for the call again; it never will be answered.
//
//go:wasmexport cdk_cleanup
func abandoned(env uint32) {
	p := takeCall(env)
	p.abandoned = true
	close(p.done)
	time.Sleep(time.Nanosecond)
}

func takeCall(env uint32) *pending {
	p, ok := system.calls[env]
	if !ok {
		Trap("the system answered a call that is not under way")
	}
	delete(system.calls, env)
	p.message.calls--
	system.current = p.message
	return p
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
