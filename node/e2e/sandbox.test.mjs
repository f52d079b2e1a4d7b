// Replicas whose canisters run in processes of their own, which come to an end.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Actor } from '@icp-sdk/core/agent';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Network, children, counterInterface, counterSource, motoko } from './network.mjs';

describe('canisters in processes of their own', () => {
  let network, counter;

  before(async () => {
    network = await Network.start('--nodes', '4', '--sandboxes', '2');
    const agent = network.agent(Ed25519KeyIdentity.generate());
    counter = Actor.createActor(counterInterface, { agent, canisterId: await network.install(agent, motoko(counterSource)) });
  });
  after(() => network.remove());

  const sandboxes = async () => (await Promise.all(Object.values(await network.replicas()).map((pid) => children(pid)))).flat();

  test('a canister answers from there', async () => {
    assert.equal(await counter.increment(), 1n);
    assert.equal(await counter.value(), 1n);
    assert.ok((await sandboxes()).length >= 4, 'every replica has a process at least');
  });

  test('when they are killed on all replicas, the replicas and their canisters live on', async () => {
    const replicas = await network.replicas();
    for (let count = 2n; count <= 4n; count++) {
      for (const pid of await sandboxes()) process.kill(pid, 'SIGKILL');
      assert.equal(await counter.increment(), count);
      assert.equal(await counter.value(), count);
    }
    assert.deepEqual(await network.replicas(), replicas);
  });

  test('they end with a replica that is killed', async () => {
    const [index, pid] = Object.entries(await network.replicas())[0];
    const theirs = await children(pid);
    assert.ok(theirs.length > 0);
    process.kill(pid, 'SIGKILL');
    await network.until(() => theirs.every((child) => !existsSync(`/proc/${child}`)), `processes of node ${index} are left`);
    assert.equal(await counter.increment(), 5n);
  });

  test('and when the network stops', async () => {
    const all = await sandboxes();
    assert.equal(await network.stop(), 0);
    await network.until(() => all.every((child) => !existsSync(`/proc/${child}`)), 'processes are left');
  });
});
