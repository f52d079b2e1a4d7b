// What the service worker tells of the loads it answered, and the verification
// page shows.

/** Field names are those that portico/lightclient/wasm gives. */
export interface Report {
  canister: string;
  subnet?: string;
  /** Hex of the network's public key, DER, by which everything was checked. */
  rootKey: string;
  /** Of the certificate, milliseconds since 1970. */
  time?: number;
  /** Of the certification: 1 or 2; 0 for the reply to an update call. */
  version: number;
  /** False if the canister opted out of certification. */
  certified: boolean;
  /** What of the exchange the certification covers, for people. */
  scope: string;
  exprPath: string[];
  expression: string;
  certifiedHeaders: string[];
  droppedHeaders: string[];
  totalMs: number;
  networkMs: number;
}

/** Why no answer can be shown. */
export interface Problem {
  status: number;
  title: string;
  /** The check that an answer failed, such as "signature of the network". */
  check?: string;
  /** What a person can do about it. */
  next?: string;
  text: string;
  reason: string;
  /** Which check failed, in one word as @portico/client names them. */
  failed?: string;
}

/** One answered request. */
export interface Load {
  /** Milliseconds since 1970. */
  at: number;
  method: string;
  url: string;
  /** What the browser wanted it for: "document", "image", "" for fetch(). */
  destination: string;
  /** How long the light client took to start, if it had to. */
  bootMs: number;
  status: number;
  bytes: number;
  report?: Report;
  problem?: Problem;
  /** Set if the network could not be reached: the age of the certificate of what was shown instead. */
  keptMs?: number;
  /** Set if an answer that was verified before was used again, as the canister allows for a time: the age of its certificate. */
  heldMs?: number;
}

/** The worker's answer to the verification page. */
export interface Account {
  canister: string;
  rootKey: string;
  wasmHash: string;
  /** Newest first. */
  loads: Load[];
}

/** The message by which a page asks for an Account, on the port that comes with it. */
export const askForAccount = "portico: what was verified?";
