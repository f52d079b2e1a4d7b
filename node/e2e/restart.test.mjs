// What a network certified outlives its processes.
import assert from 'node:assert/strict';
import { open, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { Actor, CanisterStatus } from '@icp-sdk/core/agent';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Network, counterInterface, counterSource, motoko } from './network.mjs';

describe('restarts', () => {
  const owner = Ed25519KeyIdentity.generate();
  let network, id, rootKey;

  before(async () => {
    network = await Network.start();
    id = await network.install(network.agent(owner), motoko(counterSource));
    rootKey = Buffer.from(network.rootKey).toString('hex');
  });
  after(() => network.remove());

  const counter = () => Actor.createActor(counterInterface, { agent: network.agent(owner), canisterId: id });

  test('killed again and again, the counter goes on and the keys stay', async () => {
    for (let n = 1n; n <= 4n; n++) {
      assert.equal(await counter().increment(), n);
      await network.kill();
      await network.up();
      assert.equal(Buffer.from(network.rootKey).toString('hex'), rootKey);
      assert.equal(await counter().value(), n);
    }
  });

  test('stopped in order it ends with 0 and starts from its checkpoint', async () => {
    const before = await counter().increment();
    assert.equal(await network.stop(), 0);
    await network.up();
    assert.equal(await counter().value(), before);
    const status = await CanisterStatus.request({ canisterId: id, agent: network.agent(owner), paths: ['module_hash'] });
    assert.ok(status.get('module_hash'));
  });

  test('a damaged checkpoint is named and never served', async () => {
    assert.equal(await network.stop(), 0);
    const checkpoints = path.join(network.folder, 'state', 'node-0', 'checkpoints');
    const file = await largest(checkpoints);
    await flip(file);
    const child = spawn(path.join(import.meta.dirname, '..', '..', 'bin', 'portico'), ['up', '--state-dir', path.join(network.folder, 'state'), '--gateway-port', '0']);
    let text = '';
    child.stderr.on('data', (more) => (text += more));
    const [code] = await once(child, 'exit');
    assert.equal(code, 1);
    assert.ok(text.includes(path.basename(file)), `the message does not name ${file}:\n${text}`);
    await flip(file);
    await network.up();
    assert.equal(await counter().value(), 5n);
  });
});

async function largest(folder) {
  let best, size = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const s = (await stat(file)).size;
    if (s > size) [best, size] = [file, s];
  }
  return best;
}

/** Flips one bit in the middle of a file. */
async function flip(file) {
  const handle = await open(file, 'r+');
  const at = Math.floor((await handle.stat()).size / 2);
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, at);
  byte[0] ^= 1;
  await handle.write(byte, 0, 1, at);
  await handle.close();
}
