// What portico assets sync takes for a site of 1,000 files and 100 MB on a local network
// of one replica: the first upload, a run with nothing to do, and runs in which one file
// changed. Beside it, the first upload of the same files by @dfinity/assets, which
// compresses nothing and compares nothing.
import { spawn } from 'node:child_process';
import { createPrivateKey, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { AssetManager } from '@dfinity/assets';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Network, gzip } from '../../node/e2e/network.mjs';

const repository = path.join(import.meta.dirname, '..', '..');
const files = 1000;
const bytes = 100_000_000;

/** Text that compresses about as well as source code: words out of a small vocabulary. */
function text(size, seed) {
  let state = seed + 1;
  const words = Array.from({ length: 800 }, (_, i) => (i * 7919 + 104729).toString(36));
  const parts = [];
  for (let n = 0; n < size; ) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    const word = words[(state >>> 8) % words.length];
    parts.push(word);
    n += word.length + 1;
  }
  return Buffer.from(parts.join(' ').slice(0, size));
}

/** Four files of ten are text and have four tenths of the bytes; sizes vary by a factor of ten. */
async function makeSite(folder) {
  const weight = (i) => 1 + ((i * 37) % 100) / 11;
  const total = Array.from({ length: files }, (_, i) => weight(i)).reduce((a, b) => a + b);
  for (let i = 0; i < files; i++) {
    const size = Math.round((bytes * weight(i)) / total);
    const dir = path.join(folder, `part-${i % 20}`);
    await mkdir(dir, { recursive: true });
    const kind = i % 10 < 4 ? ['js', 'css', 'html', 'json'][i % 10] : ['png', 'woff2', 'jpg'][i % 3];
    await writeFile(path.join(dir, `file-${i}.${kind}`), i % 10 < 4 ? text(size, i) : randomBytes(size));
  }
}

/** Runs a synchronisation: seconds, processor seconds of the program, and what it says. */
async function sync(network, id, site, key) {
  const begin = performance.now();
  const child = spawn(path.join(repository, 'bin', 'portico'), ['assets', 'sync', site, '--canister', id.toText(), '--network', network.host, '--identity', key], {
    stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, XDG_CACHE_HOME: path.dirname(key) },
  });
  let out = '', err = '';
  child.stdout.on('data', (t) => (out += t));
  child.stderr.on('data', (t) => (err += t));
  const code = await new Promise((resolve) => child.on('close', resolve));
  if (code !== 0) throw new Error(err);
  return { seconds: (performance.now() - begin) / 1000, said: out.trim().split('\n').at(-1) };
}

async function filesBelow(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((e) => e.isFile()).map((e) => path.join(e.parentPath ?? e.path, e.name));
}

const folder = await mkdtemp(path.join(os.tmpdir(), 'portico-bench-'));
const network = await Network.start('--nodes', '1');
try {
  const site = path.join(folder, 'site');
  await makeSite(site);
  const seed = randomBytes(32);
  const agent = network.agent(Ed25519KeyIdentity.generate(seed));
  const key = path.join(folder, 'key.pem');
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  await writeFile(key, createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }));
  const wasm = gzip(await readFile(path.join(repository, 'build', 'assets.wasm')));
  const id = await network.install(agent, wasm);

  const row = (what, { seconds, said }) => console.log(`${what.padEnd(34)} ${seconds.toFixed(2).padStart(7)} s   ${said}`);
  row('first upload, 1,000 files, 100 MB', await sync(network, id, site, key));
  row('nothing to do', await sync(network, id, site, key));
  const some = (await filesBelow(site)).filter((f) => f.endsWith('.js')).sort();
  const runs = [];
  for (let i = 0; i < 5; i++) {
    await writeFile(some[i], text(60_000, 5000 + i));
    runs.push(await sync(network, id, site, key));
  }
  runs.sort((a, b) => a.seconds - b.seconds);
  row('one file changed (median of 5)', runs[2]);

  const other = await network.install(agent, wasm);
  const manager = new AssetManager({ canisterId: other, agent });
  const batch = manager.batch();
  const begin = performance.now();
  let calls = 2;
  for (const file of await filesBelow(site)) {
    const content = await readFile(file);
    calls += Math.ceil(content.length / 1_900_000);
    await batch.store(content, { path: path.dirname(file).slice(site.length), fileName: path.basename(file) });
  }
  await batch.commit();
  row('peer: @dfinity/assets, first upload', { seconds: (performance.now() - begin) / 1000, said: `1000 files in ${calls} calls` });
} finally {
  await network.remove();
  await rm(folder, { recursive: true, force: true });
}
