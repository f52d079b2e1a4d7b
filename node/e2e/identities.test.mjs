// Every kind of identity that clients sign with is known by its principal, in
// queries and updates; what is signed wrongly is refused with what is wrong.
import assert from 'node:assert/strict';
import { createHash, createSign, generateKeyPairSync, randomBytes, sign as signWith } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Actor, AnonymousIdentity, SignIdentity, requestIdOf } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { DelegationChain, DelegationIdentity, ECDSAKeyIdentity, Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Secp256k1KeyIdentity } from '@icp-sdk/core/identity/secp256k1';

import * as cbor from '@dfinity/cbor';
import { Network, counterInterface, counterSource, motoko } from './network.mjs';

const der = (oid, key) => {
  const length = (n) => (n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255]);
  const algorithm = [0x30, ...length(oid.length), ...oid];
  const bits = [0x03, ...length(key.length + 1), 0, ...key];
  return Uint8Array.from([0x30, ...length(algorithm.length + bits.length), ...algorithm, ...bits]);
};
// 1.3.6.1.4.1.56387.1.1: a COSE key as WebAuthn authenticators make them
const coseOID = [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xb8, 0x43, 0x01, 0x01];

/** Signs as an authenticator does: over its data and the hash of the client data. */
class PasskeyIdentity extends SignIdentity {
  constructor(cose, sign) {
    super();
    this.key = { toDer: () => der(coseOID, cose) };
    this.signBytes = sign;
  }
  getPublicKey() { return this.key; }
  async sign(blob) {
    const client = Buffer.from(JSON.stringify({ type: 'webauthn.get', challenge: Buffer.from(blob).toString('base64url'), origin: 'http://localhost' }));
    const authenticator = Buffer.concat([createHash('sha256').update('localhost').digest(), Buffer.from([5, 0, 0, 0, 1])]);
    const signature = this.signBytes(Buffer.concat([authenticator, createHash('sha256').update(client).digest()]));
    return cbor.encodeWithSelfDescribedTag({ authenticator_data: new Uint8Array(authenticator), client_data_json: client.toString(), signature: new Uint8Array(signature) });
  }
}

/** A CBOR map with integer keys, as COSE keys are. */
const cose = (entries) => {
  const head = (major, n) => (n < 24 ? [major << 5 | n] : n < 256 ? [major << 5 | 24, n] : [major << 5 | 25, n >> 8, n & 255]);
  const item = (v) => (v instanceof Uint8Array ? [...head(2, v.length), ...v] : v < 0 ? head(1, -1 - v) : head(0, v));
  return Uint8Array.from([...head(5, entries.length), ...entries.flatMap(([k, v]) => [...item(k), ...item(v)])]);
};

function p256Passkey() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = publicKey.export({ format: 'jwk' });
  const point = (name) => new Uint8Array(Buffer.from(jwk[name], 'base64url'));
  return new PasskeyIdentity(cose([[1, 2], [3, -7], [-1, 1], [-2, point('x')], [-3, point('y')]]), (m) => createSign('sha256').update(m).sign(privateKey));
}

function rsaPasskey() {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = publicKey.export({ format: 'jwk' });
  const number = (name) => new Uint8Array(Buffer.from(jwk[name], 'base64url'));
  return new PasskeyIdentity(cose([[1, 3], [3, -257], [-1, number('n')], [-2, number('e')]]), (m) => createSign('sha256').update(m).sign(privateKey));
}

function ed25519Passkey() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const x = new Uint8Array(Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url'));
  return new PasskeyIdentity(cose([[1, 1], [3, -8], [-1, 6], [-2, x]]), (m) => signWith(null, m, privateKey));
}

const tomorrow = () => new Date(Date.now() + 24 * 3600 * 1000);

async function delegated(root, options) {
  const session = Ed25519KeyIdentity.generate();
  const chain = await DelegationChain.create(root, session.getPublicKey(), tomorrow(), options);
  return DelegationIdentity.fromDelegation(session, chain);
}

describe('identities', () => {
  let network, id, other;

  before(async () => {
    network = await Network.start();
    const agent = network.agent(Ed25519KeyIdentity.generate());
    const module = motoko(counterSource);
    id = await network.install(agent, module);
    other = await network.install(agent, module);
  });
  after(() => network.remove());

  const counter = (identity, canisterId = id) => Actor.createActor(counterInterface, { agent: network.agent(identity), canisterId });

  const kinds = {
    anonymous: () => new AnonymousIdentity(),
    Ed25519: () => Ed25519KeyIdentity.generate(),
    'ECDSA P-256': () => ECDSAKeyIdentity.generate(),
    secp256k1: () => Secp256k1KeyIdentity.generate(),
    'passkey with P-256': p256Passkey,
    'passkey with RSA': rsaPasskey,
    'passkey with Ed25519': ed25519Passkey,
    'delegation from Ed25519': () => delegated(Ed25519KeyIdentity.generate()),
    'delegation from a passkey': () => delegated(p256Passkey()),
    'delegation with the canister as its target': () => delegated(Ed25519KeyIdentity.generate(), { targets: [id] }),
  };
  for (const [name, make] of Object.entries(kinds)) {
    test(`${name} is known by its principal`, async () => {
      const identity = await make();
      const actor = counter(identity);
      const principal = identity.getPrincipal().toText();
      assert.equal((await actor.whoami()).toText(), principal);
      assert.equal((await actor.whoamiUpdate()).toText(), principal);
    });
  }

  test('a delegation for one canister does not reach another', async () => {
    const identity = await delegated(Ed25519KeyIdentity.generate(), { targets: [id] });
    await assert.rejects(counter(identity, other).whoami(), /400|403/);
    await assert.rejects(counter(identity, other).whoamiUpdate(), /400|403/);
  });

  test('an expired delegation is refused', async () => {
    const session = Ed25519KeyIdentity.generate();
    const chain = await DelegationChain.create(Ed25519KeyIdentity.generate(), session.getPublicKey(), new Date(Date.now() - 60_000));
    await assert.rejects(counter(DelegationIdentity.fromDelegation(session, chain)).whoamiUpdate(), /400|403/);
  });

  /** Posts an envelope as it is; returns status and text. */
  async function post(kind, envelope) {
    const response = await fetch(`${network.host}/api/v3/canister/${id}/${kind}`, { method: 'POST', headers: { 'content-type': 'application/cbor' }, body: envelope });
    return { status: response.status, text: await response.text() };
  }

  function content(kind, more = {}) {
    return {
      request_type: kind, canister_id: id.toUint8Array(), method_name: 'whoami', arg: IDL.encode([], []), sender: Uint8Array.of(4),
      ingress_expiry: BigInt(Date.now() + 120_000) * 1_000_000n, ...more,
    };
  }
  const encode = (value) => cbor.encodeWithSelfDescribedTag(value);

  test('a signature by another key is refused', async () => {
    const [mine, theirs] = [Ed25519KeyIdentity.generate(), Ed25519KeyIdentity.generate()];
    for (const kind of ['query', 'call']) {
      const body = content(kind, { sender: mine.getPrincipal().toUint8Array() });
      const signed = Buffer.concat([Buffer.from('\x0Aic-request'), requestIdOf(body)]);
      const answer = await post(kind, encode({ content: body, sender_pubkey: mine.getPublicKey().toDer(), sender_sig: await theirs.sign(signed) }));
      assert.ok(answer.status >= 400 && answer.status < 500, `${kind}: ${answer.status}`);
      assert.match(answer.text, /sign/i);
    }
  });

  test('calls that have expired, or expire too late, are refused with the text that clients look for', async () => {
    for (const delta of [-600_000, 3_600_000]) {
      const answer = await post('call', encode({ content: content('call', { ingress_expiry: BigInt(Date.now() + delta) * 1_000_000n }) }));
      assert.equal(answer.status, 400);
      assert.match(answer.text, /Invalid request expiry: /);
    }
  });

  test('what is no request is refused with what is wrong', async () => {
    const cases = [
      [randomBytes(40), /cbor/i],
      [encode({}), /content/],
      [encode({ content: content('read_state') }), /./],
      [encode({ content: { ...content('query'), canister_id: undefined } }), /canister_id/],
      [encode({ content: { ...content('query'), sender: randomBytes(30) } }), /sender|principal/],
      [encode({ content: content('query', { canister_id: other.toUint8Array() }) }), /./],
    ];
    for (const [body, text] of cases) {
      const answer = await post('query', body);
      assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${answer.text}`);
      assert.match(answer.text, text);
      assert.ok(answer.text.length > 10);
    }
    const large = await post('call', Buffer.alloc(6 << 20));
    assert.equal(large.status, 413);
  });
});
