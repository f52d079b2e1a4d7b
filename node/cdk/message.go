package cdk

import (
	"runtime"
	"runtime/debug"
	"time"

	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
	"portico/node/types"
)

// A Handler serves one message. A returned error rejects the message with its text
// and keeps what the handler has changed; Trap and panics reject and undo. A handler
// that returns nil without having answered replies with no values.
type Handler func(m *Message) error

// Message is a message being served: a call to one of the canister's methods, its
// installation, or a timer. It is valid until its handler returns.
type Message struct {
	caller   principal.ID
	arg      []byte
	callable bool // there is somebody to answer
	answered bool
	tasks    int // handlers not returned
	calls    int // calls not answered
}

// Caller is who sent the message: a user, a canister, or for timers the management
// canister.
func (m *Message) Caller() principal.ID { return m.caller }

// Arg is the message's argument as it came, usually Candid.
func (m *Message) Arg() []byte { return m.arg }

// Args decodes the argument as Candid into what the pointers point to, by the rules
// of package marshal.
func (m *Message) Args(into ...any) error { return marshal.Decode(m.arg, into...) }

// Reply answers the message with Candid values, by the rules of package marshal. An
// error means that a value has no Candid type; nothing was answered then.
func (m *Message) Reply(values ...any) error {
	b, err := marshal.Encode(values...)
	if err != nil {
		return err
	}
	m.ReplyRaw(b)
	return nil
}

// ReplyRaw answers the message with bytes, usually Candid. A message is answered once.
func (m *Message) ReplyRaw(b []byte) {
	m.must("reply to")
	m.answered = true
	withBytes(b, msgReplyDataAppend)
	msgReply()
}

// Reject answers the message with a rejection of code CANISTER_REJECT.
func (m *Message) Reject(text string) {
	m.must("reject")
	m.answered = true
	withBytes([]byte(text), msgReject)
}

// CyclesAvailable is what the caller sent along and Accept has not taken yet.
func (m *Message) CyclesAvailable() types.Cycles {
	m.must("ask for the cycles of")
	return cycles(msgCyclesAvailable)
}

// Accept takes up to limit of the available cycles and tells how many it took. It
// must come before the answer, which sends the rest back.
func (m *Message) Accept(limit types.Cycles) types.Cycles {
	m.must("accept the cycles of")
	return cycles(func(dst ptr) { msgCyclesAccept(limit.Hi, limit.Lo, dst) })
}

// Deadline is when a caller with bounded patience may stop waiting for the answer.
func (m *Message) Deadline() (t types.Time, ok bool) {
	m.must("ask for the deadline of")
	at := msgDeadline()
	return types.Time(at), at != 0
}

// CallerInfo is what the canister that signed for the caller says about them, and
// which canister that is; ok is false for callers of any other kind.
func (m *Message) CallerInfo() (info []byte, signer principal.ID, ok bool) {
	m.must("ask for the caller of")
	info = read(msgCallerInfoDataSize, msgCallerInfoDataCopy)
	by := read(msgCallerInfoSignerSize, msgCallerInfoSignerCopy)
	return info, toPrincipal(by), len(by) > 0
}

// must traps unless m is the message the system is executing. A goroutine that
// outlived its message would otherwise speak for another one.
func (m *Message) must(do string) {
	if system.current != m {
		Trap("a goroutine wants to " + do + " a message while another message executes")
	}
}

// Init serves canister_init. An error traps: the installation fails.
func Init(h Handler) { runOrTrap(h, newMessage(false)) }

// PostUpgrade serves canister_post_upgrade. An error traps: the upgrade fails and
// the old code goes on.
func PostUpgrade(h Handler) { runOrTrap(h, newMessage(false)) }

// PreUpgrade serves canister_pre_upgrade. Only stable memory survives an upgrade.
func PreUpgrade(h Handler) { runOrTrap(h, newTask()) }

// Heartbeat serves canister_heartbeat, which the system executes about every round.
// Its handler may call.
func Heartbeat(h Handler) { newTask().run(h) }

// Query serves a query method. Its handler runs to the end at once and cannot call.
func Query(h Handler) {
	if !Replicated() {
		// The memory is thrown away after the query, garbage included. Were the
		// collector about to run, it would run in every query until the next update.
		debug.SetGCPercent(-1)
	}
	m := newMessage(true)
	m.answer(h(m))
}

// Update serves an update or composite query method. Its handler may call other
// canisters, and start goroutines that do.
func Update(h Handler) {
	m := newMessage(true)
	m.run(h)
}

// Inspect serves canister_inspect_message: accept is told the method a user wants
// to call and decides whether the canister takes the message at all.
func Inspect(accept func(m *Message, method string) bool) {
	m := newMessage(false)
	if accept(m, string(read(msgMethodNameSize, msgMethodNameCopy))) {
		acceptMessage()
	}
}

// newMessage begins a message that carries an argument.
func newMessage(callable bool) *Message {
	m := newTask()
	m.arg, m.callable = read(msgArgDataSize, msgArgDataCopy), callable
	return m
}

// newTask begins a message that the system sends without an argument.
func newTask() *Message {
	m := &Message{caller: toPrincipal(read(msgCallerSize, msgCallerCopy))}
	system.current = m
	return m
}

func runOrTrap(h Handler, m *Message) {
	if err := h(m); err != nil {
		Trap(err.Error())
	}
}

// answer ends a message as its handler's result says.
func (m *Message) answer(err error) {
	switch {
	case err != nil && m.answered:
		Trap("a handler failed after it had answered: " + err.Error())
	case err != nil && !m.callable:
		Print("heartbeat: " + err.Error())
	case err != nil:
		m.Reject(err.Error())
	case m.callable && !m.answered:
		m.ReplyRaw(noValues)
	}
}

// noValues is the Candid encoding of an empty list of values.
var noValues = []byte("DIDL\x00\x00")

// run starts h in a goroutine and lets everything proceed until it has to wait.
func (m *Message) run(h Handler) {
	before := runtime.NumGoroutine()
	m.tasks++
	go func() {
		defer func() { m.tasks-- }()
		m.answer(h(m))
	}()
	m.settle(before)
}

// settle returns when no goroutine can go on without another message.
func (m *Message) settle(before int) {
	runtime.Gosched()
	if m.tasks > 0 || runtime.NumGoroutine() > before {
		// The linker's clock moves only when every goroutine is blocked, so the
		// shortest sleep ends exactly then.
		time.Sleep(time.Nanosecond)
	}
	if m.tasks > 0 && m.calls == 0 {
		Trap("the handler waits for something other than a call to a canister, and would wait for ever")
	}
}
