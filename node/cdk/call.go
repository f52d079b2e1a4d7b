package cdk

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"portico/lightclient/principal"
	"portico/node/types"
)

// Call is a call to a method of another canister, of this one, or of the
// management canister.
type Call struct {
	Canister principal.ID
	Method   string
	Arg      []byte // usually Candid
	Cycles   types.Cycles

	// Patience bounds the wait for the response, in whole seconds; zero waits for as
	// long as it takes. A call that runs out of it is rejected with
	// types.SysUnknown: it may or may not have been executed.
	Patience time.Duration
}

// Response is the answer to a call.
type Response struct {
	Arg      []byte
	Refunded types.Cycles
}

// RejectError is a call that was not answered with a reply.
type RejectError struct {
	Code    types.RejectCode
	Message string
}

func (e *RejectError) Error() string { return fmt.Sprintf("call rejected (%d): %s", e.Code, e.Message) }

// ErrNotSent is a call the system did not take: its queues are full or the
// canister has too few cycles.
var ErrNotSent = errors.New("the system did not take the call")

// pending is a call under way. Its goroutine waits until done is closed.
type pending struct {
	message   *Message
	response  Response
	err       error
	abandoned bool
	done      chan struct{}
}

// callsBits: the calls of a program are numbered from its first one's time on, in units of 66
// microseconds. No program makes as many as pass; after 78 hours numbers come again.
const callsBits = 16

// Call sends c and waits for its answer; meanwhile the canister serves other
// messages, and what they change this one sees. The error is a *RejectError or
// ErrNotSent. If the code after the answer traps, what it did since is undone and
// the goroutine ends, running its deferred functions.
func (m *Message) Call(c Call) (Response, error) {
	m.must("call on behalf of")
	if system.calls == nil {
		// An answer to a call of the code before an upgrade must not find one of this code.
		system.calls, system.nextCall = map[uint32]*pending{}, uint32(icTime()>>callsBits)
	}
	env := system.nextCall
	callee, method := c.Canister.Bytes(), []byte(c.Method)
	withBytes(callee, func(to ptr, toSize uint32) {
		withBytes(method, func(name ptr, nameSize uint32) {
			callNew(to, toSize, name, nameSize, callbackIndex(), env, callbackIndex(), env)
		})
	})
	callOnCleanup(cleanupIndex(), env)
	withBytes(c.Arg, callDataAppend)
	if !c.Cycles.IsZero() {
		callCyclesAdd(c.Cycles.Hi, c.Cycles.Lo)
	}
	if c.Patience > 0 {
		callWithBestEffortResponse(uint32(min((c.Patience+time.Second-1)/time.Second, math.MaxUint32)))
	}
	if callPerform() != 0 {
		return Response{}, ErrNotSent
	}
	system.nextCall++
	p := &pending{message: m, done: make(chan struct{})}
	system.calls[env] = p
	m.calls++
	<-p.done
	if p.abandoned {
		runtime.Goexit()
	}
	return p.response, p.err
}
