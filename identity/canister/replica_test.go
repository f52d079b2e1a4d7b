package main

import (
	"bytes"
	"fmt"
	"testing"

	"portico/lightclient/principal"
	"portico/node/canistertest"
)

// onReplica is the canister on our own replica, which meters and limits.
type onReplica struct {
	*canistertest.Network
	t  testing.TB
	id principal.ID
}

var operator = principal.SelfAuthenticating([]byte("operator"))

// aNetwork is a network of one replica with an empty canister, and the identity
// canister's module.
func aNetwork(t testing.TB) (r *onReplica, wasm []byte) {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles a canister twice: to WebAssembly and to machine code")
	}
	wasm, err := build()
	if err != nil {
		t.Fatal(err)
	}
	n := canistertest.NewWith(t, canistertest.Setup{Subnet: canistertest.Subnet(), Unchecked: true})
	return &onReplica{n, t, n.Create(operator)}, wasm
}

// manyTokens lets tests register without limit.
func manyTokens() *initArgs { return &initArgs{RateLimit: &rateLimit{1, 1 << 40}} }

func installOnReplica(t testing.TB) *onReplica {
	t.Helper()
	r, wasm := aNetwork(t)
	if rej := r.InstallCode(operator, r.id, canistertest.Mode{Install: true}, wasm, encode(t, manyTokens())); rej != nil {
		t.Fatal(rej)
	}
	return r
}

func (r *onReplica) do(as principal.ID, method string, in args, results ...any) {
	r.t.Helper()
	b, rej := r.Call(as, r.id, method, encode(r.t, in...))
	if rej != nil {
		r.t.Fatalf("%s: %v", method, rej)
	}
	canistertest.Decode(r.t, b, results...)
}

// useInstructions is where a canister counts the cycles that it paid for instructions,
// one for each and messageBase for a message (of state.Use, which canisters know not of).
const (
	useInstructions = 3
	messageBase     = 5_000_000
)

// instructions is what the canister's messages have cost so far.
func (r *onReplica) instructions() uint64 {
	return r.State().Canister(r.id).ByUse[useInstructions].Lo
}

func (r *onReplica) register(p passkey, named string) uint64 {
	r.t.Helper()
	r.do(p.id, "identity_registration_start", nil)
	var got result[finishResult, finishError]
	r.do(p.id, "identity_registration_finish", args{finishArg{Method: p.method(named)}}, &got)
	if got.Ok == nil {
		r.t.Fatalf("%+v", got.Err)
	}
	return got.Ok.Number
}

func TestIdentityCanisterRunsOnTheReplica(t *testing.T) {
	r := installOnReplica(t)
	anna, session := newPasskey(t, "anna"), newPasskey(t, "session")
	n := r.register(anna, "anna")
	var before, after []byte
	var expires uint64
	r.do(anna.id, "prepare_delegation", args{n, "https://dapp.com", session.der, (*uint64)(nil)}, &before, &expires)
	b, rej := r.Query(anna.id, r.id, "get_delegation", encode(t, n, "https://dapp.com", session.der, expires))
	if rej != nil {
		t.Fatal(rej)
	}
	var got getDelegationResponse
	canistertest.Decode(t, b, &got)
	if got.Signed == nil {
		t.Fatal("no such delegation")
	}
	wasm, _ := build()
	if rej := r.InstallCode(operator, r.id, canistertest.Upgrade(canistertest.Options{}), wasm, nil); rej != nil {
		t.Fatal(rej)
	}
	r.do(anna.id, "prepare_delegation", args{n, "https://dapp.com", session.der, (*uint64)(nil)}, &after, &expires)
	if !bytes.Equal(before, after) {
		t.Error("the upgrade made another principal of anna")
	}
}

// costs are instructions per message, on average over so many of them that the index
// grows and the collector runs several times, and of an upgrade.
type costs struct{ register, delegate, delegateAccount, upgrade float64 }

func (r *onReplica) measure(anchors int) costs {
	r.t.Helper()
	const repeats = 512
	per := func(messages int, run func(i int)) float64 {
		before := r.instructions()
		for i := range repeats {
			run(i)
		}
		return float64(r.instructions()-before)/repeats - float64(messages)*messageBase
	}
	session := newPasskey(r.t, "session")
	someone := func(i int) (passkey, uint64) {
		k := i * anchors / repeats
		return newPasskey(r.t, fmt.Sprint("device ", k, " 0")), uint64(firstNumber + k)
	}
	var c costs
	c.delegate = per(1, func(i int) {
		p, n := someone(i)
		r.do(p.id, "prepare_delegation", args{n, "https://dapp.com", session.der, (*uint64)(nil)})
	})
	c.delegateAccount = per(1, func(i int) {
		p, n := someone(i)
		r.do(p.id, "prepare_account_delegation", args{n, "https://other.com", (*uint64)(nil), session.der, (*uint64)(nil), (*permissions)(nil)})
	})
	c.register = per(2, func(i int) {
		named := fmt.Sprint("measured ", anchors, " ", i)
		r.register(newPasskey(r.t, named), named)
	})
	before := r.instructions()
	wasm, _ := build()
	if rej := r.InstallCode(operator, r.id, canistertest.Upgrade(canistertest.Options{}), wasm, nil); rej != nil {
		r.t.Fatal(rej)
	}
	c.upgrade = float64(r.instructions() - before)
	return c
}

func (c costs) each(of costs, visit func(what string, cost, other float64)) {
	visit("register", c.register, of.register)
	visit("delegate", c.delegate, of.delegate)
	visit("delegate-account", c.delegateAccount, of.delegateAccount)
	visit("upgrade", c.upgrade, of.upgrade)
}

// costsAt measures what calls cost with a number of anchors.
func costsAt(t testing.TB, anchors int) costs {
	t.Helper()
	r := installWith(t, anchors)
	var s stats
	b, rej := r.Query(operator, r.id, "stats", encode(t))
	if rej != nil {
		t.Fatal(rej)
	}
	canistertest.Decode(t, b, &s)
	if s.Registered != uint64(anchors) {
		t.Fatalf("%d anchors are registered, want %d", s.Registered, anchors)
	}
	return r.measure(anchors)
}

// maxInstall is what installing code may cost on the Internet Computer, in instructions.
const maxInstall = 300_000_000_000

// BenchmarkCostOfManyAnchors measures ten times as many; this is its short form.
func TestCallsAndUpgradesCostTheSameWithAHundredTimesTheAnchors(t *testing.T) {
	few, many := costsAt(t, 100), costsAt(t, 10_000)
	many.each(few, func(what string, cost, before float64) {
		t.Logf("%s: %.0f instructions at 10,000 anchors, %.0f at 100", what, cost, before)
		if cost > 1.1*before {
			t.Errorf("%s costs more than a tenth more", what)
		}
	})
	if many.upgrade > maxInstall/100 {
		t.Errorf("an upgrade takes %.0f instructions", many.upgrade)
	}
}

func BenchmarkCostOfManyAnchors(b *testing.B) {
	for b.Loop() {
		few, many := costsAt(b, 100), costsAt(b, 100_000)
		many.each(few, func(what string, cost, before float64) {
			b.ReportMetric(cost, what+"-instructions/op")
			b.ReportMetric(100*cost/before-100, what+"-growth-%")
		})
	}
}
