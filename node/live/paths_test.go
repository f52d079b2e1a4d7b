package live

import (
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/artifact"
	"portico/node/canistertest"
	"portico/node/consensus"
	"portico/node/ingress"
	"portico/node/replica"
	"portico/node/types"
)

const workloadSource = `
import Prim "mo:⛔";
persistent actor Self {
  var count : Nat = 0;
  var sum : Float = 0.0;
  var ticks : Nat = 0;
  var kept : [var Nat] = [var];
  system func timer(set : Nat64 -> ()) : async () { ticks += 1; set(Prim.time() + 1_000_000_000) };
  public func grow(n : Nat) : async Nat {
    kept := Prim.Array_init<Nat>(n, 1);
    var i = 0;
    while (i < n) { kept[i] := (i * i + count) % 1009; sum += 1.0 / Prim.intToFloat(i + 1); i += 1 };
    count += 1;
    count
  };
  public func chain(n : Nat) : async Nat { if (n == 0) { count } else { await Self.chain(n - 1) } };
  public func fail() : async () { count += 1000; Prim.trap("on purpose") };
  public func recurse(n : Nat) : async Nat { func f(k : Nat) : Nat { if (k == 0) { 0 } else { 1 + f(k - 1) } }; f(n) };
};
`

// ways are States that run the same batches, each in its own way.
type ways struct {
	t      *testing.T
	states []*States
	now    types.Time
	height types.Height
	nonce  uint64
}

// round runs a batch everywhere and compares the root hashes.
func (w *ways) round(calls ...*ingress.Call) {
	w.t.Helper()
	w.height++
	w.now += types.Time(time.Second)
	b := &replica.Batch{Height: w.height, Time: w.now, Randomness: sha256.Sum256([]byte{byte(w.height)}), Calls: calls, Checkpoint: w.height%10 == 0}
	var first replica.Executed
	for i, s := range w.states {
		got, err := s.Execute(b)
		if err != nil {
			w.t.Fatal(err)
		}
		if i == 0 {
			first = got
		}
		if got != first {
			w.t.Fatalf("height %d: way %d gives root %x, way 0 %x", w.height, i, got.Root, first.Root)
		}
	}
	var checkpoint types.Hash
	for i, s := range w.states {
		made, err := s.Certify(&consensus.Aggregate{Content: consensus.Content{Kind: artifact.Certification, Height: w.height, Hash: first.Root}})
		var got types.Hash
		if made != nil {
			got, err = made()
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if i == 0 {
			checkpoint = got
		}
		if got != checkpoint {
			w.t.Fatalf("height %d: way %d has the whole state %x, way 0 %x", w.height, i, got, checkpoint)
		}
	}
}

// call makes an anonymous call.
func (w *ways) call(to, effective principal.ID, method string, arg []byte) *ingress.Call {
	w.t.Helper()
	w.nonce++
	e, err := envelope.Anonymous{}.Sign(envelope.Request{
		Kind: envelope.Call, Canister: to, Method: method, Arg: arg, Nonce: binary.BigEndian.AppendUint64(nil, w.nonce), IngressExpiry: uint64(w.now.Add(time.Minute)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := ingress.Open(ingress.Message{Envelope: e.Append(nil), Effective: effective})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// install makes a canister of a module.
func (w *ways) install(module []byte) principal.ID {
	w.t.Helper()
	create := w.call(principal.ID{}, principal.Canister(0), "provisional_create_canister_with_cycles", canistertest.Encode(w.t, struct{}{}))
	w.round(create)
	reply := w.states[0].view.Request(create.RequestID()).Reply
	var created struct {
		ID principal.ID `candid:"canister_id"`
	}
	canistertest.Decode(w.t, reply, &created)
	w.round(w.call(principal.ID{}, created.ID, "install_code", canistertest.Encode(w.t, struct {
		Mode     canistertest.Mode `candid:"mode"`
		Canister principal.ID      `candid:"canister_id"`
		Module   []byte            `candid:"wasm_module"`
		Arg      []byte            `candid:"arg"`
	}{canistertest.Mode{Install: true}, created.ID, module, canistertest.Encode(w.t)})))
	return created.ID
}

// TestCompilerAndInterpreterAgreeOnEveryRoot runs two Motoko actors and a small canister, with
// timers, calls among each other, traps and deep recursion, compiled and interpreted.
func TestCompilerAndInterpreterAgreeOnEveryRoot(t *testing.T) {
	if testing.Short() {
		t.Skip("the interpreter is slow")
	}
	modules := [][]byte{canistertest.Counter(), canistertest.Motoko(t, "", workloadSource), canistertest.Motoko(t, "classicOP", workloadSource)}
	s := newSubnet(t, 1, testInterval)
	w := &ways{t: t, now: s.records.Subnet.Genesis}
	for _, interpreter := range []bool{false, true} {
		states, err := OpenStates(StatesConfig{Dir: t.TempDir(), Records: s.records, Interpreter: interpreter, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		w.states = append(w.states, states)
		t.Cleanup(func() {
			if err := states.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	var ids []principal.ID
	for _, m := range modules {
		ids = append(ids, w.install(m))
	}
	replied, rejected := 0, 0
	for i := range 12 {
		calls := []*ingress.Call{w.call(ids[0], ids[0], "inc", nil)}
		for _, id := range ids[1:] {
			calls = append(calls,
				w.call(id, id, "grow", canistertest.Encode(t, uint(200*(i+1)))), w.call(id, id, "chain", canistertest.Encode(t, uint(i%4))),
				w.call(id, id, "fail", canistertest.Encode(t)), w.call(id, id, "recurse", canistertest.Encode(t, uint(100*i))))
		}
		w.round(calls...)
		w.round()
		w.round()
		for _, c := range calls {
			switch e := w.states[0].view.Request(c.RequestID()); {
			case e == nil || !e.Status.Terminal():
				t.Errorf("call %x was not answered", c.RequestID())
			case e.Reject != nil:
				rejected++
			default:
				replied++
			}
		}
	}
	if replied != 12*7 || rejected != 12*2 { // only fail traps
		t.Errorf("%d calls were replied to and %d rejected: the workload is not what it should be", replied, rejected)
	}
}
