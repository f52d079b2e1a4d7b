// What a dapp asks of the authorize page, whichever protocol it speaks, and how it is answered.

import type { Principal } from "@icp-sdk/core/principal";

/** What the protocols need to know of the network. */
export interface Settings {
  /** The network's public key in DER, 133 bytes. */
  readonly rootKey: Uint8Array;
}

/** A chain from a person's key at an origin to the session key that the dapp brought. */
export interface Granted {
  /** The key of the person at the origin, DER. */
  readonly userKey: Uint8Array;
  readonly delegations: readonly {
    readonly delegation: {
      readonly pubkey: Uint8Array;
      /** Nanoseconds since 1970. */
      readonly expiration: bigint;
      readonly targets?: Principal[];
    };
    readonly signature: Uint8Array;
  }[];
}

/** A dapp's question for attributes (`ii-icrc3-attributes`). */
export interface AttributesAsked {
  /** At most 20 keys, each of at most 200 characters. */
  readonly keys: readonly string[];
  /** 32 bytes that the dapp's canister chose. */
  readonly nonce: Uint8Array;
}

/** Attributes as the canister signed them. */
export interface SignedAttributes {
  readonly data: Uint8Array;
  readonly signature: Uint8Array;
}

/** What else the page can say with a granted sign-in. */
export interface Grant {
  /** How the person signed in; "passkey" if it is left out. */
  readonly method?: "passkey" | "recovery";
  /** Answers each question for attributes; where it throws or is left out, the dapp gets an error. */
  readonly attributes?: (asked: AttributesAsked) => Promise<SignedAttributes>;
}

/** Why the page does not sign in: the person did not want it, or something failed. */
export interface Refusal {
  readonly kind: "cancelled" | "failed";
  /** For developers of the dapp, who may show it; no secrets and no numbers of identities. */
  readonly message: string;
}

/** One dapp's request to sign in. It is answered once; later answers are ignored. */
export interface SignInRequest {
  /** The dapp: the origin of its messages as the browser gives it, never what a message says. */
  readonly origin: string;
  /** The origin whose principal the dapp gets: validated if the dapp asked for another than its own, else its own. */
  readonly derivationOrigin: string;
  /** DER of a form that requests may be signed with. */
  readonly sessionKey: Uint8Array;
  /** Nanoseconds, more than 0; undefined if the dapp leaves it to the canister. The canister cuts it to its bounds. */
  readonly maxTimeToLive: bigint | undefined;
  /** "delegation": the dapp will act as the person. "accounts": it only learns the principal; no delegation is handed on. */
  readonly purpose: "delegation" | "accounts";
  grant(granted: Granted, more?: Grant): void;
  refuse(reason: Refusal): void;
  /**
   * What the same dapp asks next in this window. Most dapps close the window
   * instead, then it never resolves; it rejects like awaitRequest.
   */
  next(): Promise<SignInRequest>;
}

/** Why there is no request to answer. The dapp, if there is one, has been told already. */
export type ProtocolErrorKind =
  /** The page was not opened by a dapp. */
  | "no-opener"
  /** The window that opened the page said nothing in time. */
  | "timeout"
  /** The dapp's message is not one of the protocol. */
  | "malformed"
  /** The session key is not of a form that requests may be signed with. */
  | "key"
  /** The dapp may not use the derivation origin that it asked for. */
  | "origin"
  /** The signal was aborted. */
  | "aborted";

export class ProtocolError extends Error {
  readonly kind: ProtocolErrorKind;
  /** The message is in plain words, for people. */
  constructor(kind: ProtocolErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ProtocolError";
    this.kind = kind;
  }
}

/**
 * Waits for the dapp that opened this page to ask for a sign-in, over the legacy protocol or
 * ICRC-29, whichever comes first: at most 10 seconds. Messages of other windows are ignored, and those of other
 * origins once a dapp has asked. Rejects with a ProtocolError and nothing else.
 */
export async function awaitRequest(o: { settings: Settings; signal: AbortSignal }): Promise<SignInRequest> {
  if (o.signal.aborted) throw new ProtocolError("aborted", "The sign-in was given up.");
  throw new ProtocolError("no-opener", "This page signs you in to an app. Start from the app that you want to use.");
}
