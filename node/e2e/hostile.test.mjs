// Canisters that misbehave hurt nobody but themselves.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Actor, Certificate, lookupResultToBuffer } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Network, counterInterface, counterSource, motoko } from './network.mjs';

const hostileSource = `
import Prim "mo:⛔";
persistent actor {
  var kept : Nat = 0;
  var heap : [[var Nat8]] = [];
  public func spin() : async () { kept := 7; loop {} };
  public query func spinQuery() : async () { loop {} };
  func deep(n : Nat) : Nat { 1 + deep(n + 1) };
  public func recurse() : async Nat { kept := 7; deep(0) };
  public func grow() : async () { kept := 7; loop { heap := [Prim.Array_init<Nat8>(1_000_000, 0)] } };
  public query func state() : async Nat { kept };
  public query func http_request(_ : Blob) : async Text { "this is no HTTP response" };
};
`;

describe('hostile canisters', () => {
  let network, agent, hostile, counter, counterId, id;
  before(async () => {
    network = await Network.start();
    agent = network.agent(Ed25519KeyIdentity.generate());
    id = await network.install(agent, motoko(hostileSource));
    hostile = Actor.createActor(({ IDL }) => IDL.Service({
      spinQuery: IDL.Func([], [], ['query']), state: IDL.Func([], [IDL.Nat], ['query']),
    }), { agent, canisterId: id });
    counterId = await network.install(agent, motoko(counterSource));
    counter = Actor.createActor(counterInterface, { agent, canisterId: counterId });
  });
  after(() => network.remove());

  /** Sends an update and returns how to wait for its error code. */
  async function send(methodName) {
    const { requestId } = await agent.call(id, { methodName, arg: IDL.encode([], []), callSync: false });
    const label = (text) => new TextEncoder().encode(text);
    const path = [label('request_status'), requestId];
    return async () => {
      for (const deadline = Date.now() + 600_000; Date.now() < deadline; await setTimeout(200)) {
        const { certificate } = await agent.readState(id, { paths: [path] });
        const cert = await Certificate.create({ certificate, rootKey: network.rootKey, principal: { canisterId: id } });
        const code = lookupResultToBuffer(cert.lookup_path([...path, label('error_code')]));
        if (code) return new TextDecoder().decode(code);
      }
      throw new Error(`${methodName} was never decided`);
    };
  }

  for (const [method, what, code] of [
    ['spin', 'an endless loop ends at the instruction limit', /IC0522/],
    ['recurse', 'endless recursion is a trap', /IC05\d\d/],
    ['grow', 'endless growth is a trap', /IC05\d\d/],
  ]) {
    test(`${what}, and others go on`, async () => {
      const before = await counter.value();
      const decided = await send(method);
      const { requestId } = await agent.call(counterId, { methodName: 'increment', arg: IDL.encode([], []), callSync: false });
      assert.ok(requestId);
      assert.match(await decided(), code);
      for (const deadline = Date.now() + 60_000; (await counter.value()) === before && Date.now() < deadline; ) await setTimeout(100);
      assert.equal(await counter.value(), before + 1n);
      assert.equal(await hostile.state(), 0n, 'the failed message left a trace');
    });
  }

  test('an endless query ends at its limit of instructions or of time', async () => {
    await assert.rejects(hostile.spinQuery(), /IC0522|IC0528/);
    assert.equal(await hostile.state(), 0n);
  });

  test('garbage instead of an HTTP response is an error page', async () => {
    const response = await fetch(`${network.host}/?canisterId=${id}`);
    assert.ok(response.status >= 500, `status ${response.status}`);
    assert.ok((await response.text()).length > 20);
  });
});
