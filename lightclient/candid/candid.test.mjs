// Compares package candid with @icp-sdk/core on generated messages: good ones,
// ones that are read at other types than they were written at, and damaged ones.
// Run with: node --test lightclient/candid/
// CANDID_SEED chooses other cases; the seed is in the message of a failure.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { runInThisContext } from 'node:vm';
import { fileURLToPath } from 'node:url';
import { IDL } from '@icp-sdk/core/candid';
import { Principal } from '@icp-sdk/core/principal';

const seed = Number(process.env.CANDID_SEED ?? 1);
const here = fileURLToPath(new URL('.', import.meta.url));

// peer sends cases {did, bytes} to our implementation: [{kind, bytes | error}].
function peer(cases) {
  const folder = mkdtempSync(join(tmpdir(), 'candidpeer-'));
  try {
    const program = join(folder, 'candidpeer');
    execFileSync('go', ['build', '-o', program, './candidpeer'], { cwd: here });
    const input = cases.map((c) => `${c.did}\t${Buffer.from(c.bytes).toString('hex')}\n`).join('');
    const output = execFileSync(program, { input, maxBuffer: 1 << 28, encoding: 'utf8' });
    return output.trimEnd().split('\n').map((line) => {
      const [kind, rest] = line.split('\t');
      return kind === 'ok' ? { kind, bytes: Buffer.from(rest, 'hex') } : { kind, error: rest };
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// random is a generator of numbers below n (mulberry32).
function random(state) {
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

const bits = (rnd, n) => {
  let v = 0n;
  for (let i = 0; i < n; i += 16) v = (v << 16n) | BigInt(rnd(65536));
  return BigInt.asUintN(n, v >> BigInt(rnd(n)));
};
const name = (rnd) => ['a', 'b', 'owner', 'ok', 'err', 'token id', '☃'][rnd(7)];
const quoted = (s) => JSON.stringify(s);
const principal = (rnd) => Principal.fromUint8Array(Uint8Array.from({ length: rnd(30) }, () => rnd(256)));

// A type here is {did, idl, kind, value()} with parts for changing it later.
const primitives = (rnd) => [
  { kind: 'prim', did: 'text', idl: IDL.Text, value: () => ['', 'Motoko', '☃ "quoted"\n'][rnd(3)] },
  { kind: 'prim', did: 'bool', idl: IDL.Bool, value: () => rnd(2) === 1 },
  { kind: 'prim', did: 'nat', idl: IDL.Nat, value: () => bits(rnd, 128) },
  { kind: 'prim', did: 'int', idl: IDL.Int, value: () => BigInt.asIntN(128, bits(rnd, 128)) },
  { kind: 'prim', did: 'principal', idl: IDL.Principal, value: () => principal(rnd) },
  { kind: 'prim', did: 'float64', idl: IDL.Float64, value: () => [0, -0, 0.5, 1e300, NaN, -Infinity][rnd(6)] },
  { kind: 'prim', did: 'float32', idl: IDL.Float32, value: () => [0, -2, 0.5, Infinity][rnd(4)] },
  ...[8, 16, 32, 64].flatMap((n) => [
    { kind: 'fixed', did: `nat${n}`, idl: IDL[`Nat${n}`], value: () => (n < 64 ? Number : BigInt)(bits(rnd, n)) },
    { kind: 'fixed', did: `int${n}`, idl: IDL[`Int${n}`], value: () => (n < 64 ? Number : BigInt)(BigInt.asIntN(n, bits(rnd, n))) },
  ]),
  { kind: 'null', did: 'null', idl: IDL.Null, value: () => null },
  { kind: 'null', did: 'reserved', idl: IDL.Reserved, value: () => null },
];

function genType(rnd, depth) {
  const simple = primitives(rnd);
  if (depth === 0) return simple[rnd(simple.length)];
  switch (rnd(9)) {
    case 0: return opt(rnd, genType(rnd, depth - 1));
    case 1: return vec(rnd, genType(rnd, depth - 1));
    case 2:
    case 3: return record(genFields(rnd, depth, 0));
    case 4: return variant(rnd, genFields(rnd, depth, 1));
    case 5: return tuple(Array.from({ length: 1 + rnd(3) }, () => genType(rnd, depth - 1)));
    case 6: return reference(rnd, genType(rnd, depth - 1));
    default: return simple[rnd(simple.length)];
  }
}

function genFields(rnd, depth, least) {
  const fields = new Map();
  for (let n = least + rnd(4); n > 0; n--) fields.set(name(rnd), genType(rnd, depth - 1));
  return fields;
}

const opt = (rnd, elem) => ({ kind: 'opt', elem, did: `opt ${elem.did}`, idl: IDL.Opt(elem.idl), value: () => (rnd(3) ? [elem.value()] : []) });

// The SDK returns typed arrays for vectors of fixed-size numbers; plain() undoes that.
const vec = (rnd, elem) => ({ kind: 'vec', elem, did: `vec ${elem.did}`, idl: IDL.Vec(elem.idl), value: () => Array.from({ length: rnd(4) }, elem.value) });

const record = (fields) => ({
  kind: 'record', fields,
  did: `record { ${[...fields].map(([k, t]) => `${quoted(k)} : ${t.did}`).join('; ')} }`,
  idl: IDL.Record(Object.fromEntries([...fields].map(([k, t]) => [k, t.idl]))),
  value: () => Object.fromEntries([...fields].map(([k, t]) => [k, t.value()])),
});

const variant = (rnd, fields) => ({
  kind: 'variant', fields,
  did: `variant { ${[...fields].map(([k, t]) => `${quoted(k)} : ${t.did}`).join('; ')} }`,
  idl: IDL.Variant(Object.fromEntries([...fields].map(([k, t]) => [k, t.idl]))),
  value: () => {
    const [k, t] = [...fields][rnd(fields.size)];
    return { [k]: t.value() };
  },
});

const tuple = (types) => ({
  kind: 'tuple', did: `record { ${types.map((t) => t.did).join('; ')} }`,
  idl: IDL.Tuple(...types.map((t) => t.idl)), value: () => types.map((t) => t.value()),
});

function reference(rnd, arg) {
  const signature = `(${arg.did}) -> (text) query`;
  const func = IDL.Func([arg.idl], [IDL.Text], ['query']);
  return rnd(2)
    ? { kind: 'ref', did: `func ${signature}`, idl: func, value: () => [principal(rnd), name(rnd)] }
    : { kind: 'ref', did: `service { m : ${signature} }`, idl: IDL.Service({ m: func }), value: () => principal(rnd) };
}

// change is a type that values of t may be read at, or not. It stays away from
// where the SDK is known to differ: see the differences below.
function change(rnd, t, depth = 3) {
  if (depth === 0 || rnd(4) === 0) return t;
  switch (t.kind) {
    case 'prim':
    case 'fixed': return rnd(2) ? opt(rnd, t) : primitives(rnd)[rnd(3)];
    case 'opt': return opt(rnd, change(rnd, t.elem, depth - 1));
    case 'vec': return t.elem.kind === 'fixed' ? t : vec(rnd, unlessFixed(t.elem, change(rnd, t.elem, depth - 1)));
    case 'record': {
      const fields = new Map([...t.fields].filter(() => rnd(4)).map(([k, f]) => [k, change(rnd, f, depth - 1)]));
      if (rnd(2)) fields.set('added', opt(rnd, primitives(rnd)[0]));
      return record(fields.size ? fields : t.fields);
    }
    case 'variant': {
      const fields = new Map([...t.fields].filter(() => rnd(4)).map(([k, f]) => [k, change(rnd, f, depth - 1)]));
      fields.set('added', primitives(rnd)[1]);
      const changed = variant(rnd, fields);
      return rnd(2) ? opt(rnd, changed) : changed;
    }
    default: return t;
  }
}

const unlessFixed = (before, after) => (after.kind === 'fixed' ? before : after);

const request = (types, bytes) => ({ did: `service : (${types.map((t) => t.did).join(', ')}) -> {}`, bytes, types });

function plain(v) {
  if (ArrayBuffer.isView(v)) return Array.from(v);
  if (Array.isArray(v)) return v.map(plain);
  if (v === null || typeof v !== 'object') return v;
  if (v._isPrincipal) return { principal: v.toText() };
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, plain(x)]));
}

function sdkDecode(types, bytes) {
  try {
    const idl = types.map((t) => t.idl);
    const values = IDL.decode(idl, Uint8Array.from(bytes));
    // Absent reserved fields are [], others null: encoded, they are the same.
    return { values: plain(values), bytes: Buffer.from(IDL.encode(idl, values)).toString('hex') };
  } catch (error) {
    return { error };
  }
}

const show = (v) => JSON.stringify(v, (_, x) => (typeof x === 'bigint' ? `${x}n` : x));
const describe = (c) => `seed ${seed}: ${c.did} ${Buffer.from(c.bytes).toString('hex')}`;

test('what the SDK encodes comes back unchanged', () => {
  const rnd = random(seed);
  const cases = Array.from({ length: 1000 }, () => {
    const types = Array.from({ length: rnd(3) }, () => genType(rnd, 4));
    const values = types.map((t) => t.value());
    return { ...request(types, IDL.encode(types.map((t) => t.idl), values)), values: plain(values) };
  });
  peer(cases).forEach((ours, i) => {
    assert.equal(ours.kind, 'ok', `${describe(cases[i])}\n${ours.error}`);
    const back = sdkDecode(cases[i].types, ours.bytes);
    assert.deepEqual(back.values, cases[i].values, `${describe(cases[i])}\n${back.error}`);
  });
});

test('messages are coerced to other types alike', () => {
  const rnd = random(seed + 1);
  const cases = Array.from({ length: 2000 }, () => {
    const written = genType(rnd, 4);
    return request([change(rnd, written)], IDL.encode([written.idl], [written.value()]));
  });
  const answers = { same: 0, refused: 0 };
  peer(cases).forEach((ours, i) => {
    const theirs = sdkDecode(cases[i].types, cases[i].bytes);
    compare(cases[i], ours, theirs);
    answers[ours.kind === 'ok' ? 'same' : 'refused']++;
  });
  assert.ok(answers.same > 500 && answers.refused > 50, `too one-sided: ${show(answers)}`);
});

function compare(c, ours, theirs) {
  if (ours.kind !== 'ok') {
    assert.ok(theirs.error, `${describe(c)}\nwe say: ${ours.kind}, ${ours.error}\nthe SDK decodes ${show(theirs.values)}`);
    return;
  }
  const again = sdkDecode(c.types, ours.bytes);
  assert.equal(again.bytes, theirs.bytes, `${describe(c)}\nthe SDK decodes ${show(theirs.values)}, ${theirs.error}\nours is ${show(again.values)}`);
}

// damage changes a message a little.
function damage(rnd, bytes) {
  const b = [...bytes];
  for (let n = 1 + rnd(2); n > 0; n--) {
    const at = rnd(b.length);
    switch (rnd(5)) {
      case 0: b[at] ^= 1 << rnd(8); break;
      case 1: b[at] = [0, 1, 2, 0x7f, 0x80, 0xff, 0x6d, 0x6e, 0x70][rnd(9)]; break;
      case 2: b.splice(at, 1 + rnd(3)); break;
      case 3: b.splice(at, 0, rnd(256)); break;
      case 4: b.length = at; break;
    }
    if (b.length === 0) break;
  }
  return Uint8Array.from(b);
}

// sdkDecodeInTime is sdkDecode unless the message keeps the SDK busy: it has no
// limits, and would go through 2^32 elements of no size if they are announced.
function sdkDecodeInTime(types, bytes) {
  globalThis.decodeForTest = () => sdkDecode(types, bytes);
  try {
    return runInThisContext('decodeForTest()', { timeout: 300 });
  } catch {
    return undefined;
  }
}

// Where the SDK is known to differ, with the reason. Besides, it reads vectors of
// numbers of fixed size whatever their elements are: these are left out.
const sdkRefuses = [
  /type on the wire nat, expect type int/, // nat is a subtype of int
  /Wrong number of return values/, // trailing arguments may be absent
  /Cannot find required field/, // fields of type null may be absent
  /Tuple mismatch/, // trailing fields may be absent in tuples, too
  /non-tuple type/, // a record may have fields besides those of a tuple
  /Illegal op_code: -/, // types of future versions are skipped
  /Cannot decode (service|function) reference/, // optional arguments whose type is in the table may be absent
];
const sdkAccepts = [
  /vector of \d+ elements is longer than the message/, // it reads as many numbers as there are
  /text is not UTF-8/, /method .* is out of order/, // it does not check the names of methods
  /principal of \d+ bytes/, // it does not check the length of principals
];

// sdkGaveUp reports whether theirs is ours except for optional values that are
// null there: the SDK refused something inside them, as above.
function sdkGaveUp(theirs, ours) {
  if (isDeepStrictEqual(theirs, ours)) return true;
  if (Array.isArray(theirs) && theirs.length === 0) return Array.isArray(ours) && ours.length === 1;
  if (theirs === null || ours === null || typeof theirs !== 'object' || typeof ours !== 'object') return false;
  const keys = Object.keys(theirs);
  return isDeepStrictEqual(keys, Object.keys(ours)) && keys.every((k) => sdkGaveUp(theirs[k], ours[k]));
}

test('damaged messages are refused alike', () => {
  const rnd = random(seed + 2);
  const cases = Array.from({ length: 4000 }, () => {
    const types = Array.from({ length: 1 + rnd(2) }, () => genType(rnd, 3));
    return request(types, damage(rnd, IDL.encode(types.map((t) => t.idl), types.map((t) => t.value()))));
  }).filter((c) => !/vec (nat|int)\d/.test(c.did));
  let read = 0;
  peer(cases).forEach((ours, i) => {
    const c = cases[i];
    if (ours.kind === 'ok') read++;
    const theirs = ours.kind === 'limit' ? undefined : sdkDecodeInTime(c.types, c.bytes);
    if (!theirs) return;
    if (theirs.error && sdkRefuses.some((r) => r.test(theirs.error.message))) return;
    if (ours.error && sdkAccepts.some((r) => r.test(ours.error))) return;
    if (ours.kind === 'ok' && theirs.values && sdkGaveUp(theirs.values, sdkDecode(c.types, ours.bytes).values)) return;
    compare(c, ours, theirs);
  });
  assert.ok(read > cases.length / 20, `only ${read} of ${cases.length} messages are still readable: the test shows little`);
});
