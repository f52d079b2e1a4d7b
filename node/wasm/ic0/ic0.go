// Package ic0 is the system API that canisters import as module "ic0"
// (interface specification, "The System API"), for 32-bit and 64-bit memories.
//
// Functions lists every import with its type and the contexts from which it may
// be called; from elsewhere it traps with IC0504. A function sees and changes
// nothing but the Env of the message that is being executed: whatever it changes
// there takes effect only if the execution layer commits the message.
package ic0

import (
	"encoding/binary"

	"portico/lightclient/principal"
	"portico/node/types"
	"portico/node/wasm"
)

// Context says from which kind of entry point a function is called. The letters
// are those of the interface specification, "Overview of imports".
type Context uint32

// The contexts.
const (
	Start            Context = 1 << iota // s: the (start) function
	Init                                 // I: canister_init and canister_post_upgrade
	PreUpgrade                           // G
	Update                               // U
	ReplicatedQuery                      // RQ
	Query                                // NRQ: a query call
	Transform                            // TQ: the transform function of an HTTPS outcall
	CompositeQuery                       // CQ
	Reply                                // Ry
	Reject                               // Rt
	CompositeReply                       // CRy
	CompositeReject                      // CRt
	Cleanup                              // C
	CompositeCleanup                     // CC
	Inspect                              // F
	Task                                 // T: heartbeat, global timer, low-memory hook
)

const (
	replicated = Init | PreUpgrade | Update | ReplicatedQuery | Reply | Reject | Cleanup | Task
	all        = replicated | Query | Transform | CompositeQuery | CompositeReply | CompositeReject | CompositeCleanup | Inspect
	calling    = Update | CompositeQuery | Reply | Reject | CompositeReply | CompositeReject | Task
	responding = Update | ReplicatedQuery | Query | Transform | CompositeQuery | Reply | Reject | CompositeReply | CompositeReject
)

var contextNames = map[Context]string{
	Start: "start", Init: "init", PreUpgrade: "pre-upgrade", Update: "update", ReplicatedQuery: "replicated query",
	Query: "query", Transform: "transform", CompositeQuery: "composite query", Reply: "reply callback",
	Reject: "reject callback", CompositeReply: "composite reply callback", CompositeReject: "composite reject callback",
	Cleanup: "cleanup", CompositeCleanup: "composite cleanup", Inspect: "inspect message", Task: "system task",
}

// String names the context as error messages do.
func (c Context) String() string { return contextNames[c] }

// Replicated reports whether all replicas of the subnet execute the message.
func (c Context) Replicated() bool { return c&replicated != 0 }

// Stable is a canister's stable memory during one message.
type Stable interface {
	Bytes() []byte
	Grow(sizeBytes uint64) error
	MarkDirty(off, n uint64)
}

// Costs prices what a canister may ask for.
type Costs interface {
	// Call is what a call with a method name and payload of these many bytes takes
	// at once: transmission, and the reserve for the largest response and its callback.
	Call(nameBytes, payloadBytes uint64) (sent, reserved types.Cycles)
	CreateCanister() types.Cycles
	HTTPRequest(requestBytes, maxResponseBytes uint64) types.Cycles
	// Sign prices a signature or key derivation; ok is false for an unknown key.
	Sign(scheme SignScheme, key string) (cost types.Cycles, ok bool)
}

// SignScheme is a chain-key function that has a price.
type SignScheme uint8

// The schemes and their number of curves or algorithms.
const (
	ECDSA SignScheme = iota
	Schnorr
	VetKD
)

var curves = [...]uint64{ECDSA: 1, Schnorr: 2, VetKD: 1}

// Limits bounds what one message may do.
type Limits struct {
	MaxReplyBytes       uint64 // of the response
	MaxCallPayloadBytes uint64 // of one call's argument
	MaxStableBytes      uint64 // of stable memory
	MaxStableReadBytes  uint64 // read from stable memory in one message
	MaxStableWriteBytes uint64 // written to stable memory in one message
	MaxCalls            int    // that call_perform may still queue
}

// An EnvVar is one of a canister's environment variables.
type EnvVar struct{ Name, Value string }

// Env is all that the system API of one message execution reads and changes.
type Env struct {
	Context Context

	// What the message brought.
	Arg          []byte
	Caller       principal.ID
	CallerInfo   []byte
	CallerSigner []byte
	RejectCode   types.RejectCode // in callbacks; 0 for a reply
	RejectMsg    string
	Method       string // in inspect_message
	Deadline     types.Time
	Refunded     types.Cycles // in callbacks
	Responded    bool         // the call was answered by an earlier message, or needs no answer

	// What surrounds it.
	Self, Subnet        principal.ID
	RootKey             []byte
	Time                types.Time
	Status              Status
	Version             uint64
	Controllers         []principal.ID
	EnvVars             []EnvVar // ordered by name
	Certificate         []byte   // of the certified data; nil if there is none
	ContextInstructions uint64   // used by earlier messages of the call context
	FreezingThreshold   types.Cycles
	Costs               Costs
	Limits              Limits
	Stable              Stable
	// GrowStable decides whether stable memory may grow: nil lets it, wasm.ErrGrowRefused
	// makes the canister see -1, any other error traps.
	GrowStable func(oldBytes, newBytes uint64) error
	// TakeCall takes the room that a call and its response need in queues, and reports
	// whether there was enough.
	TakeCall func(c *Call) bool

	// What changes.
	Balance       types.Cycles
	Available     types.Cycles // of the call context
	Accepted      types.Cycles
	Burned        types.Cycles
	Timer         uint64 // nanoseconds; 0 is inactive
	CertifiedData []byte
	DataSet       bool // CertifiedData was set
	Answer        *Answer
	Calls         []Call
	MessageOK     bool // inspect_message accepted
	Log           [][]byte

	reply              []byte
	building           *Call
	stableRead, stable uint64 // bytes so far
}

// Status is a canister's running status as canister_status returns it.
type Status uint32

// The statuses.
const (
	Running  Status = 1
	Stopping Status = 2
	Stopped  Status = 3
)

// An Answer is a reply, or a reject if Rejected.
type Answer struct {
	Rejected bool
	Data     []byte // the reply or the UTF-8 reject message
}

// A Closure is a table entry with the value to call it with.
type Closure struct{ Fun, Env uint64 }

// A Call is one that call_perform queued.
type Call struct {
	Callee         principal.ID
	Method         string
	Arg            []byte
	Cycles         types.Cycles
	Reserved       types.Cycles // set aside for the response and its callback
	Reply, Reject  Closure
	Cleanup        *Closure
	TimeoutSeconds uint32 // bounded wait if Bounded
	Bounded        bool
}

// fn is a system API function: args are the parameters, and the first of them
// receives the result.
type fn func(m *machine, args []uint64) error

// machine is what a function works on.
type machine struct {
	*Env
	caller *wasm.Caller
}

type entry struct {
	name    string
	params  []wasm.ValueType
	results []wasm.ValueType
	from    Context
	only32  bool
	fn      fn
}

// overheadInstructions is charged for each call of a system API function, one
// more for every byte it copies.
const overheadInstructions = 500

// Functions lists the system API for an engine. Env of the calls must be *Env.
func Functions() []wasm.HostFunc {
	var out []wasm.HostFunc
	for _, group := range [][]entry{messageFunctions(), callFunctions(), cyclesFunctions(), stableFunctions(), selfFunctions(), costFunctions(), debugFunctions()} {
		for _, e := range group {
			out = append(out, e.host())
		}
	}
	return out
}

func (e entry) host() wasm.HostFunc {
	name, from, f := e.name, e.from, e.fn
	return wasm.HostFunc{
		Name: name, Params: e.params, Results: e.results, Only32: e.only32,
		Func: func(c *wasm.Caller, stack []uint64) error {
			env := c.Env().(*Env)
			if env.Context&from == 0 {
				return types.Rejectf(types.ErrCanisterContractViolation, "%q cannot be executed in %s mode", "ic0_"+name, env.Context)
			}
			if err := c.Charge(overheadInstructions); err != nil {
				return err
			}
			m := machine{Env: env, caller: c}
			return f(&m, stack)
		},
	}
}

func trapped(format string, args ...any) error {
	return types.Rejectf(types.ErrCanisterTrapped, format, args...)
}

func violation(format string, args ...any) error {
	return types.Rejectf(types.ErrCanisterContractViolation, format, args...)
}

// within checks that the canister's memory has [off, off+size), and charges for it by the byte.
func (m *machine) within(what string, off, size uint64) error {
	if most := m.caller.MemorySize(); off > most || size > most-off {
		return trapped("%s: address %d with size %d is out of bounds of the memory of %d bytes", what, off, size, most)
	}
	return m.caller.Charge(size)
}

// from returns the canister's memory [src, src+size), charged by the byte. It is valid until the
// function turns to the canister again.
func (m *machine) from(what string, src, size uint64) ([]byte, error) {
	if err := m.within(what, src, size); err != nil {
		return nil, err
	}
	return m.caller.Bytes(src, size), nil
}

// principalAt reads a principal from the canister's memory.
func (m *machine) principalAt(what string, src, size uint64) (principal.ID, error) {
	if err := m.within(what, src, size); err != nil {
		return principal.ID{}, err
	}
	if size > principal.MaxLen {
		return principal.ID{}, violation("%s: a principal of %d bytes is longer than %d", what, size, principal.MaxLen)
	}
	id, err := principal.FromBytes(m.caller.Bytes(src, size))
	if err != nil {
		return principal.ID{}, violation("%s: %v", what, err)
	}
	return id, nil
}

// copyOut copies data[offset, offset+size) to the canister's memory at dst.
func (m *machine) copyOut(what string, data []byte, args []uint64) error {
	dst, offset, size := args[0], args[1], args[2]
	if offset > uint64(len(data)) || size > uint64(len(data))-offset {
		return violation("%s: offset %d with size %d exceeds the %d bytes there are", what, offset, size, len(data))
	}
	if err := m.within(what, dst, size); err != nil {
		return err
	}
	m.caller.Write(dst, data[offset:offset+size])
	return nil
}

// putCycles writes an amount as 16 bytes little-endian at dst.
func (m *machine) putCycles(what string, dst uint64, c types.Cycles) error {
	if err := m.within(what, dst, 16); err != nil {
		return err
	}
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], c.Lo)
	binary.LittleEndian.PutUint64(b[8:], c.Hi)
	m.caller.Write(dst, b[:])
	return nil
}

// blob makes the size and copy functions of a value.
func blob(name string, from Context, get func(*machine) ([]byte, error)) []entry {
	return []entry{
		{name: name + "_size", results: []wasm.ValueType{wasm.Ptr}, from: from, fn: func(m *machine, args []uint64) error {
			b, err := get(m)
			args[0] = uint64(len(b))
			return err
		}},
		{name: name + "_copy", params: []wasm.ValueType{wasm.Ptr, wasm.Ptr, wasm.Ptr}, from: from, fn: func(m *machine, args []uint64) error {
			b, err := get(m)
			if err != nil {
				return err
			}
			return m.copyOut("ic0."+name+"_copy", b, args)
		}},
	}
}
