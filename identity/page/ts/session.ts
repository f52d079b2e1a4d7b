// Being signed in: a key that may act for an identity for some minutes, kept in memory alone.

import { IC_REQUEST_AUTH_DELEGATION_DOMAIN_SEPARATOR, requestIdOf, type DerEncodedPublicKey, type Signature, type SignIdentity } from "@icp-sdk/core/agent";
import { Delegation, DelegationChain, DelegationIdentity, ECDSAKeyIdentity } from "@icp-sdk/core/identity";
import type { Backend, Solve } from "./backend.ts";
import { knownPasskey, remember } from "./known.ts";
import { type Passkey, passkeyMethod, signWithPasskey } from "./passkey.ts";
import { Problem } from "./problem.ts";

export interface Session {
  readonly anchor: bigint;
  readonly identity: SignIdentity;
  readonly method: "passkey" | "recovery";
  /** The key of the identity that the session stands for: without it, the session ends. */
  readonly owner: Uint8Array;
  /** When the key may no longer act, in milliseconds since 1970. */
  readonly expires: number;
}

/** How long a passkey's or phrase's one signature lasts. */
const sessionMillis = 30 * 60_000;
/** How long the canister lets the key act that registered an identity (identity/canister, temporary keys). */
const temporaryMillis = 10 * 60_000;

/** A new key, not extractable. Browsers want the passkey's prompt soon after the click, so it is made before. */
export function newKey(): Promise<ECDSAKeyIdentity> {
  return ECDSAKeyIdentity.generate({ extractable: false });
}

/** What a key must sign so that another may act for it until a time. */
function delegationTo(key: ECDSAKeyIdentity, expires: number): { delegation: Delegation; signed: Uint8Array } {
  const delegation = new Delegation(key.getPublicKey().toDer(), BigInt(expires) * 1_000_000n);
  const hash = requestIdOf({ ...delegation });
  return { delegation, signed: new Uint8Array([...IC_REQUEST_AUTH_DELEGATION_DOMAIN_SEPARATOR, ...hash]) };
}

/**
 * Signs in with a passkey. It signs once, a delegation to the key; whose it is comes out
 * of the credential that the person chose. Allowed narrows the choice.
 */
export async function continueWithPasskey(backend: Backend, key: ECDSAKeyIdentity, allowed: readonly Uint8Array[] = []): Promise<Session> {
  const expires = Date.now() + sessionMillis;
  const { delegation, signed } = delegationTo(key, expires);
  const { credentialId, signature } = await signWithPasskey(signed, allowed);
  const found = knownPasskey(credentialId) ?? (await backend.ofPasskey(credentialId));
  if (!found) {
    throw new Problem("unknown", "No identity has this passkey any more: it was removed, or it belongs to another network. Delete it from your device if you do not need it.");
  }
  const chain = DelegationChain.fromDelegations([{ delegation, signature: signature as Signature }], found.publicKey as DerEncodedPublicKey);
  remember(found.anchor, undefined, { id: credentialId, publicKey: found.publicKey });
  return { anchor: found.anchor, identity: DelegationIdentity.fromDelegation(key, chain), method: "passkey", owner: found.publicKey, expires };
}

/** Signs in with the key of a recovery phrase. */
export async function continueWithPhrase(backend: Backend, key: ECDSAKeyIdentity, phrase: SignIdentity): Promise<Session> {
  const expires = Date.now() + sessionMillis;
  const chain = await DelegationChain.create(phrase, key.getPublicKey(), new Date(expires));
  const identity = DelegationIdentity.fromDelegation(key, chain);
  const anchor = await backend.ofPhrase(identity);
  if (anchor === undefined) throw new Problem("unknown", "No identity has this recovery phrase. Check every word and their order.");
  remember(anchor, undefined);
  return { anchor, identity, method: "recovery", owner: phrase.getPublicKey().toDer(), expires };
}

/** Creates an identity with a passkey that was made for it. The key acts for it from then on, for ten minutes. */
export async function register(backend: Backend, key: ECDSAKeyIdentity, name: string, alias: string, passkey: Passkey, solve: Solve): Promise<Session> {
  const anchor = await backend.register(key, passkeyMethod(passkey, alias), name, solve);
  remember(anchor, name, { id: passkey.credentialId, publicKey: passkey.publicKey });
  return { anchor, identity: key, method: "passkey", owner: passkey.publicKey, expires: Date.now() + temporaryMillis };
}
