// What the canister tells its pages about the network, in the element that it fills when it is installed.

import { Principal } from "@icp-sdk/core/principal";

export interface Settings {
  /** The network's public key in DER, 133 bytes. */
  readonly rootKey: Uint8Array;
  /** The canister that has the identities. */
  readonly backend: Principal;
}

/** Reads the settings of this page. They are certified with the page and believed as it is. */
export function readSettings(): Settings {
  const text = document.querySelector<HTMLMetaElement>('meta[name="portico-identity"]')?.content ?? "";
  const { root_key, backend } = JSON.parse(text) as { root_key: string; backend: string };
  return { rootKey: fromHex(root_key), backend: Principal.fromText(backend) };
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (digits) => parseInt(digits, 16));
}
