// The identities that were used in this browser: none of it is secret, and all of it
// can be found again, only slower.

export interface Known {
  readonly anchor: bigint;
  readonly name: string;
  /** Its passkeys that were used here: credential id and public key. */
  readonly passkeys: readonly { readonly id: Uint8Array; readonly publicKey: Uint8Array }[];
}

interface Stored {
  anchor: string;
  name: string;
  passkeys: { id: string; key: string }[];
}

const storageKey = "portico-identities";
const maxKnown = 10;
const maxPasskeys = 10;

/** The identities that this browser knows, the one that was used last first. */
export function knownIdentities(): Known[] {
  try {
    const list = JSON.parse(localStorage.getItem(storageKey) ?? "[]") as Stored[];
    return list.slice(0, maxKnown).map(({ anchor, name, passkeys }) => ({
      anchor: BigInt(anchor),
      name: String(name),
      passkeys: passkeys.slice(0, maxPasskeys).map((p) => ({ id: bytes(p.id), publicKey: bytes(p.key) })),
    }));
  } catch {
    return []; // Storage is shut, or holds something else: everything is found without it, too.
  }
}

/** Notes that an identity was used, and with which passkey. */
export function remember(anchor: bigint, name: string | undefined, passkey?: { id: Uint8Array; publicKey: Uint8Array }): void {
  const all = knownIdentities();
  const before = all.find((k) => k.anchor === anchor);
  const passkeys = [...(before?.passkeys ?? [])];
  if (passkey && !passkeys.some((p) => same(p.id, passkey.id))) passkeys.unshift(passkey);
  save([{ anchor, name: name ?? before?.name ?? "", passkeys }, ...all.filter((k) => k.anchor !== anchor)]);
}

/** Forgets a passkey that was removed from its identity. */
export function forgetPasskey(anchor: bigint, publicKey: Uint8Array): void {
  save(knownIdentities().map((k) => (k.anchor === anchor ? { ...k, passkeys: k.passkeys.filter((p) => !same(p.publicKey, publicKey)) } : k)));
}

/** Finds whose passkey a credential is. */
export function knownPasskey(credentialId: Uint8Array): { anchor: bigint; publicKey: Uint8Array } | undefined {
  for (const { anchor, passkeys } of knownIdentities()) {
    const found = passkeys.find((p) => same(p.id, credentialId));
    if (found) return { anchor, publicKey: found.publicKey };
  }
  return undefined;
}

function save(list: Known[]): void {
  const stored: Stored[] = list.slice(0, maxKnown).map(({ anchor, name, passkeys }) => ({
    anchor: String(anchor),
    name,
    passkeys: passkeys.slice(0, maxPasskeys).map((p) => ({ id: text(p.id), key: text(p.publicKey) })),
  }));
  try {
    localStorage.setItem(storageKey, JSON.stringify(stored));
  } catch {
    // As above.
  }
}

/** Whether two byte strings are equal. */
export const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((x, i) => x === b[i]);
const text = (b: Uint8Array): string => btoa(String.fromCharCode(...b));
const bytes = (s: string): Uint8Array => Uint8Array.from(atob(s), (c) => c.charCodeAt(0));
