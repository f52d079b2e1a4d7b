// Package cdktest runs one canister module under the system API, for testing what
// the linker and package cdk make: messages, calls, traps that undo, upgrades,
// stable memory, timers. It enforces neither limits nor the contexts of system
// calls, and counts no instructions; the replica does. It is written against the
// interface specification alone, so that it can disagree with the replica.
package cdktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"portico/lightclient/principal"
	"portico/node/types"
)

const page = 65536

// Canister is an installed module with its state. Its fields are the system's side
// of the canister and may be changed between messages.
type Canister struct {
	Self        principal.ID
	Controllers []principal.ID
	Now         types.Time
	Balance     types.Cycles
	RootKey     []byte
	Env         [][2]string
	Stable      []byte
	Certified   []byte
	Timer       types.Time // zero for none
	Log         []string

	// Certify makes the certificate that queries see of the certified data; nil for none.
	Certify func(certified []byte) []byte
	// Outgoing are the calls sent and not answered yet, oldest first.
	Outgoing []*Call

	runtime wazero.Runtime
	module  api.Module
	exec    *execution
}

// Message is a call to the canister.
type Message struct {
	Caller principal.ID
	Arg    []byte
	Cycles types.Cycles // what is left of them, once executed

	Answered   bool
	Reply      []byte
	RejectText string // of a message that was answered and not replied to
}

// Call is a call by the canister.
type Call struct {
	Canister principal.ID
	Method   string
	Arg      []byte
	Cycles   types.Cycles
	Patience uint32

	message                *Message
	reply, reject, cleanup uint32
	replyEnv, rejectEnv    uint32
	cleanupEnv             uint32
	hasCleanup             bool
}

// TrapError is an execution that ended in a trap; what it did is undone.
type TrapError struct{ Text string }

func (e *TrapError) Error() string { return "canister trapped: " + e.Text }

// New prepares a canister without code. Close it. Canisters that share a cache of
// machine code compile a module once; nil shares none.
func New(cache wazero.CompilationCache) (*Canister, error) {
	ctx := context.Background()
	c := &Canister{Self: principal.Canister(7), Now: 1_700_000_000_000_000_000, Balance: types.CyclesOf(1e15)}
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(65535)
	if cache != nil {
		config = config.WithCompilationCache(cache)
	}
	c.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := c.host(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close frees the machine code.
func (c *Canister) Close() error { return c.runtime.Close(context.Background()) }

// Install replaces the canister by wasm, all its state included, and executes
// canister_init.
func (c *Canister) Install(wasm, arg []byte, caller principal.ID) error {
	c.Stable, c.Certified, c.Timer, c.Outgoing = nil, nil, 0, nil
	if err := c.instantiate(wasm); err != nil {
		return err
	}
	return c.execute("canister_init", &execution{message: &Message{Caller: caller, Arg: arg}})
}

// Upgrade replaces the code as an upgrade does: stable memory stays.
func (c *Canister) Upgrade(wasm, arg []byte, caller principal.ID) error {
	err := c.execute("canister_pre_upgrade", &execution{message: &Message{Caller: caller}})
	if err != nil && !errors.Is(err, errNoExport) {
		return err
	}
	c.Timer = 0
	if err := c.instantiate(wasm); err != nil {
		return err
	}
	return c.execute("canister_post_upgrade", &execution{message: &Message{Caller: caller, Arg: arg}})
}

// Query calls a query method; what it changes is undone.
func (c *Canister) Query(caller principal.ID, method string, arg []byte) ([]byte, error) {
	m := &Message{Caller: caller, Arg: arg}
	if err := c.execute("canister_query "+method, &execution{message: m, query: true}); err != nil {
		return nil, err
	}
	return m.result()
}

// Update calls an update method and answers every call it makes by remote, calls
// to the canister itself by the canister.
func (c *Canister) Update(caller principal.ID, method string, arg []byte, remote func(*Call) ([]byte, error)) ([]byte, error) {
	m, err := c.Start(caller, method, arg)
	if err != nil {
		return nil, err
	}
	if err := c.Settle(remote); err != nil {
		return nil, err
	}
	return m.result()
}

// Settle answers outgoing calls by remote until there are none.
func (c *Canister) Settle(remote func(*Call) ([]byte, error)) error {
	for len(c.Outgoing) > 0 {
		call := c.Outgoing[0]
		c.Outgoing = c.Outgoing[1:]
		var reply []byte
		var err error
		switch {
		case call.Canister == c.Self:
			reply, err = c.Update(c.Self, call.Method, call.Arg, remote)
		case remote == nil:
			err = fmt.Errorf("no canister %s", call.Canister)
		default:
			reply, err = remote(call)
		}
		if err := c.answer(call, reply, err); err != nil {
			return err
		}
	}
	return nil
}

// Start executes an update method without answering the calls it makes.
func (c *Canister) Start(caller principal.ID, method string, arg []byte) (*Message, error) {
	m := &Message{Caller: caller, Arg: arg}
	return m, c.execute("canister_update "+method, &execution{message: m})
}

// Answer executes the callback of an outgoing call: the reply's, or the reject's if
// err is not nil. If it traps, the cleanup callback is executed.
func (c *Canister) Answer(call *Call, reply []byte, err error) error {
	i := slices.Index(c.Outgoing, call)
	if i < 0 {
		return errors.New("this call is not outgoing")
	}
	c.Outgoing = slices.Delete(c.Outgoing, i, i+1)
	return c.answer(call, reply, err)
}

func (c *Canister) answer(call *Call, reply []byte, err error) error {
	e := &execution{message: call.message, callback: true, arg: reply, fn: call.reply, env: call.replyEnv}
	if err != nil {
		e.fn, e.env, e.rejectCode, e.rejectText = call.reject, call.rejectEnv, types.CanisterReject, err.Error()
	}
	failed := c.execute("", e)
	var trap *TrapError
	if errors.As(failed, &trap) && call.hasCleanup {
		clean := &execution{message: call.message, callback: true, rejectCode: e.rejectCode, fn: call.cleanup, env: call.cleanupEnv}
		return errors.Join(failed, c.execute("", clean))
	}
	return failed
}

// Tick executes canister_global_timer if its time has come.
func (c *Canister) Tick() error {
	if c.Timer == 0 || c.Timer > c.Now {
		return nil
	}
	c.Timer = 0
	return c.execute("canister_global_timer", &execution{message: &Message{}})
}

func (m *Message) result() ([]byte, error) {
	if !m.Answered {
		return nil, errors.New("the canister did not answer")
	}
	if m.RejectText != "" {
		return nil, errors.New(m.RejectText)
	}
	return m.Reply, nil
}

// execution is what one run of an entry point sees and produces.
type execution struct {
	message    *Message
	query      bool
	callback   bool
	arg        []byte // of a reply
	rejectCode types.RejectCode
	rejectText string
	fn, env    uint32 // of a callback

	reply []byte
	call  *Call
	sent  []*Call
	trap  string
}

var errNoExport = errors.New("the canister has no such entry point")

// execute runs an entry point and keeps what it did, or undoes it if it trapped or
// was a query.
func (c *Canister) execute(name string, e *execution) error {
	fn := c.module.ExportedFunction(name)
	if e.fn != 0 {
		fn = c.module.ExportedFunction(callTable)
	}
	if fn == nil {
		return fmt.Errorf("%w: %s", errNoExport, name)
	}
	if !e.callback {
		e.arg = e.message.Arg
	}
	before := c.snapshot()
	before.message = *e.message
	c.exec = e
	var args []uint64
	if e.fn != 0 {
		args = []uint64{uint64(e.env), uint64(e.fn)}
	}
	_, err := fn.Call(context.Background(), args...)
	c.exec = nil
	if err != nil || e.query {
		c.restore(before)
		if err != nil {
			*e.message = before.message
			text := e.trap
			if text == "" {
				text, _, _ = strings.Cut(err.Error(), "\n")
			}
			return &TrapError{text}
		}
		return nil
	}
	c.Outgoing = append(c.Outgoing, e.sent...)
	return nil
}

type snapshot struct {
	memory, stable, certified []byte
	globals                   []uint64
	timer                     types.Time
	balance                   types.Cycles
	message                   Message
}

func (c *Canister) snapshot() *snapshot {
	mem := c.module.Memory()
	b, _ := mem.Read(0, mem.Size())
	s := &snapshot{memory: slices.Clone(b), stable: slices.Clone(c.Stable), certified: c.Certified, timer: c.Timer, balance: c.Balance}
	for _, g := range c.globals() {
		s.globals = append(s.globals, g.Get())
	}
	return s
}

// restore leaves memory as large as it grew, with zeros at its end: a canister that
// undid growing and one that did not cannot be told apart here.
func (c *Canister) restore(s *snapshot) {
	mem := c.module.Memory()
	b, _ := mem.Read(0, mem.Size())
	clear(b[copy(b, s.memory):])
	for i, g := range c.globals() {
		g.Set(s.globals[i])
	}
	c.Stable, c.Certified, c.Timer, c.Balance = s.stable, s.certified, s.timer, s.balance
}

func (c *Canister) globals() []api.MutableGlobal {
	var out []api.MutableGlobal
	for i := 0; ; i++ {
		g := c.module.ExportedGlobal(globalName(i))
		if g == nil {
			return out
		}
		if m, ok := g.(api.MutableGlobal); ok {
			out = append(out, m)
		}
	}
}

// MemoryBytes is how large the canister's heap has grown.
func (c *Canister) MemoryBytes() uint64 { return uint64(c.module.Memory().Size()) }
