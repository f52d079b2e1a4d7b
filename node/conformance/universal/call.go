package universal

// Call is a call to another canister. The zero value of a callback answers the caller:
// with the reply, or with the message of the reject.
type Call struct {
	Callee  Program // a blob
	Method  string
	Arg     Program // a blob; nil for none
	Cycles  Program // two numbers, high and low; nil for none
	Timeout Program // seconds of a bounded-wait call; nil for a guaranteed response

	OnReply, OnReject, OnCleanup Program
}

// New begins the call and adds all but its argument and cycles.
func (c Call) New() Program {
	onReply, onReject := c.OnReply, c.OnReject
	if onReply == nil {
		onReply = Reply(Arg())
	}
	if onReject == nil {
		onReject = Reject(Get("msg_reject_msg"))
	}
	out := IC0("call_new", Split(c.Callee), Split(Text(c.Method)), Closure(onReply), Closure(onReject))
	if c.OnCleanup != nil {
		out = Seq(out, IC0("call_on_cleanup", Closure(c.OnCleanup)))
	}
	if c.Timeout != nil {
		out = Seq(out, IC0("call_with_best_effort_response", c.Timeout))
	}
	return out
}

// Perform is the whole call; its value is the result of call_perform.
func (c Call) Perform() Program {
	out := c.New()
	if c.Arg != nil {
		out = Seq(out, IC0("call_data_append", Split(c.Arg)))
	}
	if c.Cycles != nil {
		out = Seq(out, IC0("call_cycles_add128", c.Cycles))
	}
	return Seq(out, IC0("call_perform"))
}

// Do makes the call and traps if it cannot be queued.
func (c Call) Do() Program {
	return If(c.Perform(), Trap("call_perform failed"), nil)
}

// Closure is the table entry and the environment of a callback that runs a program.
func Closure(p Program) Program { return Seq(Int(callbackIndex), do("closure", Bytes(p))) }
