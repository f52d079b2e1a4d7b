package universal

import "portico/lightclient/principal"

// Nuisance is a way in which a canister uses all that it is allowed. Its module exports
// canister_heartbeat.
type Nuisance struct {
	Name string
	// Once runs before, in a message of its own; it may be empty.
	Once Program
	// Each is a call that comes again and again; it may be empty.
	Each Program
}

// Nuisances are the ways that rounds feel, for a canister with an id; queries run beside them.
func Nuisances(noisy principal.ID) []Nuisance {
	endless := Burn(Int(10_000_000_000)) // twice the instructions of a message
	done := Reply(Text(""))
	const pages = 60 << 20
	soon := Drop(IC0("global_timer_set", Int(1)))
	self := Call{Callee: ID(noisy), Method: Update, Arg: Code(done), OnReply: Seq(), OnReject: Seq()}.Perform()
	return []Nuisance{
		{"messages without end", nil, endless},
		{"messages of nearly a slice", nil, Seq(Burn(Int(230_000_000)), done)},
		{"messages of nearly a short slice", nil, Seq(Burn(Int(600_000)), done)},
		{"pages of the heap", nil, Seq(Drop(Fill(1, pages)), done)},
		{"pages of stable memory", StableGrow(pages >> 16), Seq(StableWrite(0, Fill(1, pages)), done)},
		{"calls to itself", nil, Seq(Repeat(Int(450), Drop(self)), done)},
		{"a log", nil, Seq(Repeat(Int(2000), IC0("debug_print", Split(Fill('a', 4000)))), done)},
		{"large replies", nil, Reply(Fill('a', 2<<20))},
		{"heartbeats without end", SetHook(Heartbeat, endless), nil},
		{"timers without end", Seq(SetHook(Timer, soon, endless), soon), nil},
	}
}
