// Compares the verdicts of lightclient/asset with those of
// @dfinity/response-verification on right and changed HTTP responses.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
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

// Where we are stricter than they are, on purpose: reason and what they accept.
const stricter = [
  [/neither shows .* nor proves that it is absent/, 'version 1 with the index page for a path whose absence is not proved'],
  [/IC-Certificate.* header, offset|has no (tree|certificate)|expected a (key|comma)/, 'a certificate header that is not a dictionary of RFC 8941'],
  [/version 2 needs an expr_path/, 'a version 2 header without path'],
  [/cannot be read: .*(cbor|hashtree|certificate: )/, 'CBOR of other types or tags, or with other fields, than the specification has'],
  [/it is not valid gzip/, 'version 1 with bytes after the compressed body'],
  [/expression path has .* before its end/, 'an end mark inside the path'],
];

// The specification compares names of parameters exactly; they ignore the case.
const oddCase = (c) => /[?&][^=&]*[A-Z]/.test(c.url);

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
        if (we.ok !== they.ok && !(we.ok && oddCase(c))) {
          const why = !we.ok && stricter.find(([reason]) => reason.test(we.reason));
          assert.ok(why, `${c.name}, ${name}: we ${we.ok ? 'accept' : `refuse (${we.reason})`}, they ${they.ok ? 'accept' : `refuse (${they.reason})`}: ${JSON.stringify(c)}`);
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
    t.diagnostic(`${name}: ${n.accepted} accepted, ${n.refused} refused, ${n.stricter} refused by us alone`);
  }
  for (const name of ['body', 'certificate', 'tree', 'header gone', 'too late', 'too early', 'another root key']) {
    assert.ok(tally[name].refused > 0, name);
  }
  assert.equal(tally['header order'].refused + tally['case of names'].refused + tally['just in time'].refused, 0);
});
