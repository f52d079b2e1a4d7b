// What an ordinary user of @icp-sdk/core does with canisters.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Actor, CanisterStatus } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Network, counterInterface, counterSource, gzip, motoko } from './network.mjs';

const sha256 = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest());

describe('canister lifecycle', () => {
  let network, agent, management, module;
  const owner = Ed25519KeyIdentity.generate();

  before(async () => {
    network = await Network.start();
    agent = network.agent(owner);
    management = network.management(agent);
    module = motoko(counterSource);
  });
  after(() => network.remove());

  const counter = (id, other = agent) => Actor.createActor(counterInterface, { agent: other, canisterId: id });

  test('a counter is installed raw, called and queried', async () => {
    const id = await network.install(agent, module);
    assert.equal(await counter(id).increment(), 1n);
    assert.equal(await counter(id).value(), 1n);
    const status = await management.canister_status({ canister_id: id });
    assert.deepEqual(status.module_hash[0], sha256(module));
    assert.deepEqual(status.settings.controllers.map(String), [owner.getPrincipal().toText()]);
  });

  test('the module hash of a compressed module is that of the bytes that were sent', async () => {
    const compressed = gzip(module);
    const id = await network.install(agent, compressed);
    assert.equal(await counter(id).increment(), 1n);
    const status = await management.canister_status({ canister_id: id });
    assert.deepEqual(status.module_hash[0], sha256(compressed));
  });

  test('a module is installed from chunks', async () => {
    const { canister_id } = await management.provisional_create_canister_with_cycles({ amount: [], specified_id: [] });
    const hashes = [];
    for (let at = 0; at < module.length; at += 100_000) {
      hashes.push(await management.upload_chunk({ canister_id, chunk: module.subarray(at, at + 100_000) }));
    }
    assert.equal((await management.stored_chunks({ canister_id })).length, hashes.length);
    const args = { mode: { install: null }, target_canister: canister_id, store_canister: [], chunk_hashes_list: hashes, arg: IDL.encode([], []) };
    await assert.rejects(management.install_chunked_code({ ...args, wasm_module_hash: sha256('other') }), /does not match/);
    await management.install_chunked_code({ ...args, wasm_module_hash: sha256(module) });
    await management.clear_chunk_store({ canister_id });
    assert.deepEqual(await management.stored_chunks({ canister_id }), []);
    assert.equal(await counter(canister_id).increment(), 1n);
  });

  test('asynchronous calls (v2) are answered through read_state', async () => {
    const id = await network.install(agent, module);
    const actor = Actor.createActor(counterInterface, { agent: network.agent(owner, { callOptions: { callSync: false } }), canisterId: id });
    const submitted = await agent.call(id, { methodName: 'increment', arg: IDL.encode([], []), callSync: false });
    assert.equal(submitted.response.status, 202);
    assert.equal(await actor.increment(), 2n);
  });

  test('state is read under certificates', async () => {
    const id = await network.install(agent, module);
    const status = await CanisterStatus.request({ canisterId: id, agent, paths: ['controllers', 'module_hash', 'candid', 'time', 'subnet'] });
    assert.deepEqual(status.get('controllers').map(String), [owner.getPrincipal().toText()]);
    assert.equal(status.get('module_hash'), Buffer.from(sha256(module)).toString('hex'));
    assert.match(status.get('candid'), /increment/);
    assert.ok(Math.abs(status.get('time').getTime() - Date.now()) < 60_000);
    assert.ok(status.get('subnet'));
  });

  test('upgrades keep what is stable and refuse to lose a heap by mistake', async () => {
    const id = await network.install(agent, module);
    await counter(id).increment();
    const upgrade = (options) => management.install_code({ mode: { upgrade: options }, canister_id: id, wasm_module: module, arg: IDL.encode([], []) });
    await assert.rejects(upgrade([]), /wasm_memory_persistence/);
    await upgrade([{ skip_pre_upgrade: [], wasm_memory_persistence: [{ keep: null }] }]);
    assert.equal(await counter(id).increment(), 2n);
    await management.install_code({ mode: { reinstall: null }, canister_id: id, wasm_module: module, arg: IDL.encode([], []) });
    assert.equal(await counter(id).value(), 0n);
  });

  test('a canister is stopped, started, uninstalled and deleted by its controller only', async () => {
    const id = await network.install(agent, module);
    const canister_id = id;
    const stranger = network.management(network.agent(Ed25519KeyIdentity.generate()));
    await assert.rejects(stranger.stop_canister({ canister_id }), /IC0512/);
    await assert.rejects(management.delete_canister({ canister_id }), /IC0510/);
    await management.stop_canister({ canister_id });
    await assert.rejects(counter(id).increment(), /IC0508/);
    await assert.rejects(counter(id).value(), /IC0508/);
    await management.start_canister({ canister_id });
    assert.equal(await counter(id).increment(), 1n);
    await management.uninstall_code({ canister_id });
    await assert.rejects(counter(id).increment(), /IC0537/);
    await management.stop_canister({ canister_id });
    await management.delete_canister({ canister_id });
    await assert.rejects(counter(id).increment(), /IC0301/);
  });

  test('control passes with the settings', async () => {
    const { canister_id } = await management.provisional_create_canister_with_cycles({ amount: [], specified_id: [] });
    const heir = Ed25519KeyIdentity.generate();
    await management.update_settings({ canister_id, settings: { controllers: [[heir.getPrincipal()]], environment_variables: [], compute_allocation: [] } });
    await assert.rejects(management.canister_status({ canister_id }), /IC0512/);
    const status = await network.management(network.agent(heir)).canister_status({ canister_id });
    assert.deepEqual(status.settings.controllers.map(String), [heir.getPrincipal().toText()]);
  });

  test('modules that cannot be installed are refused with the reason, and the canister stays as it was', async () => {
    const id = await network.install(agent, module);
    await counter(id).increment();
    const reinstall = (wasm_module) => management.install_code({ mode: { reinstall: null }, canister_id: id, wasm_module, arg: IDL.encode([], []) });
    await assert.rejects(reinstall(module.subarray(0, 1000)), /IC0505/);
    await assert.rejects(reinstall(new Uint8Array([1, 2, 3])), /IC0505/);
    const imported = Buffer.from('0061736d01000000010401600000020c01036963300562616e616e610000', 'hex');
    await assert.rejects(reinstall(imported), /IC0505/);
    assert.equal(await counter(id).value(), 1n);
  });

  test('methods and canisters that do not exist are rejected with the codes that clients know', async () => {
    const id = await network.install(agent, module);
    const other = Actor.createActor(({ IDL }) => IDL.Service({ nope: IDL.Func([], [], []), nopeQuery: IDL.Func([], [], ['query']) }), { agent, canisterId: id });
    await assert.rejects(other.nope(), /IC0536/);
    await assert.rejects(other.nopeQuery(), /IC0536/);
  });
});
