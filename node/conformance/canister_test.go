package conformance

import (
	"math/big"

	"portico/lightclient"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	u "portico/node/conformance/universal"
)

// canister is one that a check controls.
type canister struct {
	*check
	id    principal.ID
	owner envelope.Identity
}

// empty makes a canister without code.
func (c *check) empty() *canister {
	c.Helper()
	return c.emptyOf(newUser(), provisional{})
}

func (c *check) emptyOf(owner envelope.Identity, arg provisional) *canister {
	c.Helper()
	var out canisterArg
	c.manageOK(owner, c.effective, "provisional_create_canister_with_cycles", arg, &out)
	return &canister{c, out.Canister, owner}
}

// install makes a universal canister; programs run in canister_init.
func (c *check) install(programs ...u.Program) *canister {
	c.Helper()
	return c.installModule(c.module, programs...)
}

// installWith makes a universal canister with extra exports and sections.
func (c *check) installWith(extra []string, programs ...u.Program) *canister {
	c.Helper()
	return c.installModule(c.universal(extra...), programs...)
}

func (c *check) universal(extra ...string) []byte {
	c.Helper()
	module, err := u.Module(extra...)
	c.must(err)
	return module
}

func (c *check) installModule(module []byte, programs ...u.Program) *canister {
	c.Helper()
	can := c.empty()
	c.ok("install", can.deploy(installMode(), module, programs...))
	return can
}

// deploy calls install_code as the owner.
func (can *canister) deploy(mode mode, module []byte, programs ...u.Program) answer {
	can.Helper()
	return can.deployAs(can.owner, mode, module, programs...)
}

func (can *canister) deployAs(as envelope.Identity, mode mode, module []byte, programs ...u.Program) answer {
	can.Helper()
	return can.manage(as, can.id, "install_code", installArg{Mode: mode, Canister: can.id, Module: module, Arg: u.Seq(programs...)})
}

// update runs programs in the update method.
func (can *canister) update(programs ...u.Program) answer {
	can.Helper()
	return can.updateAs(can.owner, programs...)
}

func (can *canister) updateAs(as envelope.Identity, programs ...u.Program) answer {
	can.Helper()
	return can.call(as, lightclient.Message{Canister: can.id, Method: u.Update, Arg: u.Seq(programs...)})
}

// ask runs programs in the query method, called as a query.
func (can *canister) ask(programs ...u.Program) answer {
	can.Helper()
	return can.askAs(can.owner, programs...)
}

func (can *canister) askAs(as envelope.Identity, programs ...u.Program) answer {
	can.Helper()
	return can.query(as, lightclient.Message{Canister: can.id, Method: u.Query, Arg: u.Seq(programs...)})
}

// askReplicated runs programs in the query method, called as an update.
func (can *canister) askReplicated(programs ...u.Program) answer {
	can.Helper()
	return can.call(can.owner, lightclient.Message{Canister: can.id, Method: u.Query, Arg: u.Seq(programs...)})
}

// run runs programs in the update method, which must succeed and then replies with nothing.
func (can *canister) run(programs ...u.Program) {
	can.Helper()
	can.ok("update", can.update(u.Seq(programs...), u.Reply(u.Text(""))))
}

// get is the reply of an update whose expression is the reply.
func (can *canister) get(expression u.Program) []byte {
	can.Helper()
	return can.ok("update", can.update(u.Reply(expression)))
}

// peek is the reply of a query whose expression is the reply.
func (can *canister) peek(expression u.Program) []byte {
	can.Helper()
	return can.ok("query", can.ask(u.Reply(expression)))
}

// number is the value of an expression in a query.
func (can *canister) number(expression u.Program) uint64 {
	can.Helper()
	return fromLittleEndian(can.peek(u.ToBytes(expression)))
}

func fromLittleEndian(b []byte) uint64 { return amount(b).Uint64() }

// amount is a number of up to 16 bytes, little-endian.
func amount(b []byte) *big.Int {
	reversed := make([]byte, len(b))
	for i, x := range b {
		reversed[len(b)-1-i] = x
	}
	return new(big.Int).SetBytes(reversed)
}

// call of another canister's method, or of the management canister's.
func to(callee principal.ID, method string, arg []byte) u.Call {
	return u.Call{Callee: u.ID(callee), Method: method, Arg: u.Bytes(arg)}
}

// program is the call of the universal canister's update with a program.
func program(callee principal.ID, programs ...u.Program) u.Call {
	return to(callee, u.Update, u.Seq(programs...))
}

// through calls the management canister from this canister.
func (can *canister) through(method string, arg any) answer {
	can.Helper()
	return can.throughPaying(method, arg, 0)
}

func (can *canister) throughPaying(method string, arg any, cycles uint64) answer {
	can.Helper()
	call := to(principal.ID{}, method, can.encode(arg))
	call.OnReject = rejectWithCode()
	if cycles > 0 {
		call.Cycles = u.Seq(u.Int(0), u.Int(cycles))
	}
	return decodeOutcome(can.update(call.Do()))
}

// rejectWithCode passes a reject on as a reply, because the caller's own reject code
// would hide that of the callee: a byte, the code and the message.
func rejectWithCode() u.Program {
	return u.Reply(u.Concat(u.Text(rejectMark), u.ToBytes(u.IC0("msg_reject_code")), u.Get("msg_reject_msg")))
}

const rejectMark = "\xffreject\xff"

// decodeOutcome undoes rejectWithCode.
func decodeOutcome(a answer) answer {
	if a.status != 0 || a.code != 0 || len(a.reply) < len(rejectMark)+8 || string(a.reply[:len(rejectMark)]) != rejectMark {
		return a
	}
	rest := a.reply[len(rejectMark):]
	return answer{code: rest[0], text: string(rest[8:]), certified: true}
}

// send makes a call from this canister; its outcome is the callee's.
func (can *canister) send(call u.Call) answer {
	can.Helper()
	call.OnReject = rejectWithCode()
	return decodeOutcome(can.update(call.Do()))
}
