// Identities by WebCrypto. Their keys never leave it: a page can use them for as
// long as it runs, and nobody can copy them.

import { PorticoError } from "./errors.ts";

/** Who makes calls: the owner of a key, or somebody for whom the key may sign. */
export interface Identity {
  /** DER (interface specification, "Signatures"). */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  /** Signs a message; Ed25519 gives 64 bytes, ECDSA r and s of 32 bytes each. */
  sign(message: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
  /** From the owner of another key, for whom this one signs. */
  readonly delegations?: Delegations;
}

/** A chain of delegations that leads from its owner's key to the one that signs. */
export interface Delegations {
  /** The owner's public key, DER. */
  owner: Uint8Array;
  chain: Delegation[];
}

/** A signed delegation (interface specification, "Authentication"). */
export interface Delegation {
  /** To whom, DER. */
  publicKey: Uint8Array;
  /** Nanoseconds since 1970. */
  expiration: bigint;
  /** The canisters that it is good for, in text form; absent for all. */
  targets?: string[];
  permissions?: "all" | "queries";
  signature: Uint8Array;
}

export type Algorithm = "Ed25519" | "P-256";

/** An identity with a key of WebCrypto. */
export class KeyIdentity implements Identity {
  private constructor(
    readonly publicKey: Uint8Array<ArrayBuffer>,
    readonly algorithm: Algorithm,
    private readonly privateKey: CryptoKey,
  ) {}

  /** The identity of a pair of keys for signing, Ed25519 or ECDSA on P-256. */
  static async of(keys: CryptoKeyPair): Promise<KeyIdentity> {
    const algorithm = keys.privateKey.algorithm.name === "Ed25519" ? "Ed25519" : "P-256";
    return new KeyIdentity(new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey)), algorithm, keys.privateKey);
  }

  async sign(message: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    const how = this.algorithm === "Ed25519" ? "Ed25519" : { name: "ECDSA", hash: "SHA-256" };
    return new Uint8Array(await crypto.subtle.sign(how, this.privateKey, message));
  }
}

/** Makes a key that cannot be exported: Ed25519 where there is that, else ECDSA on P-256. */
export async function createIdentity(algorithm?: Algorithm): Promise<KeyIdentity> {
  return KeyIdentity.of(await generate(algorithm));
}

async function generate(algorithm?: Algorithm): Promise<CryptoKeyPair> {
  if (algorithm !== "P-256") {
    try {
      return (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"])) as CryptoKeyPair;
    } catch (cause) {
      if (algorithm) throw new PorticoError("program", "there is no Ed25519 in WebCrypto here", { cause });
    }
  }
  return crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
}

/** The same identity, signing for the owner of delegations, such as one of Internet Identity. */
export function delegated(identity: Identity, delegations: Delegations): Identity {
  return { publicKey: identity.publicKey, sign: (message) => identity.sign(message), delegations };
}

/** The identity kept under a name in this browser's IndexedDB, made at first use. */
export async function storedIdentity(name = "default", algorithm?: Algorithm): Promise<KeyIdentity> {
  const kept = await inStore<CryptoKeyPair | undefined>("readonly", (s) => s.get(name));
  if (kept) return KeyIdentity.of(kept);
  const keys = await generate(algorithm);
  // Another page may have been quicker: its key stays.
  await inStore("readwrite", (s) => s.add(keys, name)).catch(() => {});
  return KeyIdentity.of((await inStore<CryptoKeyPair | undefined>("readonly", (s) => s.get(name))) ?? keys);
}

/** Deletes the identity kept under a name. */
export async function forgetIdentity(name = "default"): Promise<void> {
  await inStore("readwrite", (s) => s.delete(name));
}

const database = "portico identities";
const table = "keys";

async function inStore<T>(mode: IDBTransactionMode, work: (s: IDBObjectStore) => IDBRequest): Promise<T> {
  if (typeof indexedDB === "undefined") throw new PorticoError("program", "there is no IndexedDB here to keep identities in");
  const opening = indexedDB.open(database, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(table);
  const db = await done<IDBDatabase>(opening);
  try {
    return await done<T>(work(db.transaction(table, mode).objectStore(table)));
  } finally {
    db.close();
  }
}

function done<T>(request: IDBRequest): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result as T);
    request.onerror = (e) => {
      e.preventDefault(); // the caller handles it
      reject(request.error);
    };
  });
}
