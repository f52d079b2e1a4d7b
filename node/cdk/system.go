package cdk

import (
	"hash"
	"runtime"

	"portico/lightclient/principal"
	"portico/node/types"
)

// system is what the exported functions share. They have no receiver, so this is
// the one variable of the package.
var system struct {
	current  *Message // what the system is executing
	calls    map[uint32]*pending
	nextCall uint32
	timers   timerSet
}

// Time is the time of the current execution; it does not move while one lasts.
// time.Now gives the same.
func Time() types.Time { return types.Time(icTime()) }

// Self is this canister.
func Self() principal.ID { return toPrincipal(read(canisterSelfSize, canisterSelfCopy)) }

// IsController reports whether id controls this canister.
func IsController(id principal.ID) bool {
	b := id.Bytes()
	return isController(bytesAddr(b), uint32(len(b))) == 1
}

// Version counts the changes of the canister's code, settings, balance and memory.
func Version() uint64 { return canisterVersion() }

// Replicated reports whether all replicas execute the message, rather than one of
// them a query.
func Replicated() bool { return inReplicatedExecution() == 1 }

// Instructions is what the current execution has cost so far.
func Instructions() uint64 { return performanceCounter(0) }

// Balance is how many cycles the canister has; Liquid how many of them it can spend
// without freezing.
func Balance() types.Cycles { return cycles(canisterCycleBalance) }

// Liquid is how many cycles the canister can spend without freezing.
func Liquid() types.Cycles { return cycles(canisterLiquidCycleBalance) }

// Burn destroys up to limit cycles of the balance and tells how many.
func Burn(limit types.Cycles) types.Cycles {
	return cycles(func(dst ptr) { cyclesBurn(limit.Hi, limit.Lo, dst) })
}

// RootKey is the network's public key in DER. It traps in queries, where the one
// replica that answers could lie.
func RootKey() []byte { return read(rootKeySize, rootKeyCopy) }

// SetCertifiedData has the network certify up to 32 bytes for the canister.
func SetCertifiedData(b []byte) { withBytes(b, certifiedDataSet) }

// DataCertificate is the network's certificate of the certified data. There is one
// only in queries that are called as queries.
func DataCertificate() (certificate []byte, ok bool) {
	if dataCertificatePresent() == 0 {
		return nil, false
	}
	return read(dataCertificateSize, dataCertificateCopy), true
}

// EnvVar is a variable that the canister's controllers have set.
type EnvVar struct{ Name, Value string }

// Environment lists the canister's variables.
func Environment() []EnvVar {
	vars := make([]EnvVar, envVarCount())
	for i := range vars {
		name := read(func() uint32 { return envVarNameSize(uint32(i)) },
			func(dst ptr, off, size uint32) { envVarNameCopy(uint32(i), dst, off, size) })
		at, n := bytesAddr(name), uint32(len(name))
		value := read(func() uint32 { return envVarValueSize(at, n) },
			func(dst ptr, off, size uint32) { envVarValueCopy(at, n, dst, off, size) })
		vars[i] = EnvVar{string(name), string(value)}
	}
	return vars
}

// NewSHA256 is sha256.New for much data: the linker's code takes a third of the
// instructions that Go's takes in WebAssembly.
func NewSHA256() hash.Hash { return newSHA256() }

// Print adds a line to the canister's log.
func Print(line string) { withBytes([]byte(line), debugPrint) }

// Trap ends the execution, undoes everything it did, and rejects the message with
// text. It does not return.
func Trap(text string) {
	withBytes([]byte(text), icTrap)
	panic(text)
}

// bytesAddr is where b begins. The system API copies at once, so b need only live
// until the call returns; the caller's use of b after it sees to that.
func bytesAddr(b []byte) ptr {
	if len(b) == 0 {
		return 0
	}
	return addr(&b[0])
}

// withBytes hands the place and length of b to a function of the system.
func withBytes(b []byte, use func(src ptr, size uint32)) {
	use(bytesAddr(b), uint32(len(b)))
	runtime.KeepAlive(b)
}

// read fetches a value that the system offers by its size and a copying function.
func read(size func() uint32, copyTo func(dst ptr, off, size uint32)) []byte {
	b := make([]byte, size())
	if len(b) > 0 {
		copyTo(addr(&b[0]), 0, uint32(len(b)))
	}
	runtime.KeepAlive(b)
	return b
}

func cycles(get func(dst ptr)) types.Cycles {
	var c struct{ lo, hi uint64 }
	get(addr(&c))
	runtime.KeepAlive(&c)
	return types.Cycles{Hi: c.hi, Lo: c.lo}
}

// toPrincipal wraps bytes that the system vouches for.
func toPrincipal(b []byte) principal.ID {
	id, err := principal.FromBytes(b)
	if err != nil {
		Trap(err.Error())
	}
	return id
}
