// Motoko actors, compiled as moc does by default and with the classical memory.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Actor } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Network, counterInterface, counterSource, motoko } from './network.mjs';

const callerSource = `
persistent actor {
  type Counter = actor { increment : () -> async Nat };
  public func twice(id : Text) : async Nat {
    let counter : Counter = actor (id);
    let first = await counter.increment();
    let second = await counter.increment();
    first * 100 + second
  };
};
`;

const timerSource = `
import Prim "mo:⛔";
persistent actor {
  var fired : Nat = 0;
  system func timer(set : Nat64 -> ()) : async () { fired += 1; set(Prim.time() + 100_000_000) };
  public query func count() : async Nat { fired };
};
`;

// A stable variable that the classical memory model saves in stable memory.
const journalSource = (version) => `
persistent actor {
  var lines : [Text] = [];
  public func write(line : Text) : async () {
    lines := Prim.Array_tabulate<Text>(lines.size() + 1, func i = if (i < lines.size()) lines[i] else line);
  };
  public query func read() : async [Text] { lines };
  public query func version() : async Nat { ${version} };
};
`.replace('persistent', 'import Prim "mo:⛔";\npersistent');

for (const [name, flags] of [['default output', undefined], ["gcFlags('classicOP')", 'classicOP']]) {
  describe(`Motoko with ${name}`, () => {
    let network, agent, management;
    before(async () => {
      network = await Network.start();
      agent = network.agent(Ed25519KeyIdentity.generate());
      management = network.management(agent);
    });
    after(() => network.remove());

    const actor = (canisterId, methods) => Actor.createActor(({ IDL }) => IDL.Service(methods(IDL)), { agent, canisterId });

    test('a caller awaits another canister twice', async () => {
      const counter = await network.install(agent, motoko(counterSource, flags));
      const caller = await network.install(agent, motoko(callerSource, flags));
      const twice = actor(caller, (IDL) => ({ twice: IDL.Func([IDL.Text], [IDL.Nat], []) }));
      assert.equal(await twice.twice(counter.toText()), 102n);
      assert.equal(await Actor.createActor(counterInterface, { agent, canisterId: counter }).value(), 2n);
    });

    test('timers fire without anybody calling', async () => {
      const id = await network.install(agent, motoko(timerSource, flags));
      const timer = actor(id, (IDL) => ({ count: IDL.Func([], [IDL.Nat], ['query']) }));
      const deadline = Date.now() + 60_000;
      let count = 0n;
      while (count < 3n && Date.now() < deadline) count = await timer.count();
      assert.ok(count >= 3n, `the timer fired ${count} times`);
    });

    test('stable variables outlive an upgrade', async () => {
      const id = await network.install(agent, motoko(journalSource(1), flags));
      const journal = actor(id, (IDL) => ({
        write: IDL.Func([IDL.Text], [], []), read: IDL.Func([], [IDL.Vec(IDL.Text)], ['query']), version: IDL.Func([], [IDL.Nat], ['query']),
      }));
      await journal.write('one');
      await journal.write('two');
      const persistence = flags ? [] : [{ skip_pre_upgrade: [], wasm_memory_persistence: [{ keep: null }] }];
      await management.install_code({ mode: { upgrade: persistence }, canister_id: id, wasm_module: motoko(journalSource(2), flags), arg: IDL.encode([], []) });
      assert.equal(await journal.version(), 2n);
      assert.deepEqual(await journal.read(), ['one', 'two']);
    });
  });
}
