// What a dapp asks of the authorize page, whichever protocol it speaks, and how it is answered.

import type { Principal } from "@icp-sdk/core/principal";
import { givenUp, ProtocolError, type ProtocolErrorKind } from "./errors.ts";
import { dappOf, type Host } from "./host.ts";
import { IcrcChannel, isIcrcMessage } from "./icrc.ts";
import { isLegacyRequest, legacyRequest, ready } from "./legacy.ts";

export { ProtocolError, type ProtocolErrorKind };

/** How long the dapp may take to find the page. */
const establishMs = 10_000;

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

/**
 * Waits for the dapp that opened this page to ask for a sign-in, over the legacy protocol or ICRC-29, whichever it
 * speaks first: it must be heard within 10 seconds. Messages of other windows are ignored, and from the first on those of other
 * origins. Rejects with a ProtocolError and nothing else; a dapp whose request may not be granted is told with the
 * error's method, once the person has read why.
 */
export function awaitRequest(o: { readonly signal: AbortSignal; readonly window?: Host }): Promise<SignInRequest> {
  const host = o.window ?? (window as Host);
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(timer);
      host.removeEventListener("message", onMessage);
    };
    const fail = (error: ProtocolError) => {
      done();
      reject(error);
    };
    const where = { location: host.location, signal: o.signal };
    const onMessage = (event: MessageEvent) => {
      const legacy = isLegacyRequest(event.data);
      if (!legacy && !isIcrcMessage(event.data)) return;
      const dapp = dappOf(event, host, o.signal);
      if (!dapp) return;
      done();
      if (legacy) return resolve(legacyRequest(event.data, dapp, where));
      const channel = new IcrcChannel(dapp, where);
      channel.receive(event.data);
      resolve(channel.first());
    };
    const timer = setTimeout(() => fail(new ProtocolError("timeout", "The app that opened this page did not say what it wants. Close this window and try again from the app.")), establishMs);
    o.signal.addEventListener("abort", () => fail(givenUp()));
    if (o.signal.aborted) return fail(givenUp());
    if (!host.opener) return fail(new ProtocolError("no-opener", "This page signs you in to an app. Start from the app that you want to use."));
    host.addEventListener("message", onMessage);
    host.opener.postMessage(ready, "*");
  });
}
