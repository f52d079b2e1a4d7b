// Compares the verdicts of lightclient/asset with those of
// @dfinity/response-verification on right and changed HTTP responses.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const peer = createRequire(import.meta.url)('@dfinity/response-verification');
const here = dirname(fileURLToPath(import.meta.url));
const maxAgeNs = 300_000_000_000n;

let folder, child, answers, cases;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'assetpeer-'));
  const binary = join(folder, 'assetpeer');
  const built = spawnSync('go', ['build', '-o', binary, './assetpeer'], { cwd: here, encoding: 'utf8' });
  assert.equal(built.status, 0, built.stderr);
  child = spawn(binary, { stdio: ['pipe', 'pipe', 'inherit'] });
  answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  cases = await ask({ op: 'generate' });
});

after(async () => {
  if (child) {
    child.stdin.end();
    await new Promise((done) => child.once('close', done));
  }
  rmSync(folder, { recursive: true, force: true });
});

async function ask(question) {
  child.stdin.write(JSON.stringify(question) + '\n');
  const { value, done } = await answers.next();
  assert.ok(!done, 'assetpeer ended');
  return JSON.parse(value);
}

const ours = (c) => ask({ ...c, op: 'verify' });

const bytes = (base64) => new Uint8Array(Buffer.from(base64 ?? '', 'base64'));

function theirs(c) {
  try {
    const info = peer.verifyRequestResponsePair(
      { method: c.method, url: c.url, headers: c.requestHeaders, body: bytes(c.requestBody), certificate_version: [2] },
      { status_code: c.status, headers: c.responseHeaders, body: bytes(c.responseBody) },
      bytes(c.canister), BigInt(c.time), maxAgeNs, bytes(c.rootKey), 1,
    );
    return { ok: true, version: info.verificationVersion, headers: info.response?.headers };
  } catch (e) {
    return { ok: false, reason: `${e.message ?? e}` };
  }
}

const sorted = (headers) => headers.map(([n, v]) => `${n.toLowerCase()}: ${v}`).sort();

test('both accept every right response and pass the same headers on', async () => {
  assert.ok(cases.length > 50);
  for (const c of cases) {
    const [we, they] = [await ours(c), theirs(c)];
    assert.ok(they.ok, `${c.name}: they refuse: ${they.reason}`);
    assert.ok(we.ok, `${c.name}: we refuse: ${we.reason}`);
    assert.equal(we.version, they.version, c.name);
    if (we.version === 2 && they.headers) {
      assert.deepEqual(sorted(we.headers), sorted(they.headers), c.name);
    }
  }
});

// random is a small generator, so that a failure can be repeated.
function random(seed) {
  return (n) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

const alphabet = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

function changeChar(s, rnd) {
  const at = rnd(s.length);
  let c;
  do c = alphabet[rnd(alphabet.length)]; while (c === s[at]);
  return s.slice(0, at) + c + s.slice(at + 1);
}

function flipBit(base64, rnd) {
  const b = Buffer.from(base64 ?? '', 'base64');
  if (b.length === 0) return Buffer.from('x').toString('base64');
  b[rnd(b.length)] ^= 1 << rnd(8);
  return b.toString('base64');
}

const isCertificate = ([name]) => name.toLowerCase() === 'ic-certificate';

function pickHeader(list, rnd, accept = () => true) {
  const found = list.map((_, i) => i).filter((i) => accept(list[i]));
  return found.length ? found[rnd(found.length)] : -1;
}

function changeField(c, field, rnd) {
  const h = c.responseHeaders.find(isCertificate);
  h[1] = h[1].replace(new RegExp(`(${field}=:)([^:]*)(:)`), (_, a, b, z) => a + flipBit(b, rnd) + z);
}

// Each change returns false where it does not apply.
const changes = {
  body: (c, rnd) => { c.responseBody = flipBit(c.responseBody, rnd); },
  'body longer': (c) => { c.responseBody = Buffer.concat([bytes(c.responseBody), Buffer.from('!')]).toString('base64'); },
  status: (c, rnd) => { c.status = [200, 201, 204, 400, 404, 500][rnd(6)]; },
  method: (c) => { c.method = c.method === 'GET' ? 'HEAD' : 'GET'; },
  path: (c, rnd) => {
    const [path, query] = c.url.split('?');
    const at = 1 + rnd(path.length);
    c.url = path.slice(0, at) + alphabet[rnd(alphabet.length)] + path.slice(at) + (query === undefined ? '' : `?${query}`);
  },
  'path shorter': (c) => {
    const [path, query] = c.url.split('?');
    if (path === '/') return false;
    c.url = (path.slice(0, path.lastIndexOf('/')) || '/') + (query === undefined ? '' : `?${query}`);
  },
  'slash at the end': (c) => { c.url = c.url.replace(/\?|$/, (end) => `/${end}`); },
  query: (c, rnd) => { c.url += (c.url.includes('?') ? '&' : '?') + ['q=9', 'other=1', 'page', 'Q=1', '&'][rnd(5)]; },
  'query character': (c, rnd) => {
    const [path, query] = c.url.split('?');
    if (!query) return false;
    c.url = `${path}?${changeChar(query, rnd)}`;
  },
  'request header': (c, rnd) => {
    const i = pickHeader(c.requestHeaders, rnd);
    if (i < 0) return false;
    c.requestHeaders[i][1] = changeChar(c.requestHeaders[i][1] || 'x', rnd);
  },
  'request body': (c, rnd) => { c.requestBody = flipBit(c.requestBody, rnd); },
  'header value': (c, rnd) => {
    const i = pickHeader(c.responseHeaders, rnd, (h) => !isCertificate(h) && h[1] !== '');
    if (i < 0) return false;
    c.responseHeaders[i][1] = changeChar(c.responseHeaders[i][1], rnd);
  },
  'header name': (c, rnd) => {
    const i = pickHeader(c.responseHeaders, rnd);
    c.responseHeaders[i][0] = changeChar(c.responseHeaders[i][0], rnd);
  },
  'header gone': (c, rnd) => { c.responseHeaders.splice(rnd(c.responseHeaders.length), 1); },
  'header twice': (c, rnd) => {
    const i = pickHeader(c.responseHeaders, rnd, ([n]) => !n.toLowerCase().startsWith('ic-'));
    if (i < 0) return false;
    c.responseHeaders.push([...c.responseHeaders[i]]);
  },
  'header new': (c, rnd) => { c.responseHeaders.push([['set-cookie', 'location', 'x-new', 'Date', ':ic-cert-status'][rnd(5)], 'x']); },
  'header order': (c) => { c.responseHeaders.reverse(); },
  'case of names': (c) => { for (const h of c.responseHeaders) h[0] = h[0].toUpperCase(); },
  certificate: (c, rnd) => changeField(c, 'certificate', rnd),
  tree: (c, rnd) => changeField(c, 'tree', rnd),
  expr_path: (c, rnd) => changeField(c, 'expr_path', rnd),
  'certificate text': (c, rnd) => {
    const h = c.responseHeaders.find(isCertificate);
    h[1] = changeChar(h[1], rnd);
  },
  'certification of another response': (c, rnd) => {
    const other = cases[rnd(cases.length)].responseHeaders.find(isCertificate);
    c.responseHeaders.find(isCertificate)[1] = other[1];
  },
  'another canister': (c, rnd) => { c.canister = flipBit(c.canister, rnd); },
  'too late': (c) => { c.time = `${BigInt(c.time) + maxAgeNs}`; },
  'too early': (c) => { c.time = `${BigInt(c.time) - 2n * maxAgeNs}`; },
  'just in time': (c) => { c.time = `${BigInt(c.time) + maxAgeNs - 61_000_000_000n}`; },
  'another root key': (c, rnd) => { c.rootKey = flipBit(c.rootKey, rnd); },
};

// Where the verdicts may differ, each for a reason. Those where we refuse are told by what
// we say; those where we alone accept by the case.
const disagreements = [
  { name: 'version 1: the index page for a path whose absence is not proved', refusal: /neither shows .* nor proves that it is absent/ },
  { name: 'a certificate header that is not a dictionary of RFC 8941', refusal: /IC-Certificate.* header, offset|has no (tree|certificate)|expected a (key|comma)/ },
  { name: 'version 2 without an expr_path', refusal: /version 2 needs an expr_path/ },
  { name: 'CBOR of other types or tags, or with other fields, than the specification has', refusal: /cannot be read: .*(cbor|hashtree|certificate: )/ },
  { name: 'version 1: bytes after the compressed body', refusal: /it is not valid gzip/ },
  { name: 'an end mark inside the path', refusal: /expression path has .* before its end/ },
  // They read the coordinates and pass over the bit that says that there are none.
  { name: 'a key that claims to be the point at infinity and has coordinates', refusal: /public key: invalid point: the point at infinity/ },
  // The specification compares names of parameters exactly; they ignore the case.
  { name: 'names of parameters with capital letters', accepted: (c) => /[?&][^=&]*[A-Z]/.test(c.url) },
];

/** The name of a disagreement, undefined if there is none; throws if nothing explains it. */
function disagreement(c, we, they, what) {
  if (we.ok === they.ok) return undefined;
  const found = disagreements.find((d) => (we.ok ? d.accepted?.(c) : d.refusal?.test(we.reason)));
  assert.ok(found, `${c.name}, ${what}: we ${we.ok ? 'accept' : `refuse (${we.reason})`}, they ${they.ok ? 'accept' : `refuse (${they.reason})`}: ${JSON.stringify(c)}`);
  return found.name;
}

test('both give the same verdict on changed responses', async (t) => {
  const rnd = random(1);
  const tally = {};
  for (const [name, change] of Object.entries(changes)) {
    tally[name] = { accepted: 0, refused: 0, stricter: 0 };
    for (const original of cases) {
      if (original.name === 'script' && rnd(8) !== 0) continue;
      const rounds = ['certificate', 'tree', 'expr_path', 'certificate text', 'header value'].includes(name) ? 12 : 3;
      for (let round = 0; round < rounds; round++) {
        const c = structuredClone(original);
        if (change(c, rnd) === false) continue;
        const [we, they] = [await ours(c), theirs(c)];
        if (disagreement(c, we, they, name)) {
          tally[name].stricter++;
          continue;
        }
        tally[name][we.ok ? 'accepted' : 'refused']++;
        if (we.ok && we.version === 2 && they.headers) {
          assert.deepEqual(sorted(we.headers), sorted(they.headers), `${c.name}, ${name}`);
        }
      }
    }
  }
  for (const [name, n] of Object.entries(tally)) {
    t.diagnostic(`${name}: ${n.accepted} accepted, ${n.refused} refused, ${n.stricter} explained by name`);
  }
  for (const name of ['body', 'certificate', 'tree', 'header gone', 'too late', 'too early', 'another root key']) {
    assert.ok(tally[name].refused > 0, name);
  }
  assert.equal(tally['header order'].refused + tally['case of names'].refused + tally['just in time'].refused, 0);
});

// --- mutants of several changes ---

// node lightclient/asset/asset.test.mjs [number of mutants] [seed]
const mutants = Number(process.argv[2] ?? 400);
const seed = Number(process.argv[3] ?? 7);

/** Reads a hash tree: arrays, small numbers and byte strings of CBOR are all it has. */
function readTree(b, at = { i: 0 }) {
  if (b[at.i] === 0xd9) at.i += 3; // the self-describing tag
  const head = b[at.i++];
  const info = head & 31;
  let n = info;
  if (info >= 24) {
    n = 0;
    for (let k = 0; k < 1 << (info - 24); k++) n = n * 256 + b[at.i++];
  }
  if (head >> 5 === 0) return n;
  if (head >> 5 === 2) return b.subarray(at.i, (at.i += n));
  return Array.from({ length: n }, () => readTree(b, at));
}

function writeTree(v) {
  const head = (major, n) => (n < 24 ? Buffer.from([(major << 5) | n])
    : n < 256 ? Buffer.from([(major << 5) | 24, n]) : Buffer.from([(major << 5) | 25, n >> 8, n & 255]));
  if (typeof v === 'number') return head(0, v);
  if (Array.isArray(v)) return Buffer.concat([head(4, v.length), ...v.map(writeTree)]);
  return Buffer.concat([head(2, v.length), v]);
}

function hashTree([kind, a, b]) {
  const h = (name, ...parts) => createHash('sha256').update(Buffer.concat([Buffer.from([name.length]), Buffer.from(name), ...parts])).digest();
  switch (kind) {
    case 0: return h('ic-hashtree-empty');
    case 1: return h('ic-hashtree-fork', hashTree(a), hashTree(b));
    case 2: return h('ic-hashtree-labeled', a, hashTree(b));
    case 3: return h('ic-hashtree-leaf', a);
    default: return a;
  }
}

/** Changes the tree of a response by what change makes of one of its nodes. */
function changeTree(c, rnd, change) {
  const header = c.responseHeaders.find(isCertificate);
  const found = header?.[1].match(/tree=:([^:]*):/);
  if (!found) return false;
  let tree;
  try {
    tree = readTree(Buffer.from(found[1], 'base64'));
    const places = [];
    (function walk(parent, index) {
      places.push([parent, index]);
      const [kind] = parent[index];
      if (kind === 1) walk(parent[index], 1);
      if (kind === 1 || kind === 2) walk(parent[index], 2);
    })([tree], 0);
    const [parent, index] = places[rnd(places.length)];
    const changed = change(parent[index]);
    if (changed === undefined || parent[index] === tree) return false;
    parent[index] = changed;
  } catch {
    return false; // an earlier change broke the tree
  }
  header[1] = header[1].replace(found[1], writeTree(tree).toString('base64'));
}

const treeChanges = {
  // These keep the root hash: only what the tree shows changes.
  'a node pruned': (c, rnd) => changeTree(c, rnd, (n) => (n[0] === 4 ? undefined : [4, hashTree(n)])),
  // These do not.
  'sides swapped': (c, rnd) => changeTree(c, rnd, (n) => (n[0] === 1 ? [1, n[2], n[1]] : undefined)),
  'a node emptied': (c, rnd) => changeTree(c, rnd, () => [0]),
  'a label changed': (c, rnd) => changeTree(c, rnd, (n) => (n[0] === 2 ? [2, Buffer.concat([n[1], Buffer.from('x')]), n[2]] : undefined)),
  'a leaf filled': (c, rnd) => changeTree(c, rnd, (n) => (n[0] === 3 ? [3, Buffer.from('x')] : undefined)),
};

const headerChanges = {
  'another version': (c, rnd) => { const h = c.responseHeaders.find(isCertificate); if (h) h[1] = h[1].replace(/version=\d+/, `version=${rnd(4)}`); },
  'no version': (c) => { const h = c.responseHeaders.find(isCertificate); if (h) h[1] = h[1].replace(/, *version=\d+/, ''); },
  'rules of another response': (c, rnd) => {
    const rules = ([name]) => name.toLowerCase() === 'ic-certificateexpression';
    const mine = c.responseHeaders.find(rules);
    const other = cases[rnd(cases.length)].responseHeaders.find(rules);
    if (!mine || !other) return false;
    mine[1] = other[1];
  },
  'url of another request': (c, rnd) => { c.url = cases[rnd(cases.length)].url; },
};

test(`both give the same verdict on ${mutants} mutants of seed ${seed}`, async (t) => {
  const rnd = random(seed);
  const all = Object.entries({ ...changes, ...treeChanges, ...headerChanges });
  const tally = { accepted: 0, refused: 0 };
  for (let i = 0; i < mutants; i++) {
    const c = structuredClone(cases[rnd(cases.length)]);
    const done = [];
    for (let n = 1 + rnd(3); n > 0; n--) {
      const [name, change] = all[rnd(all.length)];
      try {
        if (change(c, rnd) !== false) done.push(name);
      } catch (e) {
        if (!(e instanceof TypeError)) throw e; // the header to change is gone
      }
    }
    const [we, they] = [await ours(c), theirs(c)];
    const name = disagreement(c, we, they, done.join(', ')) ?? (we.ok ? 'accepted' : 'refused');
    tally[name] = (tally[name] ?? 0) + 1;
  }
  for (const [name, n] of Object.entries(tally)) t.diagnostic(`${n} ${name}`);
  if (mutants >= 400) assert.ok(tally.accepted > mutants / 20 && tally.refused > mutants / 4, 'the mutants are all of one kind');
});
