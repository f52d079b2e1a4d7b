// Files uploaded and read with @dfinity/assets, and served by the gateway.
import assert from 'node:assert/strict';
import { randomBytes, createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { AssetManager } from '@dfinity/assets';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { IDL } from '@icp-sdk/core/candid';
import { Network, gzip } from './network.mjs';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

describe('assets', () => {
  let network, agent, manager, id, wasm;
  const files = {
    '/index.html': Buffer.from('<!doctype html><title>Assets</title><p>Hello from a canister.'),
    '/data/small.bin': randomBytes(1000),
    '/data/large.bin': randomBytes(6 << 20),
  };

  before(async () => {
    network = await Network.start();
    agent = network.agent(Ed25519KeyIdentity.generate());
    wasm = gzip(await readFile(path.join(import.meta.dirname, '..', '..', 'build', 'assets.wasm')));
    id = await network.install(agent, wasm);
    manager = new AssetManager({ canisterId: id, agent });
  });
  after(() => network.remove());

  const get = async (name, headers = {}) => {
    const response = await fetch(`${network.host}${name}?canisterId=${id}`, { headers });
    return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) };
  };

  test('three files, one of 6 MB, are uploaded and listed', async () => {
    for (const [key, content] of Object.entries(files)) {
      await manager.store(content, { fileName: path.basename(key), path: path.dirname(key).replace(/\/$/, ''), contentType: key.endsWith('html') ? 'text/html' : 'application/octet-stream' });
    }
    const listed = await manager.list();
    assert.deepEqual(listed.map((a) => a.key).sort(), Object.keys(files).sort());
    for (const asset of listed) {
      assert.equal(Number(asset.encodings[0].length), files[asset.key].length);
      assert.equal(Buffer.from(asset.encodings[0].sha256[0]).toString('hex'), sha256(files[asset.key]));
    }
  });

  test('they are read back as they were', async () => {
    for (const [key, content] of Object.entries(files)) {
      const asset = await manager.get(key);
      assert.equal(sha256(await asset.toUint8Array()), sha256(content));
    }
  });

  test('the gateway serves them verified', async () => {
    for (const [key, content] of Object.entries(files)) {
      const { status, body } = await get(key);
      assert.equal(status, 200, key);
      assert.equal(sha256(body), sha256(content), key);
    }
    assert.equal((await get('/')).body.toString(), files['/index.html'].toString());
  });

  test('strangers change nothing', async () => {
    const stranger = new AssetManager({ canisterId: id, agent: network.agent(Ed25519KeyIdentity.generate()) });
    await assert.rejects(stranger.store(Buffer.from('x'), { fileName: 'x.txt' }));
    await assert.rejects(stranger.clear());
    assert.equal((await manager.list()).length, 3);
  });

  test('an upgrade keeps all of them', async () => {
    await network.management(agent).install_code({ mode: { upgrade: [] }, canister_id: id, wasm_module: wasm, arg: IDL.encode([], []) });
    assert.equal((await manager.list()).length, 3);
    assert.equal(sha256((await get('/data/large.bin')).body), sha256(files['/data/large.bin']));
  });

  test('a deleted file is gone', async () => {
    await manager.delete('/data/small.bin');
    assert.equal((await manager.list()).length, 2);
    const gone = await get('/data/small.bin');
    assert.notEqual(sha256(gone.body), sha256(files['/data/small.bin']));
    await manager.clear();
    const nothing = await get('/data/small.bin');
    assert.equal(nothing.status, 404, nothing.body.toString());
  });
});
