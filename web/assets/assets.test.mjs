// What the asset canister answers, judged by the clients of others:
// @dfinity/response-verification for every kind of answer, @dfinity/assets for bodies.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { AssetManager } from '@dfinity/assets';
import { Actor } from '@icp-sdk/core/agent';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Network, gzip } from '../../node/e2e/network.mjs';

const { verifyRequestResponsePair } = createRequire(import.meta.url)('@dfinity/response-verification');
const maxAge = 300_000_000_000n;
const chunk = 1_900_000;

const serving = ({ IDL }) => {
  const headers = IDL.Vec(IDL.Tuple(IDL.Text, IDL.Text));
  const token = IDL.Record({ key: IDL.Text, content_encoding: IDL.Text, index: IDL.Nat, sha256: IDL.Opt(IDL.Vec(IDL.Nat8)) });
  const streamed = IDL.Record({ body: IDL.Vec(IDL.Nat8), token: IDL.Opt(token) });
  return IDL.Service({
    http_request: IDL.Func(
      [IDL.Record({ method: IDL.Text, url: IDL.Text, headers, body: IDL.Vec(IDL.Nat8), certificate_version: IDL.Opt(IDL.Nat16) })],
      [IDL.Record({
        status_code: IDL.Nat16, headers, body: IDL.Vec(IDL.Nat8),
        streaming_strategy: IDL.Opt(IDL.Variant({ Callback: IDL.Record({ callback: IDL.Func([token], [streamed], ['query']), token }) })),
      })],
      ['query'],
    ),
    http_request_streaming_callback: IDL.Func([token], [IDL.Opt(streamed)], ['query']),
  });
};

describe('asset canister', () => {
  let network, manager, canister, id;
  const large = Buffer.alloc(5_000_000, 'portico ');

  before(async () => {
    network = await Network.start();
    const agent = network.agent(Ed25519KeyIdentity.generate());
    const wasm = gzip(await readFile(path.join(import.meta.dirname, '..', '..', 'build', 'assets.wasm')));
    id = await network.install(agent, wasm);
    await network.management(agent).update_settings({
      canister_id: id,
      settings: { controllers: [], compute_allocation: [], environment_variables: [[{ name: 'PUBLIC_GREETING', value: 'a&b' }, { name: 'HIDDEN', value: 'x' }]] },
    });
    canister = Actor.createActor(serving, { agent, canisterId: id });
    manager = new AssetManager({ canisterId: id, agent });
    await manager.store(Buffer.from('<h1>home</h1>'), { fileName: 'index.html', contentType: 'text/html' });
    await manager.store(Buffer.from('script'), { fileName: 'a b.js', path: '/code', contentType: 'text/javascript' });
    await manager.store(large, { fileName: 'large.bin', contentType: 'application/octet-stream' });
  });
  after(() => network?.remove());

  /** Requests a URL, has the peer verify the answer, and asks for the rest of one in pieces. */
  async function get(url, headers = []) {
    const first = await once(url, headers);
    if (first.status !== 206 || headers.some(([name]) => name === 'range')) return first;
    const parts = [first.body];
    const total = Number(first.headers.get('content-range').match(/^bytes 0-\d+\/(\d+)$/)[1]);
    for (let at = first.body.length; at < total; at += parts.at(-1).length) {
      const more = await once(url, [...headers, ['range', `bytes=${at}-`]]);
      assert.equal(more.status, 206);
      parts.push(more.body);
    }
    return { ...first, status: 200, pieces: parts.length, body: Buffer.concat(parts) };
  }

  /** Requests a URL, follows streaming, and has the peer verify the answer. */
  async function once(url, headers) {
    const request = { method: 'GET', url, headers, body: new Uint8Array() };
    const answer = await canister.http_request({ ...request, certificate_version: [2] });
    const parts = [answer.body];
    for (let token = answer.streaming_strategy[0]?.Callback.token; token; ) {
      const [more] = await canister.http_request_streaming_callback(token);
      parts.push(more.body);
      token = more.token[0];
    }
    const response = { status_code: answer.status_code, headers: answer.headers, body: new Uint8Array(Buffer.concat(parts)) };
    const verdict = verifyRequestResponsePair(
      { ...request, certificate_version: 2 }, response, id.toUint8Array(), BigInt(Date.now()) * 1_000_000n, maxAge, network.rootKey, 2,
    );
    assert.equal(verdict.verificationVersion, 2);
    return { status: response.status_code, body: Buffer.from(response.body), headers: new Map(verdict.response.headers.map(([n, v]) => [n.toLowerCase(), v])) };
  }

  test('pages, aliases and fallbacks verify', async () => {
    for (const url of ['/', '/index.html', '/index', '/no/such/page', '/?query=1']) {
      const { status, body } = await get(url);
      assert.equal(status, 200, url);
      assert.equal(body.toString(), '<h1>home</h1>', url);
    }
    assert.equal((await get('/code/a%20b.js')).body.toString(), 'script');
  });

  test('a page carries the cookie by which it finds its backend', async () => {
    const cookie = (await get('/')).headers.get('set-cookie');
    const value = decodeURIComponent(cookie.match(/^ic_env=([^;]*); SameSite=Lax$/)[1]);
    assert.equal(value, `ic_root_key=${Buffer.from(network.rootKey).toString('hex')}&PUBLIC_GREETING=a&b`);
  });

  test('what a client has already verifies as not modified', async () => {
    const { headers } = await get('/');
    const { status, body } = await get('/', [['if-none-match', headers.get('etag')]]);
    assert.equal(status, 304);
    assert.equal(body.length, 0);
  });

  test('a fallback that a client has already verifies as not modified', async () => {
    const { headers } = await get('/no/such/page');
    assert.equal((await get('/no/such/page', [['if-none-match', headers.get('etag')]])).status, 304);
  });

  test('paths that verifiers take for one are one asset', async () => {
    await manager.store(Buffer.from('stray'), { fileName: '/code/a b.js', contentType: 'text/plain' });
    for (const url of ['/code/a%20b.js', '//code/a%20b.js', '/code//a%20b.js']) assert.equal((await get(url)).body.toString(), 'script', url);
    for (const url of ['//', '/%3C$%3E', '/%3C*%3E/x', '/x/%3C*%3E', '/nul%00', '/..%2f', '/%zz', '//no//such//page']) assert.equal((await get(url)).body.toString(), '<h1>home</h1>', url);
    await manager.delete('//code/a b.js');
    await assert.rejects(manager.store(Buffer.from('x'), { fileName: '<*>', contentType: 'text/plain' }), /certification reserves/);
  });

  test('redirects and rewrites verify', async () => {
    await manager.store(Buffer.from('/old /code/a%20b.js 301\n/api/* https://example.org/ 307\n/app/* /index.html 200\n/gone /index.html 410\n'), { fileName: '_redirects', contentType: 'text/plain' });
    for (const [url, status, location] of [['/old', 301, '/code/a%20b.js'], ['/api/x/y', 307, 'https://example.org/'], ['/app/a', 200], ['/gone', 410]]) {
      const answer = await get(url);
      assert.equal(answer.status, status, url);
      assert.equal(answer.headers.get('location'), location, url);
    }
    await manager.delete('/_redirects');
    assert.equal((await get('/old')).status, 200);
  });

  test('a large asset verifies whole and in pieces', async () => {
    const whole = await get('/large.bin');
    assert.equal(whole.status, 200);
    assert.equal(whole.pieces, 3, 'each piece can be verified by itself');
    assert.ok(whole.body.equals(large));
    for (let from = 0; from < large.length; from += chunk) {
      const { status, body, headers } = await get('/large.bin', [['range', `bytes=${from}-`]]);
      assert.equal(status, 206);
      assert.ok(body.equals(large.subarray(from, from + chunk)));
      assert.equal(headers.get('content-range'), `bytes ${from}-${from + body.length - 1}/${large.length}`);
    }
  });

  test('@dfinity/assets finds bodies certified', async () => {
    for (const key of ['/index.html', '/code/a b.js', '/large.bin']) {
      const asset = await manager.get(key);
      assert.ok(await asset.isCertified(), key);
      assert.ok(await asset.verifySha256(), key);
    }
  });
});
