// Every kind of identity that clients sign with is known by its principal, in
// queries and updates; what is signed wrongly is refused with what is wrong.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Actor, AnonymousIdentity, requestIdOf } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { DelegationChain, DelegationIdentity, ECDSAKeyIdentity, Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Secp256k1KeyIdentity } from '@icp-sdk/core/identity/secp256k1';

import * as cbor from '@dfinity/cbor';
import { Network, counterInterface, counterSource, motoko } from './network.mjs';
import { ed25519Passkey, p256Passkey, rsaPasskey } from './passkey.mjs';

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
    'delegation from a passkey with P-256': () => delegated(p256Passkey()),
    'delegation from a passkey with RSA': () => delegated(rsaPasskey()),
    'delegation from a passkey with Ed25519': () => delegated(ed25519Passkey()),
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

  test('what a passkey signed otherwise is refused with what is wrong', async () => {
    const cases = [
      [{ type: 'webauthn.create' }, /of type "webauthn.create", want "webauthn.get"/],
      [{ challenge: Buffer.from('another').toString('base64url') }, /the challenge in the client data is not the signed message/],
      [{ challenge: '+/+/' }, /not unpadded base64url/],
      [{ origin: undefined }, /no text "origin"/],
    ];
    for (const make of [p256Passkey, rsaPasskey, ed25519Passkey]) {
      for (const [client, complaint] of cases) {
        const passkey = make(client);
        for (const kind of ['query', 'call']) {
          const body = content(kind, { sender: passkey.getPrincipal().toUint8Array() });
          const signed = Buffer.concat([Buffer.from('\x0Aic-request'), requestIdOf(body)]);
          const answer = await post(kind, encode({ content: body, sender_pubkey: passkey.getPublicKey().toDer(), sender_sig: await passkey.sign(signed) }));
          assert.ok(answer.status >= 400 && answer.status < 500, `${kind}: ${answer.status}`);
          assert.match(answer.text, complaint);
        }
      }
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
