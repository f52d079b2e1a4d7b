// A delegation of the identity canister, checked without a network by what @icp-sdk/core has for certificates and hash
// trees, and then used on it. Nobody here is a browser: the person has an Ed25519 key.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Actor, Cbor, Certificate, LookupPathStatus, lookup_path, reconstruct, requestIdOf } from "@icp-sdk/core/agent";
import { IDL } from "@icp-sdk/core/candid";
import { DelegationChain, DelegationIdentity, Ed25519KeyIdentity, isDelegationValid } from "@icp-sdk/core/identity";
import { Principal } from "@icp-sdk/core/principal";
import { Network } from "../../node/e2e/network.mjs";

const canisterId = Principal.fromText("rdmx6-jaaaa-aaaaa-aaadq-cai");
const origin = "https://dapp.example";
const skip = existsSync(new URL("../../build/identity.wasm", import.meta.url)) ? false : "there is no build/identity.wasm: make identity";

const blob = IDL.Vec(IDL.Nat8);

function identityInterface({ IDL }) {
  const result = (Ok) => IDL.Variant({ Ok, Err: IDL.Reserved });
  const method = IDL.Record({
    authn_method: IDL.Variant({ PubKey: IDL.Record({ pubkey: blob }) }),
    security_settings: IDL.Record({ protection: IDL.Variant({ Unprotected: IDL.Null }), purpose: IDL.Variant({ Authentication: IDL.Null }) }),
    metadata: IDL.Vec(IDL.Tuple(IDL.Text, IDL.Variant({ String: IDL.Text }))),
    last_authentication: IDL.Opt(IDL.Nat64),
  });
  const delegation = IDL.Record({ pubkey: blob, expiration: IDL.Nat64, targets: IDL.Opt(IDL.Vec(IDL.Principal)), permissions: IDL.Opt(IDL.Text) });
  const account = [IDL.Nat64, IDL.Text, IDL.Opt(IDL.Nat64), blob];
  const permissions = IDL.Opt(IDL.Variant({ queries: IDL.Null, all: IDL.Null }));
  return IDL.Service({
    identity_registration_start: IDL.Func([], [IDL.Reserved], []),
    identity_registration_finish: IDL.Func([IDL.Record({ authn_method: method, name: IDL.Opt(IDL.Text) })], [result(IDL.Record({ identity_number: IDL.Nat64 }))], []),
    prepare_account_delegation: IDL.Func([...account, IDL.Opt(IDL.Nat64), permissions], [result(IDL.Record({ user_key: blob, expiration: IDL.Nat64 }))], []),
    get_account_delegation: IDL.Func([...account, IDL.Nat64, permissions], [result(IDL.Record({ delegation, signature: blob }))], ["query"]),
    whoami: IDL.Func([], [IDL.Principal], ["query"]),
  });
}

const sha256 = (bytes) => new Uint8Array(createHash("sha256").update(bytes).digest());

/** Checks a canister signature (interface specification, "Canister signatures"); throws what is wrong. */
async function verify(rootKey, userKey, message, signature) {
  const seed = userKey.slice(userKey.length - 32);
  const { certificate, tree } = Cbor.decode(signature);
  const signer = await Certificate.create({ certificate, rootKey, principal: { canisterId }, disableTimeVerification: true });
  const certified = signer.lookup_path(["canister", canisterId.toUint8Array(), "certified_data"]);
  assert.equal(certified.status, LookupPathStatus.Found);
  assert.deepEqual(Buffer.from(certified.value), Buffer.from(await reconstruct(tree)), "the tree is not the certified one");
  assert.equal(lookup_path(["sig", sha256(seed), sha256(message)], tree).status, LookupPathStatus.Found, "the message is not signed");
}

/** What is signed of a delegation. */
function signedBytes({ pubkey, expiration }) {
  const domain = new TextEncoder().encode("\x1aic-request-auth-delegation");
  return new Uint8Array([...domain, ...requestIdOf({ pubkey, expiration })]);
}

describe("a delegation", { skip, timeout: 300_000 }, () => {
  let network, session, userKey, signed;
  const person = Ed25519KeyIdentity.generate();

  before(async () => {
    network = await Network.start("--ii");
    session = Ed25519KeyIdentity.generate();
    const canister = Actor.createActor(identityInterface, { agent: network.agent(person), canisterId });
    const pubkey = new Uint8Array(person.getPublicKey().toDer());
    await canister.identity_registration_start();
    const { Ok: registered } = await canister.identity_registration_finish({
      authn_method: { authn_method: { PubKey: { pubkey } }, security_settings: { protection: { Unprotected: null }, purpose: { Authentication: null } }, metadata: [], last_authentication: [] },
      name: [],
    });
    const key = new Uint8Array(session.getPublicKey().toDer());
    const { Ok: prepared } = await canister.prepare_account_delegation(registered.identity_number, origin, [], key, [], []);
    userKey = new Uint8Array(prepared.user_key);
    await network.until(async () => {
      const { Ok: got } = await canister.get_account_delegation(registered.identity_number, origin, [], key, prepared.expiration, []);
      return (signed = got);
    });
  });
  after(() => network?.remove());

  test("verifies with the root key alone, and no other one does", async () => {
    const { delegation, signature } = signed;
    const bytes = Uint8Array.from(signature);
    const good = { pubkey: Uint8Array.from(delegation.pubkey), expiration: delegation.expiration };
    await verify(network.rootKey, userKey, signedBytes(good), bytes);
    await assert.rejects(verify(network.rootKey, userKey, signedBytes({ ...good, expiration: good.expiration + 1n }), bytes), /not signed/);
    await assert.rejects(verify(network.rootKey, userKey, signedBytes({ ...good, pubkey: person.getPublicKey().toDer() }), bytes), /not signed/);
    const otherUser = Uint8Array.from(userKey);
    otherUser[otherUser.length - 1] ^= 1;
    await assert.rejects(verify(network.rootKey, otherUser, signedBytes(good), bytes), /not signed/);
    const otherRoot = Uint8Array.from(network.rootKey);
    otherRoot[otherRoot.length - 1] ^= 1;
    await assert.rejects(verify(otherRoot, userKey, signedBytes(good), bytes));
  });

  test("is a chain that the network takes, of the principal of the user's key", async () => {
    const chain = DelegationChain.fromDelegations(
      [{ delegation: { ...signed.delegation, pubkey: Uint8Array.from(signed.delegation.pubkey), targets: undefined, permissions: undefined }, signature: Uint8Array.from(signed.signature) }],
      userKey,
    );
    assert.equal(isDelegationValid(DelegationChain.fromJSON(chain.toJSON())), true);
    const dapp = DelegationIdentity.fromDelegation(session, DelegationChain.fromJSON(chain.toJSON()));
    const canister = Actor.createActor(identityInterface, { agent: network.agent(dapp), canisterId });
    const caller = await canister.whoami();
    assert.equal(caller.toText(), Principal.selfAuthenticating(userKey).toText());
  });
});
