package ic0

import (
	"unicode/utf8"

	"portico/node/types"
	"portico/node/wasm"
)

// maxMethodNameBytes is the longest method name that call_new takes.
const maxMethodNameBytes = 20_000

// maxCallTimeoutSeconds bounds the wait of a bounded-wait call (MAX_CALL_TIMEOUT).
const maxCallTimeoutSeconds = 300

// performFailed is what call_perform returns when the call cannot be queued.
const performFailed = uint64(types.SysTransient)

func callFunctions() []entry {
	p := wasm.Ptr
	return []entry{
		{name: "call_new", params: []wasm.ValueType{p, p, p, p, p, p, p, p}, from: calling, fn: callNew},
		{name: "call_on_cleanup", params: []wasm.ValueType{p, p}, from: calling, fn: callOnCleanup},
		{name: "call_data_append", params: []wasm.ValueType{p, p}, from: calling, fn: callDataAppend},
		{name: "call_with_best_effort_response", params: []wasm.ValueType{wasm.I32}, from: calling, fn: callWithBestEffortResponse},
		{name: "call_cycles_add128", params: []wasm.ValueType{wasm.I64, wasm.I64}, from: Update | Reply | Reject | Task, fn: callCyclesAdd128},
		{name: "call_cycles_add", params: []wasm.ValueType{wasm.I64}, from: Update | Reply | Reject | Task, only32: true, fn: callCyclesAdd},
		{name: "call_perform", results: []wasm.ValueType{wasm.I32}, from: calling, fn: callPerform},
	}
}

// DropUnfinishedCall returns the cycles of a call that was never performed; the
// execution layer calls it when the message has ended.
func (e *Env) DropUnfinishedCall() {
	if e.building != nil {
		e.Balance = e.Balance.Add(e.building.Cycles)
		e.building = nil
	}
}

func callNew(m *machine, args []uint64) error {
	m.DropUnfinishedCall()
	id, err := m.principalAt("ic0.call_new", args[0], args[1])
	if err != nil {
		return err
	}
	if args[3] > maxMethodNameBytes {
		return violation("ic0.call_new: a method name of %d bytes is longer than %d", args[3], maxMethodNameBytes)
	}
	name, err := m.from("ic0.call_new", args[2], args[3])
	if err != nil {
		return err
	}
	if !utf8.Valid(name) {
		return violation("ic0.call_new: the method name is not UTF-8")
	}
	m.building = &Call{
		Callee: id, Method: string(name),
		Reply: Closure{args[4], args[5]}, Reject: Closure{args[6], args[7]},
	}
	return nil
}

func (m *machine) builder(what string) (*Call, error) {
	if m.building == nil {
		return nil, violation("%s called when no call is under construction", what)
	}
	return m.building, nil
}

func callOnCleanup(m *machine, args []uint64) error {
	call, err := m.builder("ic0.call_on_cleanup")
	if err != nil {
		return err
	}
	if call.Cleanup != nil {
		return violation("ic0.call_on_cleanup can be called at most once between `ic0.call_new` and `ic0.call_perform`")
	}
	call.Cleanup = &Closure{args[0], args[1]}
	return nil
}

func callDataAppend(m *machine, args []uint64) error {
	call, err := m.builder("ic0.call_data_append")
	if err != nil {
		return err
	}
	if err := m.within("ic0.call_data_append", args[0], args[1]); err != nil {
		return err
	}
	if total := uint64(len(call.Arg)) + args[1]; total > m.Limits.MaxCallPayloadBytes {
		return violation("ic0.call_data_append: a payload of %d bytes is larger than %d", total, m.Limits.MaxCallPayloadBytes)
	}
	call.Arg = append(call.Arg, m.caller.Bytes(args[0], args[1])...)
	return nil
}

func callWithBestEffortResponse(m *machine, args []uint64) error {
	call, err := m.builder("ic0.call_with_best_effort_response")
	if err != nil {
		return err
	}
	if call.Bounded {
		return violation("ic0.call_with_best_effort_response can be called at most once for a call")
	}
	call.Bounded, call.TimeoutSeconds = true, uint32(min(args[0], maxCallTimeoutSeconds))
	return nil
}

func callCyclesAdd(m *machine, args []uint64) error { return m.addCycles(types.CyclesOf(args[0])) }

func callCyclesAdd128(m *machine, args []uint64) error {
	return m.addCycles(types.Cycles{Hi: args[0], Lo: args[1]})
}

func (m *machine) addCycles(amount types.Cycles) error {
	call, err := m.builder("ic0.call_cycles_add")
	if err != nil {
		return err
	}
	if amount.Cmp(m.liquid()) > 0 {
		return types.Rejectf(types.ErrCanisterOutOfCycles, "Canister %s is out of cycles: it has %s to spend above its freezing threshold, but tried to send %s", m.Self, m.liquid(), amount)
	}
	m.Balance = m.Balance.Sub(amount)
	call.Cycles = call.Cycles.Add(amount)
	return nil
}

// liquid is what the canister may spend without being frozen.
func (m *machine) liquid() types.Cycles { return m.Balance.Sub(m.FreezingThreshold) }

func callPerform(m *machine, args []uint64) error {
	call, err := m.builder("ic0.call_perform")
	if err != nil {
		return err
	}
	sent, reserved := m.Costs.Call(uint64(len(call.Method)), uint64(len(call.Arg)))
	cost := sent.Add(reserved)
	if m.Context&(CompositeQuery|CompositeReply|CompositeReject) != 0 {
		sent, reserved, cost = types.Cycles{}, types.Cycles{}, types.Cycles{}
	}
	if cost.Cmp(m.liquid()) > 0 || len(m.Calls) >= m.Limits.MaxCalls || !m.TakeCall(call) {
		m.DropUnfinishedCall()
		args[0] = performFailed
		return nil
	}
	m.Balance = m.Balance.Sub(cost)
	call.Reserved = reserved
	m.Calls = append(m.Calls, *call)
	m.building = nil
	args[0] = 0
	return nil
}
