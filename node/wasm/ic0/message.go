package ic0

import (
	"unicode/utf8"

	"portico/node/types"
	"portico/node/wasm"
)

func messageFunctions() []entry {
	withCallerInfo := Update | ReplicatedQuery | Query | CompositeQuery | Reply | Reject | CompositeReply | CompositeReject | Cleanup | CompositeCleanup | Inspect
	out := blob("msg_arg_data", Init|Update|ReplicatedQuery|Query|Transform|CompositeQuery|Reply|CompositeReply|Inspect,
		func(m *machine) ([]byte, error) { return m.Arg, nil })
	out = append(out, blob("msg_caller", all, func(m *machine) ([]byte, error) { return m.Caller.Bytes(), nil })...)
	out = append(out, blob("msg_caller_info_data", withCallerInfo, func(m *machine) ([]byte, error) { return m.CallerInfo, nil })...)
	out = append(out, blob("msg_caller_info_signer", withCallerInfo, func(m *machine) ([]byte, error) { return m.CallerSigner, nil })...)
	out = append(out, blob("msg_reject_msg", Reject|CompositeReject, func(m *machine) ([]byte, error) { return []byte(m.RejectMsg), nil })...)
	out = append(out, blob("msg_method_name", Inspect, func(m *machine) ([]byte, error) { return []byte(m.Method), nil })...)
	return append(out,
		entry{name: "msg_reject_code", results: []wasm.ValueType{wasm.I32}, from: Reply | Reject | CompositeReply | CompositeReject | Cleanup, fn: msgRejectCode},
		entry{name: "msg_deadline", results: []wasm.ValueType{wasm.I64}, from: Update | ReplicatedQuery | Query | CompositeQuery | Reply | Reject | CompositeReply | CompositeReject, fn: msgDeadline},
		entry{name: "msg_reply_data_append", params: []wasm.ValueType{wasm.Ptr, wasm.Ptr}, from: responding, fn: msgReplyDataAppend},
		entry{name: "msg_reply", from: responding, fn: msgReply},
		entry{name: "msg_reject", params: []wasm.ValueType{wasm.Ptr, wasm.Ptr}, from: responding, fn: msgReject},
		entry{name: "accept_message", from: Inspect, fn: acceptMessage},
	)
}

func msgRejectCode(m *machine, args []uint64) error {
	args[0] = uint64(m.RejectCode)
	return nil
}

func msgDeadline(m *machine, args []uint64) error {
	args[0] = uint64(m.Deadline)
	return nil
}

// mayAnswer checks that the call is still unanswered.
func (m *machine) mayAnswer(what string) error {
	if m.Answer != nil || m.Responded {
		return violation("%s: the call has already been replied to or rejected", what)
	}
	return nil
}

func msgReplyDataAppend(m *machine, args []uint64) error {
	if err := m.mayAnswer("ic0.msg_reply_data_append"); err != nil {
		return err
	}
	if err := m.within("ic0.msg_reply_data_append", args[0], args[1]); err != nil {
		return err
	}
	if total := uint64(len(m.reply)) + args[1]; total > m.Limits.MaxReplyBytes {
		return violation("ic0.msg_reply_data_append: application payload size (%d) cannot be larger than %d", total, m.Limits.MaxReplyBytes)
	}
	m.reply = append(m.reply, m.caller.Bytes(args[0], args[1])...)
	return nil
}

func msgReply(m *machine, _ []uint64) error {
	if err := m.mayAnswer("ic0.msg_reply"); err != nil {
		return err
	}
	m.Answer = &Answer{Data: m.reply}
	m.reply = nil
	return nil
}

func msgReject(m *machine, args []uint64) error {
	if err := m.mayAnswer("ic0.msg_reject"); err != nil {
		return err
	}
	if err := m.within("ic0.msg_reject", args[0], args[1]); err != nil {
		return err
	}
	if args[1] > m.Limits.MaxReplyBytes {
		return violation("ic0.msg_reject: application payload size (%d) cannot be larger than %d", args[1], m.Limits.MaxReplyBytes)
	}
	b := m.caller.Bytes(args[0], args[1])
	if !utf8.Valid(b) {
		return violation("ic0.msg_reject: the reject message is not UTF-8")
	}
	m.Answer = &Answer{Rejected: true, Data: append([]byte(nil), b...)}
	m.reply = nil
	return nil
}

func acceptMessage(m *machine, _ []uint64) error {
	if m.MessageOK {
		return violation("ic0.accept_message: the message has already been accepted")
	}
	m.MessageOK = true
	return nil
}

func debugFunctions() []entry {
	return []entry{
		{name: "debug_print", params: []wasm.ValueType{wasm.Ptr, wasm.Ptr}, from: all | Start, fn: debugPrint},
		{name: "trap", params: []wasm.ValueType{wasm.Ptr, wasm.Ptr}, from: all | Start, fn: trap},
	}
}

// maxLogBytes bounds what one debug_print or trap keeps.
const maxLogBytes = 4 * types.KiB

// maxLogRecords bounds how many lines one message may log.
const maxLogRecords = 128

func (m *machine) text(what string, args []uint64) []byte {
	size := min(args[1], maxLogBytes)
	b, err := m.from(what, args[0], size)
	if err != nil {
		return []byte("(" + what + " of a message that is out of bounds)")
	}
	return append([]byte(nil), b...)
}

func debugPrint(m *machine, args []uint64) error {
	if len(m.Log) < maxLogRecords {
		m.Log = append(m.Log, m.text("debug_print", args))
	}
	return nil
}

func trap(m *machine, args []uint64) error {
	text := m.text("trap", args)
	if len(m.Log) < maxLogRecords {
		m.Log = append(m.Log, append([]byte("[TRAP]: "), text...))
	}
	return types.Rejectf(types.ErrCanisterCalledTrap, "Canister called `ic0.trap` with message: '%s'", validUTF8(text))
}

// validUTF8 leaves out bytes that are not UTF-8.
func validUTF8(b []byte) string {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r != utf8.RuneError || n > 1 {
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return string(out)
}
