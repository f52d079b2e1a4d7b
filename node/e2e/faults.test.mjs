// What a network of four replicas survives, with users calling all the time.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Actor, HttpAgent } from '@icp-sdk/core/agent';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Network, counterInterface, counterSource, motoko } from './network.mjs';

describe('faults', () => {
  const owner = Ed25519KeyIdentity.generate();
  let network, id;
  let expected = 0n;

  before(async () => {
    network = await Network.start();
    id = await network.install(network.agent(owner), motoko(counterSource));
  });
  after(() => network.remove());

  const counter = (agent = network.agent(owner)) => Actor.createActor(counterInterface, { agent, canisterId: id });

  /** The certified height that a replica tells, or -1. */
  async function height(api) {
    try {
      const response = await fetch(`${api}/api/v2/status`, { signal: AbortSignal.timeout(2000) });
      return Number(response.headers.get('portico-height') ?? -1);
    } catch {
      return -1;
    }
  }

  /** Waits until all replicas have certified states, newer than a height. */
  const allBeyond = (least) => network.until(async () => {
    const heights = await Promise.all(network.apis().map(height));
    return heights.length === 4 && heights.every((h) => h > least);
  });

  test('one replica is killed while 200 updates run: none is lost, none happens twice', async () => {
    await allBeyond(0);
    const from = network.output.length;
    const victim = (await network.replicas())[1];
    const actor = counter();
    const results = [];
    let started = 0;
    const worker = async () => {
      while (started < 200) {
        if (++started === 60) process.kill(victim, 'SIGKILL');
        results.push(await actor.increment());
      }
    };
    await Promise.all(Array.from({ length: 10 }, worker));
    assert.equal(results.length, 200);
    const distinct = new Set(results);
    for (let n = 1n; n <= 200n; n++) assert.ok(distinct.has(expected + n), `nobody was told ${expected + n}`);
    expected += 200n;
    for (let i = 0; i < 8; i++) assert.equal(await counter().value(), expected); // verified, by replica after replica
    await network.says(/node 1 .* stopped \(killed\)/, from);
    await network.says(/node 1 .* is back at height/, from);
  });

  test('the replica that was killed answers as the others do', async () => {
    const newest = Math.max(...(await Promise.all(network.apis().map(height))));
    await allBeyond(newest - 1);
    for (const host of network.apis()) {
      const agent = HttpAgent.createSync({ host, rootKey: network.rootKey, identity: owner });
      assert.equal(await counter(agent).value(), expected);
    }
  });

  test('without two replicas nothing new is certified, but queries are answered', async () => {
    const victims = await network.replicas();
    const apis = network.apis();
    process.kill(victims[2], 'SIGSTOP');
    process.kill(victims[3], 'SIGSTOP');
    try {
      const settled = await height(apis[0]);
      await network.until(async () => (await still(apis[0])) >= settled);
      const stuck = await height(apis[0]);
      for (const host of apis.slice(0, 2)) {
        const agent = HttpAgent.createSync({ host, rootKey: network.rootKey, identity: owner });
        assert.equal(await counter(agent).value(), expected);
      }
      assert.equal(await height(apis[0]), stuck);
    } finally {
      process.kill(victims[2], 'SIGCONT');
      process.kill(victims[3], 'SIGCONT');
    }
    await allBeyond(await height(apis[0]));
    assert.equal(await counter().increment(), ++expected);
  });

  /** A height at which a replica stays for as long as it took three blocks before. */
  async function still(api) {
    for (let tries = 0; tries < 5; tries++) {
      const before = await height(api);
      // that nothing happens can only be waited for
      await new Promise((resolve) => setTimeout(resolve, 4000));
      if ((await height(api)) === before) return before;
    }
    assert.fail('certificates are still made, although no quorum is there');
  }

  test('two replicas are killed and come back, and the network goes on', async () => {
    const from = network.output.length;
    const victims = await network.replicas();
    process.kill(victims[0], 'SIGKILL');
    process.kill(victims[3], 'SIGKILL');
    await network.says(/node 0 .* is back/, from);
    await network.says(/node 3 .* is back/, from);
    assert.equal(await counter().increment(), ++expected);
  });

  test('all are killed and start again', async () => {
    await network.kill();
    await network.up();
    assert.equal(await counter().value(), expected);
    assert.equal(await counter().increment(), ++expected);
    assert.equal(await counter().value(), expected);
  });
});
