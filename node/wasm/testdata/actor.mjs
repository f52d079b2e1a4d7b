// Compiles a Motoko actor: actor.mjs OUTPUT [GC], where GC is an option of the
// compiler's such as classicOP, which chooses a 32-bit memory.
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const [output, gc] = process.argv.slice(2);
const motoko = createRequire(import.meta.url)("motoko").default;
if (gc) motoko.compiler.gcFlags(gc);
motoko.write("main.mo", `import Prim "mo:prim";
persistent actor {
  type List = ?(Nat, List);
  var n = 0;
  var kept : List = null;
  public func inc() : async Nat { n += 1; n };
  public query func get() : async Nat { n };
  public func spin(k : Nat) : async Nat {
    var i = 0;
    var x = 1;
    while (i < k) { x := (x * 31 + i) % 1000003; i += 1 };
    x
  };
  public func keep(k : Nat) : async Nat {
    var i = 0;
    while (i < k) { kept := ?(i, kept); i += 1 };
    var l = kept;
    var length = 0;
    label walk loop { switch l { case null { break walk }; case (?(_, rest)) { length += 1; l := rest } } };
    length
  };
  // A search tree, a table of buckets and an array that is sorted, of k entries each.
  type Tree = ?(Nat, Nat, Tree, Tree);
  func insert(t : Tree, key : Nat, value : Nat) : Tree = switch t {
    case null ?(key, value, null, null);
    case (?(k, v, l, r)) if (key < k) ?(k, v, insert(l, key, value), r) else if (key > k) ?(k, v, l, insert(r, key, value)) else ?(k, value, l, r);
  };
  func find(t : Tree, key : Nat) : Nat = switch t {
    case null 0;
    case (?(k, v, l, r)) if (key < k) find(l, key) else if (key > k) find(r, key) else v;
  };
  func sort(a : [var Nat], from : Nat, to : Nat) {
    if (from + 1 >= to) return;
    let pivot = a[(from + to) / 2];
    var i = from;
    var j = to - 1 : Nat;
    label split loop {
      while (a[i] < pivot) i += 1;
      while (a[j] > pivot) j -= 1;
      if (i >= j) break split;
      let x = a[i];
      a[i] := a[j];
      a[j] := x;
      i += 1;
      j -= 1;
    };
    sort(a, from, i);
    sort(a, i, to);
  };
  public func collect(k : Nat) : async Nat {
    var tree : Tree = null;
    let buckets = Prim.Array_init<List>(256, null);
    let sorted = Prim.Array_init<Nat>(k, 0);
    var key = 1;
    for (i in sorted.keys()) {
      key := (key * 16807) % 2147483647;
      tree := insert(tree, key, i);
      buckets[key % 256] := ?(key, buckets[key % 256]);
      sorted[i] := key;
    };
    sort(sorted, 0, k);
    var sum = 0;
    for (key in sorted.vals()) {
      sum += find(tree, key);
      var l = buckets[key % 256];
      label walk loop { switch l { case null { break walk }; case (?(other, rest)) { if (other == key) { sum += 1; break walk }; l := rest } } };
    };
    sum
  };
}`);
writeFileSync(output, motoko.wasm("main.mo", "ic").wasm);
