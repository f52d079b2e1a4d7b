// Compiles a Motoko actor: actor.mjs OUTPUT [GC], where GC is an option of the
// compiler's such as classicOP, which chooses a 32-bit memory.
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const [output, gc] = process.argv.slice(2);
const motoko = createRequire(import.meta.url)("motoko").default;
if (gc) motoko.compiler.gcFlags(gc);
motoko.write("main.mo", `persistent actor {
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
}`);
writeFileSync(output, motoko.wasm("main.mo", "ic").wasm);
