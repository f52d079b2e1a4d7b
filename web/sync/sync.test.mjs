// portico assets sync against a local network: keys of every kind, rules, an icp.yaml
// script step's environment, and what the gateway then serves.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { AssetManager } from '@dfinity/assets';
import { Actor } from '@icp-sdk/core/agent';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Principal } from '@icp-sdk/core/principal';
import { Network, gzip } from '../../node/e2e/network.mjs';

const repository = path.join(import.meta.dirname, '..', '..');

const cache = await mkdtemp(path.join(os.tmpdir(), 'portico-cache-'));

/** Runs a program to its end. */
async function run(args, options = {}) {
  const child = spawn(path.join(repository, 'bin', 'portico'), args, { stdio: ['pipe', 'pipe', 'pipe'], ...options, env: { ...process.env, XDG_CACHE_HOME: cache, ...options.env } });
  let out = '', err = '';
  child.stdout.on('data', (text) => (out += text));
  child.stderr.on('data', (text) => (err += text));
  child.stdin.end(options.input ?? '');
  const code = await new Promise((resolve) => child.on('close', resolve));
  return { code, out, err };
}

const permissions = ({ IDL }) => {
  const permission = IDL.Variant({ Commit: IDL.Null, ManagePermissions: IDL.Null, Prepare: IDL.Null });
  return IDL.Service({ grant_permission: IDL.Func([IDL.Record({ to_principal: IDL.Principal, permission })], [], []) });
};

describe('portico assets sync', () => {
  let network, agent, id, folder, site, keyFile;

  before(async () => {
    network = await Network.start('--nodes', '1');
    const seed = randomBytes(32);
    agent = network.agent(Ed25519KeyIdentity.generate(seed));
    id = await network.install(agent, gzip(await readFile(path.join(repository, 'build', 'assets.wasm'))));
    folder = await mkdtemp(path.join(os.tmpdir(), 'portico-sync-'));
    site = path.join(folder, 'site');
    await mkdir(path.join(site, 'code'), { recursive: true });
    await mkdir(path.join(site, '.well-known'));
    await writeFile(path.join(site, 'index.html'), `<h1>home</h1>${' '.repeat(5000)}`);
    await writeFile(path.join(site, 'code', 'main.js'), 'export const x = 1;\n'.repeat(500));
    await writeFile(path.join(site, 'film.mp4'), randomBytes(6_000_000));
    await writeFile(path.join(site, '.well-known', 'ic-domains'), 'example.org\n');
    await writeFile(path.join(site, '.ic-assets.json5'), `[{ match: "**/*", security_policy: "standard", disable_security_policy_warning: true },
      { match: "**/*.js", headers: { "x-kind": "script" }, cache: { max_age: 3600 } }]`);
    keyFile = path.join(folder, 'key.pem');
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
    await writeFile(keyFile, createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }));
  });
  after(async () => {
    await network?.remove();
    for (const made of [folder, cache]) await rm(made, { recursive: true, force: true });
  });

  const sync = (key, ...more) => run(['assets', 'sync', site, '--canister', id.toText(), '--network', network.host, '--identity', key, ...more]);

  /** Gets a URL of the site through the gateway. */
  const get = (url, headers = {}) => new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port: network.status.gateway_port, path: url, headers: { host: `${id.toText()}.localhost`, ...headers } }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }));
      response.on('error', reject);
    });
    request.on('error', reject);
  });

  test('a directory is uploaded and served with its headers', async () => {
    const { code, out, err } = await sync(keyFile);
    assert.equal(code, 0, err);
    assert.match(out, /^create   \/film\.mp4 \(6\.0 MB\)$/m);
    assert.match(out, /4 changed, 0 as they were/);
    const page = await get('/');
    assert.equal(page.status, 200);
    assert.match(page.body.toString(), /home/);
    assert.equal(page.headers['x-frame-options'], 'DENY');
    const script = await get('/code/main.js', { 'accept-encoding': 'gzip' });
    assert.equal(script.headers['content-encoding'], 'gzip');
    assert.equal(script.headers['x-kind'], 'script');
    assert.equal(script.headers['cache-control'], 'max-age=3600');
    assert.equal(gunzipSync(script.body).toString(), 'export const x = 1;\n'.repeat(500));
    const film = await get('/film.mp4');
    assert.equal(film.status, 200);
    assert.ok(film.body.equals(await readFile(path.join(site, 'film.mp4'))));
    for (const [first, last] of [[0, 99], [5_000_000, 5_000_099], [1_900_000, 1_900_000], [1_899_990, 1_900_010]]) {
      const part = await get('/film.mp4', { range: `bytes=${first}-${last}` });
      assert.equal(part.status, 206);
      const span = part.headers['content-range'].match(/^bytes (\d+)-(\d+)\/6000000$/).slice(1).map(Number);
      assert.equal(span[0], first);
      assert.ok(span[1] <= last && part.body.equals(film.body.subarray(first, span[1] + 1)), `${span}`);
    }
    assert.equal((await get('/.well-known/ic-domains')).body.toString(), 'example.org\n');
  });

  test('a second run does nothing, and one changed file is one call', async () => {
    assert.match((await sync(keyFile)).out, /^0 changed, 4 as they were; 0 B in 0 calls$/m);
    await writeFile(path.join(site, 'code', 'main.js'), 'export const x = 2;\n');
    assert.match((await sync(keyFile, '--dry-run')).out, /replace  \/code\/main\.js .*\n1 would change/);
    assert.match((await sync(keyFile)).out, /^1 changed, 3 as they were; 20 B in 1 calls$/m);
    assert.equal((await get('/code/main.js')).body.toString(), 'export const x = 2;\n');
  });

  test('@dfinity/assets sees what was uploaded, and what it stores is deleted', async () => {
    const manager = new AssetManager({ canisterId: id, agent });
    await manager.store(Buffer.from('extra'), { fileName: 'extra.txt', contentType: 'text/plain' });
    const keys = (await manager.list()).map((a) => a.key).sort();
    assert.deepEqual(keys, ['/.well-known/ic-domains', '/code/main.js', '/extra.txt', '/film.mp4', '/index.html']);
    assert.ok(await (await manager.get('/film.mp4')).isCertified());
    assert.match((await sync(keyFile, '--no-delete')).out, /0 changed/);
    assert.match((await sync(keyFile)).out, /delete   \/extra\.txt/);
    assert.equal((await manager.list()).length, 4);
  });

  for (const [name, curve] of [['secp256k1', 'secp256k1'], ['prime256v1', 'P-256']]) {
    test(`a key of ${name} signs, once it is permitted`, async () => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: curve });
      const file = path.join(folder, `${name}.pem`);
      await writeFile(file, privateKey.export({ format: 'pem', type: 'sec1' }));
      await writeFile(path.join(site, 'by.txt'), name);
      const refused = await sync(file);
      assert.equal(refused.code, 1);
      const who = refused.err.match(/principal "([^"]+)"/)?.[1];
      assert.ok(who, refused.err);
      const canister = Actor.createActor(permissions, { agent, canisterId: id });
      await canister.grant_permission({ to_principal: Principal.fromText(who), permission: { Commit: null } });
      const done = await sync(file);
      assert.equal(done.code, 0, done.err);
      assert.equal((await get('/by.txt')).body.toString(), name);
    });
  }

  test('in a script step of icp-cli the environment says which canister and network', async () => {
    const project = path.join(folder, 'project');
    const place = path.join(project, '.icp', 'cache', 'networks', 'local');
    await mkdir(place, { recursive: true });
    await mkdir(path.join(project, 'frontend'));
    const descriptor = { network: 'local', gateway: { fixed: true, port: network.status.gateway_port, host: '127.0.0.1' }, 'root-key': network.status.root_key };
    await writeFile(path.join(place, 'descriptor.json'), JSON.stringify(descriptor));
    const options = { cwd: path.join(project, 'frontend'), env: { ICP_CLI_CID: id.toText(), ICP_CLI_NETWORK: 'local' }, input: await readFile(keyFile) };
    const { code, out, err } = await run(['assets', 'sync', site, '--identity', '-'], options);
    assert.equal(code, 0, err);
    assert.match(out, /0 changed, 5 as they were/);
  });

  test('a proposal is printed with its evidence', async () => {
    await writeFile(path.join(site, 'by.txt'), 'proposal');
    assert.match((await sync(keyFile, '--by-proposal')).out, /proposed batch \d+ with evidence [0-9a-f]{64}/);
    assert.notEqual((await get('/by.txt')).body.toString(), 'proposal');
  });

  test('mistakes are told plainly', async () => {
    const wrongKey = await sync(keyFile, '--root-key', network.status.root_key.replace(/..$/, '00'));
    assert.equal(wrongKey.code, 1);
    assert.match(wrongKey.err, /cannot be believed|root key|certificate/);
    const away = await run(['assets', 'sync', site, '--canister', id.toText(), '--network', 'http://example.org']);
    assert.match(away.err, /not on this machine.*--root-key/);
    assert.match((await run(['assets', 'sync', site, '--canister', 'nonsense'])).err, /--canister nonsense/);
    assert.match((await run(['assets', 'sync', path.join(site, 'nowhere'), '--canister', id.toText()])).err, /nowhere: no such file/);
    assert.match((await run(['assets', 'sync', site, '--canister', id.toText(), '--network', 'other'], { cwd: folder })).err, /neither a URL/);
    await writeFile(path.join(site, 'code', '.ic-assets.json'), '[{"match": "*", "hedders": {}}]');
    assert.match((await sync(keyFile)).err, /code\/\.ic-assets\.json: line 1: rule 1: hedders: there is no such field/);
    await rm(path.join(site, 'code', '.ic-assets.json'));
  });
});
