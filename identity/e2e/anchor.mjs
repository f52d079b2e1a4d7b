// Identities whose passkeys sign without a browser.
import { Actor } from '@icp-sdk/core/agent';
import { Delegation, DelegationChain, DelegationIdentity, ECDSAKeyIdentity, Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Principal } from '@icp-sdk/core/principal';
import { p256Passkey } from '../../node/e2e/passkey.mjs';

export const backend = Principal.fromText('rdmx6-jaaaa-aaaaa-aaadq-cai');
export const pages = Principal.fromText('uqzsh-gqaaa-aaaaq-qaada-cai');

/** The part of identity.did that people need here. */
export const identityInterface = ({ IDL }) => {
  const Metadata = IDL.Rec();
  Metadata.fill(IDL.Vec(IDL.Tuple(IDL.Text, IDL.Variant({ Map: Metadata, String: IDL.Text, Bytes: IDL.Vec(IDL.Nat8) }))));
  const Method = IDL.Record({
    authn_method: IDL.Variant({
      WebAuthn: IDL.Record({ credential_id: IDL.Vec(IDL.Nat8), pubkey: IDL.Vec(IDL.Nat8), aaguid: IDL.Opt(IDL.Vec(IDL.Nat8)) }),
      PubKey: IDL.Record({ pubkey: IDL.Vec(IDL.Nat8) }),
    }),
    security_settings: IDL.Record({
      protection: IDL.Variant({ Protected: IDL.Null, Unprotected: IDL.Null }),
      purpose: IDL.Variant({ Recovery: IDL.Null, Authentication: IDL.Null }),
    }),
    metadata: Metadata,
    last_authentication: IDL.Opt(IDL.Nat64),
  });
  const Signed = IDL.Record({
    delegation: IDL.Record({ pubkey: IDL.Vec(IDL.Nat8), expiration: IDL.Nat64, targets: IDL.Opt(IDL.Vec(IDL.Principal)) }),
    signature: IDL.Vec(IDL.Nat8),
  });
  const account = [IDL.Nat64, IDL.Text, IDL.Opt(IDL.Nat64), IDL.Vec(IDL.Nat8)];
  const none = IDL.Opt(IDL.Reserved);
  return IDL.Service({
    identity_registration_start: IDL.Func([], [IDL.Variant({ Ok: IDL.Reserved, Err: IDL.Reserved })], []),
    identity_registration_finish: IDL.Func(
      [IDL.Record({ authn_method: Method, name: IDL.Opt(IDL.Text) })], [IDL.Variant({ Ok: IDL.Record({ identity_number: IDL.Nat64 }), Err: IDL.Reserved })], [],
    ),
    prepare_account_delegation: IDL.Func(
      [...account, IDL.Opt(IDL.Nat64), none], [IDL.Variant({ Ok: IDL.Record({ user_key: IDL.Vec(IDL.Nat8), expiration: IDL.Nat64 }), Err: IDL.Reserved })], [],
    ),
    get_account_delegation: IDL.Func([...account, IDL.Nat64, none], [IDL.Variant({ Ok: Signed, Err: IDL.Variant({ NoSuchDelegation: IDL.Null }) })], ['query']),
    stats: IDL.Func([], [IDL.Record({ users_registered: IDL.Nat64, archive_info: IDL.Record({ archive_canister: IDL.Opt(IDL.Principal) }) })], ['query']),
  });
};

/** The part of archive.did that tells who did what to an anchor. */
export const archiveInterface = ({ IDL }) => {
  const Operation = IDL.Variant({ register_anchor: IDL.Reserved, add_device: IDL.Reserved, remove_device: IDL.Reserved });
  const Entry = IDL.Record({ anchor: IDL.Nat64, operation: Operation, caller: IDL.Principal, timestamp: IDL.Nat64, sequence_number: IDL.Nat64 });
  return IDL.Service({
    get_anchor_entries: IDL.Func(
      [IDL.Nat64, IDL.Opt(IDL.Variant({ timestamp: IDL.Nat64, next_token: IDL.Vec(IDL.Nat8) })), IDL.Opt(IDL.Nat16)], [IDL.Record({ entries: IDL.Vec(IDL.Opt(Entry)) })], ['query'],
    ),
  });
};

export const identityCanister = (agent, canisterId = backend) => Actor.createActor(identityInterface, { agent, canisterId });

const bytes = (b) => new Uint8Array(b);

/** Somebody who has registered a passkey, by the number of their identity. */
export class Anchor {
  constructor(network, passkey, number) {
    Object.assign(this, { network, passkey, number });
  }

  static async register(network, passkey = p256Passkey()) {
    const canister = identityCanister(network.agent(passkey));
    assertOk(await canister.identity_registration_start());
    const key = bytes(passkey.getPublicKey().toDer());
    const { identity_number } = assertOk(await canister.identity_registration_finish({
      authn_method: {
        authn_method: { WebAuthn: { credential_id: key.slice(-16), pubkey: key, aaguid: [] } },
        security_settings: { protection: { Unprotected: null }, purpose: { Authentication: null } },
        metadata: [], last_authentication: [],
      },
      name: [],
    }));
    return new Anchor(network, passkey, identity_number);
  }

  /** A session at the identity canister, as its pages have one: the passkey signs once. */
  async session() {
    const key = Ed25519KeyIdentity.generate();
    const chain = await DelegationChain.create(this.passkey, key.getPublicKey(), new Date(Date.now() + 30 * 60_000), { targets: [backend] });
    return DelegationIdentity.fromDelegation(key, chain);
  }

  /** The chain of delegations to a dapp's session key, and how many queries it took to get it. */
  async delegation(origin, sessionKey, lifetimeNs) {
    const canister = identityCanister(this.network.agent(await this.session()));
    const asked = [this.number, origin, [], bytes(sessionKey)];
    const { user_key, expiration } = assertOk(await canister.prepare_account_delegation(...asked, lifetimeNs ? [lifetimeNs] : [], []));
    for (let tries = 1; ; tries++) {
      const got = await canister.get_account_delegation(...asked, expiration, []);
      // the replica that answers may be behind the one that signed
      if (!got.Ok && tries < 20) continue;
      const { delegation, signature } = assertOk(got);
      const one = { delegation: { pubkey: bytes(delegation.pubkey), expiration: delegation.expiration }, signature: bytes(signature) };
      return { userKey: bytes(user_key), delegations: [one], tries };
    }
  }

  /** Logs in to a dapp. */
  async logIn(origin, lifetimeNs) {
    const session = await ECDSAKeyIdentity.generate();
    const { userKey, delegations } = await this.delegation(origin, session.getPublicKey().toDer(), lifetimeNs);
    const chain = DelegationChain.fromDelegations(delegations.map((d) => ({ ...d, delegation: new Delegation(d.delegation.pubkey, d.delegation.expiration) })), userKey);
    return DelegationIdentity.fromDelegation(session, chain);
  }
}

function assertOk(answer) {
  if (!('Ok' in answer)) throw new Error(`the identity canister refuses: ${JSON.stringify(answer, (_, v) => (typeof v === 'bigint' ? `${v}` : v))}`);
  return answer.Ok;
}
