package ic0

import (
	"portico/node/types"
	"portico/node/wasm"
)

func cyclesFunctions() []entry {
	taking := Update | ReplicatedQuery | Reject | Reply
	ptr, i64 := []wasm.ValueType{wasm.Ptr}, []wasm.ValueType{wasm.I64}
	amountTo := []wasm.ValueType{wasm.I64, wasm.I64, wasm.Ptr}
	available := func(m *machine) types.Cycles { return m.Available }
	refunded := func(m *machine) types.Cycles { return m.Refunded }
	balance := func(m *machine) types.Cycles { return m.Balance }
	return []entry{
		{name: "msg_cycles_available128", params: ptr, from: taking, fn: read128("ic0.msg_cycles_available128", available)},
		{name: "msg_cycles_refunded128", params: ptr, from: Reject | Reply, fn: read128("ic0.msg_cycles_refunded128", refunded)},
		{name: "canister_cycle_balance128", params: ptr, from: all, fn: read128("ic0.canister_cycle_balance128", balance)},
		{name: "canister_liquid_cycle_balance128", params: ptr, from: all, fn: read128("ic0.canister_liquid_cycle_balance128", (*machine).liquid)},
		{name: "msg_cycles_available", results: i64, from: taking, only32: true, fn: read64("ic0.msg_cycles_available", available)},
		{name: "msg_cycles_refunded", results: i64, from: Reject | Reply, only32: true, fn: read64("ic0.msg_cycles_refunded", refunded)},
		{name: "canister_cycle_balance", results: i64, from: all, only32: true, fn: read64("ic0.canister_cycle_balance", balance)},
		{name: "msg_cycles_accept128", params: amountTo, from: taking, fn: msgCyclesAccept128},
		{name: "msg_cycles_accept", params: i64, results: i64, from: taking, only32: true, fn: msgCyclesAccept},
		{name: "cycles_burn128", params: amountTo, from: replicated, fn: cyclesBurn128},
	}
}

func read128(name string, get func(*machine) types.Cycles) fn {
	return func(m *machine, args []uint64) error { return m.putCycles(name, args[0], get(m)) }
}

func read64(name string, get func(*machine) types.Cycles) fn {
	return func(m *machine, args []uint64) error {
		c := get(m)
		if c.Hi != 0 {
			return violation("%s: the amount %s does not fit into 64 bits; use %s128", name, c, name)
		}
		args[0] = c.Lo
		return nil
	}
}

func (m *machine) accept(most types.Cycles) types.Cycles {
	// a balance has an upper bound; what is beyond stays with the call
	got := most.Min(m.Available).Min(types.MaxCycles().Sub(m.Balance))
	m.Available = m.Available.Sub(got)
	m.Accepted = m.Accepted.Add(got)
	m.Balance = m.Balance.Add(got)
	return got
}

func msgCyclesAccept(m *machine, args []uint64) error {
	args[0] = m.accept(types.CyclesOf(args[0])).Lo
	return nil
}

func msgCyclesAccept128(m *machine, args []uint64) error {
	return m.putCycles("ic0.msg_cycles_accept128", args[2], m.accept(types.Cycles{Hi: args[0], Lo: args[1]}))
}

func cyclesBurn128(m *machine, args []uint64) error {
	burned := types.Cycles{Hi: args[0], Lo: args[1]}.Min(m.liquid())
	m.Balance = m.Balance.Sub(burned)
	m.Burned = m.Burned.Add(burned)
	return m.putCycles("ic0.cycles_burn128", args[2], burned)
}

func costFunctions() []entry {
	sign := []wasm.ValueType{wasm.Ptr, wasm.Ptr, wasm.I32, wasm.Ptr}
	i32 := []wasm.ValueType{wasm.I32}
	return []entry{
		{name: "cost_call", params: []wasm.ValueType{wasm.I64, wasm.I64, wasm.Ptr}, from: all | Start, fn: costCall},
		{name: "cost_create_canister", params: []wasm.ValueType{wasm.Ptr}, from: all | Start, fn: costCreateCanister},
		{name: "cost_http_request", params: []wasm.ValueType{wasm.I64, wasm.I64, wasm.Ptr}, from: all | Start, fn: costHTTPRequest},
		{name: "cost_sign_with_ecdsa", params: sign, results: i32, from: all | Start, fn: costSign("ic0.cost_sign_with_ecdsa", ECDSA)},
		{name: "cost_sign_with_schnorr", params: sign, results: i32, from: all | Start, fn: costSign("ic0.cost_sign_with_schnorr", Schnorr)},
		{name: "cost_vetkd_derive_key", params: sign, results: i32, from: all | Start, fn: costSign("ic0.cost_vetkd_derive_key", VetKD)},
	}
}

func costCall(m *machine, args []uint64) error {
	sent, reserved := m.Costs.Call(args[0], args[1])
	return m.putCycles("ic0.cost_call", args[2], sent.Add(reserved))
}

func costCreateCanister(m *machine, args []uint64) error {
	return m.putCycles("ic0.cost_create_canister", args[0], m.Costs.CreateCanister())
}

func costHTTPRequest(m *machine, args []uint64) error {
	return m.putCycles("ic0.cost_http_request", args[2], m.Costs.HTTPRequest(args[0], args[1]))
}

// Results of the cost_sign functions besides 0, success.
const (
	costUnknownCurve = 1
	costUnknownKey   = 2
)

// maxKeyNameBytes is longer than the name of any key: what follows makes no difference.
const maxKeyNameBytes = 256

func costSign(name string, scheme SignScheme) fn {
	return func(m *machine, args []uint64) error {
		if err := m.within(name, args[0], args[1]); err != nil {
			return err
		}
		key := string(m.caller.Bytes(args[0], min(args[1], maxKeyNameBytes)))
		dst := args[3]
		if err := m.within(name, dst, 16); err != nil {
			return err
		}
		if args[2] >= curves[scheme] {
			args[0] = costUnknownCurve
			return nil
		}
		cost, ok := m.Costs.Sign(scheme, key)
		if !ok {
			args[0] = costUnknownKey
			return nil
		}
		args[0] = 0
		return m.putCycles(name, dst, cost)
	}
}
