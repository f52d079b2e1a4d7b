package conformance

import (
	"portico/lightclient"
	u "portico/node/conformance/universal"
)

// hold is a canister that does not answer a call until it is told to.
type hold struct{ *canister }

const (
	held     = "held"
	released = "free"
)

func (c *check) newHold() *hold {
	c.Helper()
	return &hold{c.install()}
}

// call is a call to the canister, which is not answered before the release.
func (h *hold) call() u.Call {
	again := u.Run(u.Hooked(u.Spare))
	step := u.If(u.Equal(u.ToInt(u.Global()), u.ToInt(u.Text(held))),
		u.Call{Callee: u.Self(), Method: u.Query, Arg: u.Code(u.Reply(u.Text(""))), OnReply: again, OnReject: again}.Do(),
		u.Reply(u.Text(released)))
	return program(h.id, u.SetGlobal(u.Text(held)), u.SetHook(u.Spare, u.Free(), step), u.Keep(), again)
}

// taken waits until the canister has the call.
func (h *hold) taken() {
	h.Helper()
	h.await("the held call arrives", func() bool { return string(h.get(u.Global())) == held })
}

func (h *hold) release() {
	h.Helper()
	h.run(u.SetGlobal(u.Text(released)))
}

// later runs a call while the check goes on.
func (c *check) later(f func() answer) <-chan answer {
	out := make(chan answer, 1)
	go func() {
		defer close(out)
		out <- f()
	}()
	return out
}

// holding starts an update of the canister that waits for the hold.
func (can *canister) holding(h *hold, call u.Call) <-chan answer {
	can.Helper()
	out := can.later(func() answer { return can.update(call.Do()) })
	h.taken()
	return out
}

// pending checks that no answer has come yet.
func (c *check) pending(what string, out <-chan answer) {
	c.Helper()
	select {
	case a := <-out:
		c.Errorf("%s: want no answer yet, got %v", what, a)
	default:
	}
}

// message is a call of a method of this canister.
func (can *canister) message(method string, arg u.Program) lightclient.Message {
	return lightclient.Message{Canister: can.id, Method: method, Arg: arg}
}
