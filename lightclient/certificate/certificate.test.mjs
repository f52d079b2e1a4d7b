// Compares this repository's certificate and envelope packages with @icp-sdk/core
// on the same inputs, good and damaged. Run by `node --test lightclient/certificate/`.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AnonymousIdentity, Cbor, Certificate, reconstruct, requestIdOf } from '@icp-sdk/core/agent';
import { DelegationChain, DelegationIdentity, Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Principal } from '@icp-sdk/core/principal';

const ROOT = 1000003; // secrets of the keys
const SUBNET = 2000003;
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

const text = (s) => new TextEncoder().encode(s);
const hex = (b) => (b.length === 0 ? '-' : Buffer.from(b).toString('hex'));
const unhex = (s) => new Uint8Array(Buffer.from(s, 'hex'));
const concat = (...parts) => new Uint8Array(Buffer.concat(parts));

/** A reproducible source of numbers below n. */
function random(seed) {
  let s = seed >>> 0;
  return (n) => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * n);
  };
}

let dir;
let peer;

before(() => {
  const here = path.dirname(fileURLToPath(import.meta.url));
  dir = mkdtempSync(path.join(tmpdir(), 'certpeer-'));
  const program = path.join(dir, 'certpeer');
  execFileSync('go', ['build', '-o', program, './certpeer'], { cwd: here, stdio: 'inherit' });
  const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
  const waiting = [];
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift().resolve(line));
  child.on('exit', (code) => waiting.forEach((w) => w.reject(new Error(`certpeer ended with ${code}`))));
  peer = {
    ask: (...words) =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        child.stdin.write(words.join(' ') + '\n');
      }),
    end: () => child.stdin.end(),
  };
});

after(() => {
  peer.end();
  rmSync(dir, { recursive: true });
});

// --- certificates ---

const keys = {};
async function keyOf(secret) {
  return (keys[secret] ??= unhex(await peer.ask('key', secret)));
}

/** A tree of labels in order; entries are [label, bytes or tree]. */
function tree(entries) {
  const nodes = entries.map(([label, sub]) => [2, label, sub instanceof Uint8Array ? [3, sub] : sub]);
  const join = (ns) => {
    if (ns.length === 0) return [0];
    if (ns.length === 1) return ns[0];
    return [1, join(ns.slice(0, ns.length >> 1)), join(ns.slice(ns.length >> 1))];
  };
  return join(nodes);
}

function leb(n) {
  const out = [];
  for (n = BigInt(n); ; n >>= 7n) {
    if (n < 128n) return new Uint8Array([...out, Number(n)]);
    out.push(Number(n & 127n) | 128);
  }
}

const time = (ms) => [text('time'), leb(BigInt(ms) * 1_000_000n)];

async function certify(secret, t, delegation) {
  const message = concat(text('\x0Dic-state-root'), await reconstruct(t));
  const signature = unhex(await peer.ask('sign', secret, hex(message)));
  return Cbor.encode(delegation ? { tree: t, signature, delegation } : { tree: t, signature });
}

function canister(index) {
  const b = new Uint8Array(10);
  new DataView(b.buffer).setBigUint64(0, BigInt(index));
  b[8] = b[9] = 1;
  return Principal.fromUint8Array(b);
}

const bytesOf = (p) => p.toUint8Array();
const subnet = async () => Principal.selfAuthenticating(await keyOf(SUBNET));

/** The root subnet's word for the subnet and its canisters 10 to 19, in one or both forms. */
async function delegationTree({ form = 'sharded', at = Date.now(), key = SUBNET } = {}) {
  const id = bytesOf(await subnet());
  const ranges = Cbor.encode([[bytesOf(canister(10)), bytesOf(canister(19))]]);
  const inSubnet = form === 'subnet' || form === 'both';
  const top = [];
  if (form === 'sharded' || form === 'both') {
    top.push([text('canister_ranges'), tree([[id, tree([[bytesOf(canister(10)), ranges]])]])]);
  }
  const fields = [...(inSubnet ? [[text('canister_ranges'), ranges]] : []), [text('public_key'), await keyOf(key)]];
  top.push([text('subnet'), tree([[id, tree(fields)]])], time(at));
  return tree(top);
}

async function delegation(options = {}) {
  return {
    subnet_id: bytesOf(options.id ?? (await subnet())),
    certificate: await certify(options.secret ?? ROOT, await delegationTree(options), options.nested),
  };
}

const stateTree = (at) => tree([[text('canister'), tree([[text('x'), text('y')]])], time(at)]);

/** Asks both sides; returns the answers as [ours, theirs], "ok" or what was wrong. */
async function verdicts(cert, { canister: c, subnet: s }) {
  const rootKey = await keyOf(ROOT);
  const principal = c ? { canisterId: c } : { subnetId: s };
  const question = ['verify', hex(rootKey), c ? 'canister' : 'subnet', (c ?? s).toText(), `${Date.now()}000000`, hex(cert)];
  let theirs = 'ok';
  try {
    await Certificate.create({ certificate: cert, rootKey, principal });
  } catch (e) {
    theirs = String(e.message ?? e);
  }
  return [await peer.ask(...question), theirs];
}

test('both accept and refuse the same certificates', async () => {
  const now = Date.now();
  const good = (options) => delegation(options).then((d) => certify(SUBNET, stateTree(now), d));
  const inside = { canister: canister(15) };
  const state = async (at) => certify(SUBNET, stateTree(at), await delegation());
  const cases = [
    ['sharded ranges', await good(), inside, 'ok'],
    ['the first canister', await good(), { canister: canister(10) }, 'ok'],
    ['the last canister', await good(), { canister: canister(19) }, 'ok'],
    ['ranges in the subnet', await good({ form: 'subnet' }), inside, 'ok'],
    ['both forms of ranges', await good({ form: 'both' }), inside, 'ok'],
    ['no ranges', await good({ form: 'none' }), inside, 'RangeError'],
    ['a canister below', await good(), { canister: canister(9) }, 'RangeError'],
    ['a canister above', await good(), { canister: canister(20) }, 'RangeError'],
    ['a canister above, old form', await good({ form: 'subnet' }), { canister: canister(20) }, 'RangeError'],
    ['for the subnet', await good({ form: 'none' }), { subnet: await subnet() }, 'ok'],
    ['for another subnet', await good(), { subnet: Principal.selfAuthenticating(await keyOf(7)) }, 'SubnetError'],
    ['by the root key', await certify(ROOT, stateTree(now)), inside, 'ok'],
    ['by the subnet key without delegation', await certify(SUBNET, stateTree(now)), inside, 'SignatureError'],
    ['by the root key with delegation', await certify(ROOT, stateTree(now), await delegation()), inside, 'SignatureError'],
    ['a delegation by the subnet itself', await good({ secret: SUBNET }), inside, 'SignatureError'],
    ['a delegation of another key', await good({ key: 7 }), inside, 'SignatureError'],
    ['a delegation for another subnet', await good({ id: canister(1) }), inside, 'DelegationError'],
    ['a nested delegation', await good({ nested: await delegation() }), inside, 'DelegationError'],
    ['nearly too old', await state(now - 5 * MINUTE + 20_000), inside, 'ok'],
    ['too old', await state(now - 5 * MINUTE - 1000), inside, 'TimeError'],
    ['nearly too new', await state(now + 5 * MINUTE - 1000), inside, 'ok'],
    ['too new', await state(now + 5 * MINUTE + 20_000), inside, 'TimeError'],
    ['a nearly too old delegation', await good({ at: now - 30 * DAY + 20_000 }), inside, 'ok'],
    ['a too old delegation', await good({ at: now - 30 * DAY - 1000 }), inside, 'TimeError'],
    ['a too new delegation', await good({ at: now + 5 * MINUTE + 20_000 }), inside, 'TimeError'],
    ['without time', await certify(ROOT, tree([[text('x'), text('y')]])), inside, 'FormatError'],
    ['no certificate', text('no certificate'), inside, 'FormatError'],
  ];
  for (const [name, cert, subject, want] of cases) {
    const [ours, theirs] = await verdicts(cert, subject);
    assert.equal(ours === 'ok', theirs === 'ok', `${name}: we say "${ours}", they say "${theirs}"`);
    assert.ok(want === 'ok' ? ours === 'ok' : ours.startsWith(`*certificate.${want} `), `${name}: "${ours}" is not ${want}`);
  }
});

test('both refuse certificates with a flipped bit', async () => {
  const cert = await certify(SUBNET, stateTree(Date.now()), await delegation());
  const below = random(1);
  for (let i = 0; i < 40; i++) {
    const bad = cert.slice();
    const bit = below(8 * bad.length);
    bad[bit >> 3] ^= 1 << (bit & 7);
    const [ours, theirs] = await verdicts(bad, { canister: canister(15) });
    assert.notEqual(ours, 'ok', `bit ${bit}: we accept it`);
    assert.notEqual(theirs, 'ok', `bit ${bit}: they accept it`);
  }
});

// --- requests ---

const blob = (below, max) => Uint8Array.from({ length: below(max + 1) }, () => below(256));
const anyPrincipal = (below) => Principal.fromUint8Array(blob(below, 29));

/** The content of a request, with some optional and some unknown fields. */
function content(below) {
  const c = {
    request_type: ['call', 'query', 'read_state'][below(3)],
    sender: Principal.anonymous(),
    ingress_expiry: BigInt(below(2 ** 32)) * BigInt(below(2 ** 32)),
  };
  if (below(2)) c.nonce = blob(below, 32);
  if (c.request_type === 'read_state') {
    c.paths = Array.from({ length: below(4) }, () => Array.from({ length: below(4) }, () => blob(below, 40)));
  } else {
    Object.assign(c, { canister_id: anyPrincipal(below), method_name: 'méthode'.slice(below(7)), arg: blob(below, 300) });
    if (below(3) === 0) c.sender_info = { info: blob(below, 50), signer: anyPrincipal(below), sig: blob(below, 50) };
  }
  if (below(4) === 0) c.unknown_number = below(2 ** 31);
  if (below(4) === 0) c.unknown_list = ['text', blob(below, 5), [1, 2, { a: 'b' }]];
  if (below(4) === 0) c.unknown_map = { b: { c: blob(below, 5) }, a: 'x' };
  return c;
}

test('both compute the same request ids', async () => {
  const below = random(2);
  for (let i = 0; i < 200; i++) {
    const c = content(below);
    const { body } = await new AnonymousIdentity().transformRequest({ body: c });
    assert.equal(await peer.ask('envelope', hex(Cbor.encode(body))), `ok ${hex(requestIdOf(c))}`);
  }
});

test('a changed request has another id or is refused', async () => {
  const below = random(3);
  const bytes = Cbor.encode({ content: content(below) });
  const id = await peer.ask('envelope', hex(bytes));
  assert.ok(id.startsWith('ok '));
  for (let i = 0; i < 500; i++) {
    const bad = bytes.slice();
    const bit = below(8 * bad.length);
    bad[bit >> 3] ^= 1 << (bit & 7);
    assert.notEqual(await peer.ask('envelope', hex(bad)), id, `bit ${bit}`);
  }
});

test('signatures of their delegations are over what ours sign', async () => {
  const [owner, middle, session] = [1, 2, 3].map((n) => Ed25519KeyIdentity.generate(new Uint8Array(32).fill(n)));
  const until = new Date(2_000_000_000_000);
  const first = await DelegationChain.create(owner, middle.getPublicKey(), until, { targets: [canister(1), canister(2)] });
  const chain = await DelegationChain.create(middle, session.getPublicKey(), until, { previous: first });
  const identity = DelegationIdentity.fromDelegation(session, chain);
  const body = { ...content(random(4)), sender: identity.getPrincipal() };
  const signed = await identity.transformRequest({ body });
  const [status, id, ...toSign] = (await peer.ask('envelope', hex(Cbor.encode(signed.body)))).split(' ');
  assert.equal(status, 'ok');
  assert.equal(id, hex(requestIdOf(body)));
  assert.equal(toSign.length, 2);
  for (const [i, signer] of [owner, middle].entries()) {
    const { signature } = chain.delegations[i];
    assert.ok(Ed25519KeyIdentity.verify(signature, unhex(toSign[i]), signer.getPublicKey().toRaw()), `delegation ${i}`);
  }
});
