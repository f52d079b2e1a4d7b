package cdktest

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"portico/lightclient/principal"
	"portico/node/types"
)

// call is one system call: its arguments, and room for its result.
type call struct {
	*Canister
	mem   api.Memory
	stack []uint64
}

func (s call) u32(i int) uint32 { return uint32(s.stack[i]) }

// bytes is a copy of the canister's memory at the place and length in arguments i and i+1.
func (s call) bytes(i int) []byte {
	b, ok := s.mem.Read(s.u32(i), s.u32(i+1))
	if !ok {
		s.trap("a system call reads beyond the memory")
	}
	return slices.Clone(b)
}

func (s call) id(i int) principal.ID {
	id, err := principal.FromBytes(s.bytes(i))
	if err != nil {
		s.trap(err.Error())
	}
	return id
}

func (s call) trap(text string) {
	s.exec.trap = text
	panic(text)
}

// copyOut serves the _copy functions: (dst, offset, size) at argument i.
func (s call) copyOut(i int, b []byte) {
	off, size := uint64(s.u32(i+1)), uint64(s.u32(i+2))
	if off+size > uint64(len(b)) {
		s.trap("a system call copies more than there is")
	}
	if !s.mem.Write(s.u32(i), b[off:off+size]) {
		s.trap("a system call writes beyond the memory")
	}
}

func (s call) putCycles(i int, c types.Cycles) {
	b := binary.LittleEndian.AppendUint64(nil, c.Lo)
	if !s.mem.Write(s.u32(i), binary.LittleEndian.AppendUint64(b, c.Hi)) {
		s.trap("a system call writes beyond the memory")
	}
}

func (s call) answer() {
	if s.exec.message.Answered {
		s.trap("the message has been answered")
	}
	s.exec.message.Answered = true
}

// blob serves a pair of _size and _copy functions.
type blob struct {
	name string
	get  func(call) []byte
}

// function serves one system call; the signature is in wazero's letters: i for i32,
// I for i64, the result after a colon.
type function struct {
	name, signature string
	do              func(call)
}

func (c *Canister) host(ctx context.Context) error {
	b := c.runtime.NewHostModuleBuilder("ic0")
	define := func(f function) {
		var params, results []api.ValueType
		into := &params
		for _, l := range f.signature {
			switch l {
			case 'i':
				*into = append(*into, api.ValueTypeI32)
			case 'I':
				*into = append(*into, api.ValueTypeI64)
			case ':':
				into = &results
			}
		}
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, stack []uint64) {
			f.do(call{c, m.Memory(), stack})
		}), params, results).Export(f.name)
	}
	for _, f := range slices.Concat(messageFunctions(), callFunctions(), systemFunctions()) {
		define(f)
	}
	for _, v := range blobs() {
		define(function{v.name + "_size", ":i", func(s call) { s.stack[0] = uint64(len(v.get(s))) }})
		define(function{v.name + "_copy", "iii", func(s call) { s.copyOut(0, v.get(s)) }})
	}
	_, err := b.Instantiate(ctx)
	return err
}

func blobs() []blob {
	return []blob{
		{"msg_arg_data", func(s call) []byte { return s.exec.arg }},
		{"msg_caller", func(s call) []byte { return s.exec.message.Caller.Bytes() }},
		{"msg_caller_info_data", func(call) []byte { return nil }},
		{"msg_caller_info_signer", func(call) []byte { return nil }},
		{"msg_reject_msg", func(s call) []byte { return []byte(s.exec.rejectText) }},
		{"canister_self", func(s call) []byte { return s.Self.Bytes() }},
		{"msg_method_name", func(call) []byte { return nil }},
		{"root_key", func(s call) []byte { return s.RootKey }},
		{"data_certificate", func(s call) []byte { return s.Certify(s.Certified) }},
	}
}

func messageFunctions() []function {
	return []function{
		{"msg_reject_code", ":i", func(s call) { s.stack[0] = uint64(s.exec.rejectCode) }},
		{"msg_deadline", ":I", func(s call) { s.stack[0] = 0 }},
		{"msg_reply_data_append", "ii", func(s call) { s.exec.reply = append(s.exec.reply, s.bytes(0)...) }},
		{"msg_reply", "", func(s call) {
			s.answer()
			s.exec.message.Reply = append([]byte{}, s.exec.reply...)
		}},
		{"msg_reject", "ii", func(s call) {
			s.answer()
			s.exec.message.RejectText = string(s.bytes(0))
		}},
		{"msg_cycles_available128", "i", func(s call) { s.putCycles(0, s.exec.message.Cycles) }},
		{"msg_cycles_refunded128", "i", func(s call) { s.putCycles(0, types.Cycles{}) }},
		{"msg_cycles_accept128", "IIi", func(s call) {
			took := s.exec.message.Cycles.Min(types.Cycles{Hi: s.stack[0], Lo: s.stack[1]})
			s.exec.message.Cycles = s.exec.message.Cycles.Sub(took)
			s.Balance = s.Balance.Add(took)
			s.putCycles(2, took)
		}},
		{"accept_message", "", func(call) {}},
	}
}

func callFunctions() []function {
	return []function{
		{"call_new", "iiiiiiii", func(s call) {
			s.exec.call = &Call{
				Canister: s.id(0), Method: string(s.bytes(2)), message: s.exec.message,
				reply: s.u32(4), replyEnv: s.u32(5), reject: s.u32(6), rejectEnv: s.u32(7),
			}
		}},
		{"call_on_cleanup", "ii", func(s call) {
			s.exec.call.hasCleanup, s.exec.call.cleanup, s.exec.call.cleanupEnv = true, s.u32(0), s.u32(1)
		}},
		{"call_with_best_effort_response", "i", func(s call) { s.exec.call.Patience = s.u32(0) }},
		{"call_data_append", "ii", func(s call) { s.exec.call.Arg = append(s.exec.call.Arg, s.bytes(0)...) }},
		{"call_cycles_add128", "II", func(s call) {
			c := types.Cycles{Hi: s.stack[0], Lo: s.stack[1]}
			s.Balance = s.Balance.Sub(c)
			s.exec.call.Cycles = s.exec.call.Cycles.Add(c)
		}},
		{"call_perform", ":i", func(s call) {
			s.exec.sent = append(s.exec.sent, s.exec.call)
			s.stack[0] = 0
		}},
	}
}

func systemFunctions() []function {
	return []function{
		{"cycles_burn128", "IIi", func(s call) { s.putCycles(2, types.Cycles{}) }},
		{"canister_cycle_balance128", "i", func(s call) { s.putCycles(0, s.Balance) }},
		{"canister_liquid_cycle_balance128", "i", func(s call) { s.putCycles(0, s.Balance) }},
		{"canister_version", ":I", func(s call) { s.stack[0] = 1 }},
		{"stable64_size", ":I", func(s call) { s.stack[0] = uint64(len(s.Stable) / page) }},
		{"stable64_grow", "I:I", func(s call) {
			old := uint64(len(s.Stable) / page)
			s.Stable = append(s.Stable, make([]byte, s.stack[0]*page)...)
			s.stack[0] = old
		}},
		{"stable64_write", "III", func(s call) {
			off, src, size := s.stack[0], s.stack[1], s.stack[2]
			b, ok := s.mem.Read(uint32(src), uint32(size))
			if !ok || off+size > uint64(len(s.Stable)) {
				s.trap("stable64_write beyond a memory")
			}
			copy(s.Stable[off:], b)
		}},
		{"stable64_read", "III", func(s call) {
			dst, off, size := s.stack[0], s.stack[1], s.stack[2]
			if off+size > uint64(len(s.Stable)) || !s.mem.Write(uint32(dst), s.Stable[off:off+size]) {
				s.trap("stable64_read beyond a memory")
			}
		}},
		{"certified_data_set", "ii", func(s call) { s.Certified = s.bytes(0) }},
		{"data_certificate_present", ":i", func(s call) {
			s.stack[0] = 0
			if s.exec.query && s.Certify != nil {
				s.stack[0] = 1
			}
		}},
		{"time", ":I", func(s call) { s.stack[0] = uint64(s.Now) }},
		{"global_timer_set", "I:I", func(s call) {
			old := uint64(s.Timer)
			s.Timer = types.Time(s.stack[0])
			s.stack[0] = old
		}},
		{"performance_counter", "i:I", func(s call) { s.stack[0] = 0 }},
		{"is_controller", "ii:i", func(s call) {
			is := slices.Contains(s.Controllers, s.id(0))
			s.stack[0] = 0
			if is {
				s.stack[0] = 1
			}
		}},
		{"in_replicated_execution", ":i", func(s call) {
			s.stack[0] = 1
			if s.exec.query {
				s.stack[0] = 0
			}
		}},
		{"env_var_count", ":i", func(s call) { s.stack[0] = uint64(len(s.Env)) }},
		{"env_var_name_size", "i:i", func(s call) { s.stack[0] = uint64(len(s.Env[s.u32(0)][0])) }},
		{"env_var_name_copy", "iiii", func(s call) { s.copyOut(1, []byte(s.Env[s.u32(0)][0])) }},
		{"env_var_value_size", "ii:i", func(s call) { s.stack[0] = uint64(len(s.value())) }},
		{"env_var_value_copy", "iiiii", func(s call) { s.copyOut(2, s.value()) }},
		{"debug_print", "ii", func(s call) { s.Log = append(s.Log, string(s.bytes(0))) }},
		{"trap", "ii", func(s call) { s.trap(string(s.bytes(0))) }},
	}
}

func (s call) value() []byte {
	name := string(s.bytes(0))
	for _, v := range s.Env {
		if v[0] == name {
			return []byte(v[1])
		}
	}
	s.trap("there is no environment variable " + name)
	return nil
}
