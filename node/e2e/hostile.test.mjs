// Canisters that misbehave hurt nobody but themselves.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Actor } from '@icp-sdk/core/agent';
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
  let network, agent, hostile, counter, id;
  before(async () => {
    network = await Network.start();
    agent = network.agent(Ed25519KeyIdentity.generate());
    id = await network.install(agent, motoko(hostileSource));
    hostile = Actor.createActor(({ IDL }) => IDL.Service({
      spin: IDL.Func([], [], []), spinQuery: IDL.Func([], [], ['query']), recurse: IDL.Func([], [IDL.Nat], []), grow: IDL.Func([], [], []),
      state: IDL.Func([], [IDL.Nat], ['query']),
    }), { agent, canisterId: id });
    counter = Actor.createActor(counterInterface, { agent, canisterId: await network.install(agent, motoko(counterSource)) });
  });
  after(() => network.remove());

  /** Others go on while and after the hostile call; the canister itself is as it was. */
  async function harmless(call, reason) {
    const before = await counter.value();
    const failed = assert.rejects(call(), reason);
    assert.equal(await counter.increment(), before + 1n);
    await failed;
    assert.equal(await counter.value(), before + 1n);
    assert.equal(await hostile.state(), 0n);
  }

  test('an endless loop ends at the instruction limit', () => harmless(() => hostile.spin(), /IC0522/));
  test('an endless query ends at its limit', () => harmless(() => hostile.spinQuery(), /IC0522/));
  test('endless recursion is a trap', () => harmless(() => hostile.recurse(), /IC05\d\d/));
  test('endless growth is a trap', () => harmless(() => hostile.grow(), /IC05\d\d/));

  test('garbage instead of an HTTP response is an error page', async () => {
    const response = await fetch(`${network.host}/?canisterId=${id}`);
    assert.ok(response.status >= 500, `status ${response.status}`);
    assert.ok((await response.text()).length > 20);
  });
});
