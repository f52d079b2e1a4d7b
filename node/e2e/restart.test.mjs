// What a network certified outlives its processes.
import assert from 'node:assert/strict';
import { mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
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

  test('stopped in order it ends with 0 and starts again', async () => {
    const before = await counter().increment();
    assert.equal(await network.stop(), 0);
    await network.up();
    assert.equal(await counter().value(), before);
    const status = await CanisterStatus.request({ canisterId: id, agent: network.agent(owner), paths: ['module_hash'] });
    assert.ok(status.get('module_hash'));
  });

  test('the number of replicas of a network cannot be changed by a flag', async () => {
    assert.equal(await network.stop(), 0);
    const { code, text } = await refused(network, '--nodes', '7');
    assert.equal(code, 1);
    assert.match(text, /has 4 replicas, not 7/);
    await network.up();
  });
});

describe('damaged files', () => {
  const owner = Ed25519KeyIdentity.generate();

  test('a single replica names a damaged checkpoint and serves nothing', async () => {
    const network = await Network.start('--nodes', '1', '--artificial-delay-ms', '5');
    try {
      const id = await network.install(network.agent(owner), motoko(counterSource));
      const actor = () => Actor.createActor(counterInterface, { agent: network.agent(owner), canisterId: id });
      assert.equal(await actor().increment(), 1n);
      const checkpoints = path.join(network.node(0), 'checkpoints');
      await network.until(async () => (await readdir(checkpoints)).some((name) => /^\d+$/.test(name)));
      assert.equal(await network.stop(), 0);
      const file = await largest(checkpoints);
      await flip(file);
      const { code, text } = await refused(network);
      assert.equal(code, 1);
      assert.ok(text.includes(path.basename(file)), `the message does not name ${file}:\n${text}`);
      await flip(file);
      await network.up();
      assert.equal(await actor().value(), 1n);
    } finally {
      await network.remove();
    }
  });

  test('a network of four goes on without a replica whose file is damaged', async () => {
    const network = await Network.start();
    try {
      const id = await network.install(network.agent(owner), motoko(counterSource));
      assert.equal(await network.stop(), 0);
      const file = path.join(network.node(2), 'artifacts.db');
      await flip(file, 'DIDL');
      await network.up();
      const actor = Actor.createActor(counterInterface, { agent: network.agent(owner), canisterId: id });
      assert.equal(await actor.increment(), 1n);
      await network.says(/node 2 .* does not start/);
      assert.match(network.errors, new RegExp(file));
    } finally {
      await network.remove();
    }
  });

  test('a folder of an older version is refused with what to do', async () => {
    const network = await Network.start('--nodes', '1');
    try {
      assert.equal(await network.stop(), 0);
      const old = path.join(network.folder, 'state', 'node-0');
      await mkdir(old);
      await writeFile(path.join(old, 'subnet.key'), 'x');
      const { code, text } = await refused(network);
      assert.equal(code, 1);
      assert.match(text, /remove the folder/);
    } finally {
      await network.remove();
    }
  });
});

/** Starts portico on a network's folder, which it must refuse; returns its exit code and what it says. */
async function refused(network, ...flags) {
  const program = path.join(import.meta.dirname, '..', '..', 'bin', 'portico');
  const child = spawn(program, ['up', '--state-dir', path.join(network.folder, 'state'), '--gateway-port', '0', ...flags]);
  let text = '';
  child.stderr.on('data', (more) => (text += more));
  const [code] = await once(child, 'exit');
  return { code, text };
}

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

/** Flips one bit in the middle of a file, or in every place with a text. */
async function flip(file, text) {
  const content = await readFile(file);
  const places = [];
  if (!text) places.push(Math.floor(content.length / 2));
  else for (let at = content.indexOf(text); at >= 0; at = content.indexOf(text, at + 1)) places.push(at);
  assert.ok(places.length > 0, `${file} has no ${text}`);
  for (const at of places) content[at] ^= 1;
  const handle = await open(file, 'r+');
  await handle.write(content, 0, content.length, 0);
  await handle.close();
}
