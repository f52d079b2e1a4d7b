package canistertest

import "portico/lightclient/leb128"

// Counter is the smallest canister that does something: "inc" (an update) adds one to
// eight bytes at address 0 of its heap, "get" (a query) replies with them, and "spin" (an
// update) never returns.
func Counter() []byte {
	const (
		address       = "\x41\x00"                                    // i32.const 0
		load, store   = "\x29\x03\x00" /* i64.load */, "\x37\x03\x00" // i64.store
		one, add      = "\x42\x01", "\x7c"
		appendReply   = "\x41\x00\x41\x08\x10\x00" // msg_reply_data_append(0, 8)
		reply, ending = "\x10\x01", "\x0b"
		forever       = "\x03\x40\x0c\x00\x0b" // loop br 0 end
	)
	m := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, items ...string) {
		body := leb128.AppendUint(nil, uint64(len(items)))
		for _, item := range items {
			body = append(body, item...)
		}
		m = append(leb128.AppendUint(append(m, id), uint64(len(body))), body...)
	}
	text := func(s string) string { return string(leb128.AppendUint(nil, uint64(len(s)))) + s }
	code := func(body string) string { return text("\x00" + body + ending) }
	section(1, "\x60\x00\x00", "\x60\x02\x7f\x7f\x00")
	section(2, text("ic0")+text("msg_reply_data_append")+"\x00\x01", text("ic0")+text("msg_reply")+"\x00\x00")
	section(3, "\x00", "\x00", "\x00")
	section(5, "\x00\x01")
	section(7, text("canister_update inc")+"\x00\x02", text("canister_query get")+"\x00\x03", text("canister_update spin")+"\x00\x04")
	section(10,
		code(address+address+load+one+add+store+appendReply+reply),
		code(appendReply+reply),
		code(forever),
	)
	return m
}
