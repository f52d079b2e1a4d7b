// The configuration that the gateway puts in front of the worker's script.

export interface Config {
  /** Hex of the network's public key, DER. */
  rootKey: string;
  /** Path of the light client, with its hash in the name. */
  wasm: string;
  /** SHA-256 of the light client, hex. */
  wasmHash: string;
  /** The canister behind an alias; other names say it themselves. */
  canister?: string;
}

declare global {
  var PORTICO: Config;
}

export const config = (): Config => globalThis.PORTICO;

export const hex = (b: ArrayBuffer | Uint8Array<ArrayBuffer>): string =>
  Array.from(new Uint8Array(b), (x) => x.toString(16).padStart(2, "0")).join("");

export const unhex = (s: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(s.match(/../g) ?? [], (x) => parseInt(x, 16));
