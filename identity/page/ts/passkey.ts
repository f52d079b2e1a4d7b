// Ceremonies with the browser's passkeys (WebAuthn level 3).

import { Cbor, DER_COSE_OID, wrapDER } from "@icp-sdk/core/agent";
import type { Metadata, Method } from "./interface.ts";
import { Problem } from "./problem.ts";

/** A passkey that was made a moment ago. */
export interface Passkey {
  readonly credentialId: Uint8Array;
  /** The COSE key in DER, as requests carry it. */
  readonly publicKey: Uint8Array;
  /** 16 bytes that name the maker of the authenticator, unless it keeps that to itself. */
  readonly aaguid: Uint8Array | undefined;
  readonly attachment: string | null;
}

/** What a passkey signed. */
export interface Assertion {
  readonly credentialId: Uint8Array;
  /** As requests carry it: CBOR of authenticator data, client data and signature. */
  readonly signature: Uint8Array;
}

/** COSE numbers of the algorithms whose signatures replicas check: ES256 and RS256. */
const algorithms = [-7, -257];
const ceremonyMillis = 5 * 60_000;
const userIdBytes = 32;

/** Throws a Problem where this browser has no passkeys. */
export function checkSupport(): void {
  if (!window.isSecureContext) {
    throw new Problem("unsupported", "Passkeys work over a secure connection only. Open this page by an address that begins with https.");
  }
  if (!("PublicKeyCredential" in window) || !navigator.credentials) {
    throw new Problem("unsupported", "This browser has no passkeys. Use a current version of Chrome, Edge, Firefox or Safari, or another device.");
  }
}

/**
 * Makes a passkey that this site can find again by itself. Passkeys of the same identity
 * are named in existing, so that one authenticator does not hold two of them.
 */
export async function createPasskey(name: string, existing: readonly Uint8Array[] = []): Promise<Passkey> {
  checkSupport();
  const options: PublicKeyCredentialCreationOptions = {
    rp: { id: location.hostname, name: "Internet Identity" },
    user: { id: crypto.getRandomValues(new Uint8Array(userIdBytes)), name, displayName: name },
    // Nobody checks this signature: the canister learns of the key by a call that is signed otherwise.
    challenge: crypto.getRandomValues(new Uint8Array(32)),
    pubKeyCredParams: algorithms.map((alg) => ({ type: "public-key", alg })),
    excludeCredentials: existing.map((id) => ({ type: "public-key", id: id.slice() })),
    authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
    attestation: "none",
    timeout: ceremonyMillis,
  };
  const credential = (await ceremony(() => navigator.credentials.create({ publicKey: options }))) as PublicKeyCredential;
  const data = new Uint8Array((credential.response as AuthenticatorAttestationResponse).getAuthenticatorData());
  const { aaguid, key } = attested(data);
  return {
    credentialId: new Uint8Array(credential.rawId),
    publicKey: wrapDER(key, DER_COSE_OID),
    aaguid: aaguid.some((b) => b !== 0) ? aaguid : undefined,
    attachment: credential.authenticatorAttachment,
  };
}

/** Has a passkey sign: one of those allowed or, if none are, whichever the person chooses. */
export async function signWithPasskey(challenge: Uint8Array, allowed: readonly Uint8Array[] = []): Promise<Assertion> {
  checkSupport();
  const options: PublicKeyCredentialRequestOptions = {
    rpId: location.hostname,
    challenge: challenge.slice(),
    allowCredentials: allowed.map((id) => ({ type: "public-key", id: id.slice() })),
    userVerification: "required",
    timeout: ceremonyMillis,
  };
  const credential = (await ceremony(() => navigator.credentials.get({ publicKey: options }))) as PublicKeyCredential;
  const response = credential.response as AuthenticatorAssertionResponse;
  return {
    credentialId: new Uint8Array(credential.rawId),
    signature: Cbor.encode({
      authenticator_data: new Uint8Array(response.authenticatorData),
      client_data_json: new TextDecoder().decode(response.clientDataJSON),
      signature: new Uint8Array(response.signature),
    }),
  };
}

/** The passkey as the canister stores it. */
export function passkeyMethod(passkey: Passkey, alias: string, purpose: "Authentication" | "Recovery" = "Authentication"): Method {
  const metadata: Metadata = [
    ["alias", { String: alias }],
    ["origin", { String: location.origin }],
  ];
  const attachment = passkey.attachment?.replace("-", "_");
  if (attachment === "platform" || attachment === "cross_platform") metadata.push(["authenticator_attachment", { String: attachment }]);
  return {
    authn_method: {
      WebAuthn: { credential_id: passkey.credentialId, pubkey: passkey.publicKey, aaguid: passkey.aaguid ? [passkey.aaguid] : [] },
    },
    security_settings: {
      protection: { Unprotected: null },
      purpose: purpose === "Recovery" ? { Recovery: null } : { Authentication: null },
    },
    metadata,
    last_authentication: [],
  };
}

/** What the browser's refusals mean, in words for people. */
async function ceremony(run: () => Promise<Credential | null>): Promise<Credential> {
  let credential: Credential | null;
  try {
    credential = await run();
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    switch (name) {
      case "NotAllowedError":
      case "AbortError":
        throw new Problem("cancelled", "No passkey was used: the request was cancelled or it took too long. You can try again.", { cause: error });
      case "InvalidStateError":
        throw new Problem("exists", "This device already has a passkey for your identity. You can sign in with it.", { cause: error });
      case "NotSupportedError":
      case "ConstraintError":
        throw new Problem("unsupported", "This device cannot make passkeys that ask for your fingerprint, face or PIN. Use another device or a security key.", {
          cause: error,
        });
      case "SecurityError":
        throw new Problem("unsupported", `The browser allows no passkeys at ${location.hostname}.`, { cause: error });
      default:
        throw new Problem("failed", "The browser could not use a passkey. You can try again.", { cause: error });
    }
  }
  if (!credential) throw new Problem("cancelled", "No passkey was used. You can try again.");
  return credential;
}

/** Where the attested credential data begins in authenticator data (WebAuthn level 3, 6.1). */
const attestedAt = 37;
const aaguidBytes = 16;

function attested(data: Uint8Array): { aaguid: Uint8Array; key: Uint8Array } {
  const idLengthAt = attestedAt + aaguidBytes;
  const idLength = ((data[idLengthAt] ?? 0) << 8) | (data[idLengthAt + 1] ?? 0);
  const keyAt = idLengthAt + 2 + idLength;
  const end = itemEnd(data, keyAt);
  if (end > data.length) throw new Problem("failed", "The browser gave a passkey without a public key.");
  return { aaguid: data.slice(attestedAt, idLengthAt), key: data.slice(keyAt, end) };
}

/** Where the CBOR item that begins somewhere ends. Extensions may follow the key, which do not belong to it. */
function itemEnd(data: Uint8Array, at: number): number {
  const first = data[at] ?? 0;
  const kind = first >> 5;
  let value = first & 31;
  let next = at + 1;
  if (value >= 24 && value <= 27) {
    const size = 1 << (value - 24);
    value = data.slice(next, next + size).reduce((n, b) => n * 256 + b, 0);
    next += size;
  }
  switch (kind) {
    case 2:
    case 3:
      return next + value;
    case 4:
    case 5:
      for (let items = kind === 5 ? 2 * value : value; items > 0 && next <= data.length; items--) next = itemEnd(data, next);
      return next;
    case 6:
      return itemEnd(data, next);
    default:
      return next;
  }
}
