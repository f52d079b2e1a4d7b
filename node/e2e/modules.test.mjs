// Canisters of several languages, each installed, called, upgraded, and put back to a
// snapshot. Every one says how it is changed, what is seen of it, and what an upgrade
// keeps by its own design.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { AssetManager } from '@dfinity/assets';
import { Actor } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { azleProgram, goProgram, motokoProgram } from './compile.mjs';
import { Network, counterInterface, counterSource, gzip, motoko } from './network.mjs';

const owner = Ed25519KeyIdentity.generate();
const me = owner.getPrincipal();
const friend = Ed25519KeyIdentity.generate().getPrincipal();
const keep = [{ skip_pre_upgrade: [], wasm_memory_persistence: [{ keep: null }] }];
const nothing = IDL.encode([], []);
const assetCanister = path.join(import.meta.dirname, '..', '..', 'build', 'assets.wasm');

// A program has
//   module    what gives its bytes
//   arg       what it is installed with, and nextArg what it is upgraded with
//   mode      how it is upgraded
//   methods   its interface
//   change    changes it for the n-th time; context has actor, id, agent and network
//   look      what is to be seen of it
//   keeps     what of that an upgrade leaves; everything, if it does not say
//   more      what else it can do
const programs = [
  {
    name: 'Motoko: an actor whose memory is kept',
    module: () => motokoProgram('collections.mo'),
    mode: keep,
    methods: (IDL) => ({
      add: IDL.Func([IDL.Text], [IDL.Nat], []),
      all: IDL.Func([], [IDL.Record({ words: IDL.Nat, lengths: IDL.Nat, last: IDL.Opt(IDL.Text), recent: IDL.Vec(IDL.Text), sum: IDL.Nat })], ['query']),
    }),
    change: async ({ actor }, n) => {
      for (let i = 0; i < 5; i++) await actor.add('word'.repeat(n + (i % 2)));
    },
    look: ({ actor }) => actor.all(),
  },
  {
    name: 'Motoko: upgrade hooks and the classical memory',
    module: () => motokoProgram('classical.mo', 'classicOP'),
    mode: [],
    methods: (IDL) => ({ write: IDL.Func([IDL.Text], [], []), read: IDL.Func([], [IDL.Vec(IDL.Text), IDL.Nat], ['query']) }),
    change: ({ actor }, n) => actor.write(`line ${n}`),
    look: ({ actor }) => actor.read(),
    keeps: ([lines, upgrades]) => [lines, upgrades + 1n],
  },
  {
    name: 'Motoko: an actor class and its argument',
    module: () => motokoProgram('greeter.mo'),
    arg: IDL.encode([IDL.Text], ['Hello']),
    nextArg: IDL.encode([IDL.Text], ['Grüezi']),
    mode: keep,
    methods: (IDL) => ({ meet: IDL.Func([IDL.Text], [IDL.Text], []), met: IDL.Func([], [IDL.Text, IDL.Text], ['query']) }),
    change: ({ actor }, n) => actor.meet(`guest ${n}`),
    look: ({ actor }) => actor.met(),
    keeps: ([, names]) => ['Grüezi', names],
  },
  {
    name: 'Motoko: a factory of canisters and a composite query',
    module: () => motokoProgram('factory.mo'),
    mode: keep,
    methods: (IDL) => ({ make: IDL.Func([IDL.Nat], [IDL.Nat], []), values: IDL.Func([], [IDL.Vec(IDL.Nat)], ['query']) }),
    change: async ({ actor }, n) => assert.equal(await actor.make(BigInt(n)), BigInt(n) + 1n),
    look: ({ actor }) => actor.values(),
  },
  {
    name: 'Motoko: timers that repeat and are cancelled',
    module: () => motokoProgram('ticker.mo'),
    mode: keep,
    methods: (IDL) => ({ run: IDL.Func([IDL.Nat], [], []), count: IDL.Func([], [IDL.Nat], ['query']) }),
    change: async ({ actor, network }) => {
      const end = (await actor.count()) + 2n;
      await actor.run(2n);
      await network.until(async () => (await actor.count()) === end, 'the timer did not fire twice');
    },
    look: ({ actor }) => actor.count(),
  },
  {
    name: 'Motoko: regions of stable memory',
    module: () => motokoProgram('region.mo'),
    mode: keep,
    methods: (IDL) => ({
      append: IDL.Func([IDL.Vec(IDL.Nat8)], [IDL.Nat64], []),
      read: IDL.Func([IDL.Nat64], [IDL.Vec(IDL.Nat8)], ['query']),
      size: IDL.Func([], [IDL.Nat64], ['query']),
    }),
    change: ({ actor }, n) => actor.append(new Uint8Array(300_000).fill(n)),
    look: async ({ actor }) => {
      const size = await actor.size();
      return size === 0n ? size : [size, (await actor.read(size - 1n))[299_999]];
    },
  },
  {
    name: 'Motoko: a token',
    module: () => motokoProgram('token.mo'),
    arg: IDL.encode([IDL.Nat, IDL.Principal], [1_000_000n, me]),
    mode: keep,
    methods: (IDL) => ({
      transfer: IDL.Func([IDL.Principal, IDL.Nat], [IDL.Variant({ ok: IDL.Nat, err: IDL.Variant({ insufficient: IDL.Nat }) })], []),
      balanceOf: IDL.Func([IDL.Principal], [IDL.Nat], ['query']),
      height: IDL.Func([], [IDL.Nat], ['query']),
    }),
    change: async ({ actor }, n) => assert.deepEqual(await actor.transfer(friend, 100n), { ok: BigInt(n) + 1n }),
    look: async ({ actor }) => [await actor.balanceOf(me), await actor.balanceOf(friend), await actor.height()],
    more: async ({ actor }) => assert.deepEqual(await actor.transfer(friend, 10_000_000n), { err: { insufficient: 999_800n } }),
  },
  {
    name: 'Motoko: HTTP requests that the gateway repeats as updates',
    module: () => motokoProgram('web.mo'),
    mode: keep,
    methods: () => ({}),
    change: async ({ network, id }) => assert.equal((await fetch(`${network.host}/?canisterId=${id}`, { method: 'POST' })).status, 200),
    look: async ({ network, id }) => (await fetch(`${network.host}/?canisterId=${id}`)).text(),
  },
  {
    name: 'TypeScript: azle, with a map in stable memory, timers and calls',
    module: async () => gzip(await azleProgram('notes.ts')),
    arg: IDL.encode([IDL.Nat], [100n]),
    nextArg: IDL.encode([IDL.Nat], [500n]),
    mode: [],
    methods: (IDL) => ({
      write: IDL.Func([IDL.Text, IDL.Text], [IDL.Nat], []),
      read: IDL.Func([], [IDL.Tuple(IDL.Vec(IDL.Tuple(IDL.Text, IDL.Text)), IDL.Nat)], ['query']),
      later: IDL.Func([], [], []),
      hasFired: IDL.Func([], [IDL.Bool], ['query']),
      increment: IDL.Func([IDL.Principal], [IDL.Nat], []),
    }),
    change: ({ actor }, n) => actor.write(`note ${n}`, 'to be kept'),
    look: ({ actor }) => actor.read(),
    keeps: ([notes]) => [notes, 500n],
    more: async ({ actor, network, agent }) => {
      await actor.later();
      await network.until(() => actor.hasFired(), 'the timer did not fire');
      const counter = await network.install(agent, motoko(counterSource));
      assert.equal(await actor.increment(counter), 1n);
      assert.equal(await Actor.createActor(counterInterface, { agent, canisterId: counter }).value(), 1n);
    },
  },
  {
    name: 'Go: a journal in stable memory, with timers',
    module: async () => gzip(await goProgram('journal')),
    arg: IDL.encode([IDL.Text], ['first']),
    nextArg: IDL.encode([IDL.Text], ['second']),
    mode: [],
    methods: (IDL) => ({
      write: IDL.Func([IDL.Text], [IDL.Nat64], []),
      later: IDL.Func([], [], []),
      read: IDL.Func([], [IDL.Text, IDL.Text, IDL.Nat64, IDL.Nat64], ['query']),
    }),
    change: ({ actor }, n) => actor.write(`line ${n}`),
    look: ({ actor }) => actor.read(),
    keeps: ([, lines]) => ['second', lines, 0n, 0n],
    more: async ({ actor, network }) => {
      await actor.later();
      await network.until(async () => (await actor.read())[3] === 1n, 'the timer did not fire');
    },
  },
  {
    name: 'Go: the asset canister',
    module: async () => gzip(await readFile(assetCanister)),
    mode: [],
    methods: () => ({}),
    change: ({ agent, id }, n) => new AssetManager({ canisterId: id, agent }).store(Buffer.from(`content ${n}`), { fileName: `${n}.txt` }),
    look: async ({ network, id }) => Promise.all([1, 2].map(async (n) => {
      const response = await fetch(`${network.host}/${n}.txt?canisterId=${id}`);
      return [response.status, await response.text()];
    })),
  },
];

describe('modules of several languages', () => {
  let network, agent, management;
  const modules = programs.map((p) => p.module());
  // One that cannot be compiled fails its own test; until that runs, nobody else hears of it.
  for (const module of modules) module.catch(() => {});

  before(async () => {
    network = await Network.start('--nodes', '1');
    agent = network.agent(owner);
    management = network.management(agent);
  });
  after(() => network.remove());

  /** Does something to a canister that is stopped for it. */
  async function stopped(canister_id, work) {
    await management.stop_canister({ canister_id });
    const result = await work();
    await management.start_canister({ canister_id });
    return result;
  }

  programs.forEach((p, i) => test(p.name, async () => {
    const module = await modules[i];
    const id = await network.install(agent, module, p.arg ?? nothing);
    const context = { network, agent, id, actor: Actor.createActor(({ IDL }) => IDL.Service(p.methods(IDL)), { agent, canisterId: id }) };
    const empty = await p.look(context);
    await p.change(context, 1);
    const changed = await p.look(context);
    assert.notDeepEqual(changed, empty, 'an update changes it');

    await management.install_code({ mode: { upgrade: p.mode }, canister_id: id, wasm_module: module, arg: p.nextArg ?? p.arg ?? nothing });
    const upgraded = await p.look(context);
    assert.deepEqual(upgraded, p.keeps ? p.keeps(changed) : changed, 'the upgrade keeps what it should');

    const snapshot = await stopped(id, () => management.take_canister_snapshot({ canister_id: id, replace_snapshot: [] }));
    await p.change(context, 2);
    const later = await p.look(context);
    assert.notDeepEqual(later, upgraded, 'it changes after the upgrade');
    await stopped(id, () => management.load_canister_snapshot({ canister_id: id, snapshot_id: snapshot.id }));
    assert.deepEqual(await p.look(context), upgraded, 'the snapshot brings back what was');
    await p.change(context, 2);
    assert.deepEqual(await p.look(context), later, 'and it goes on from there');
    await p.more?.(context);
  }));
});
