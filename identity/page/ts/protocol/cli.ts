// The page /cli, which gives a command-line tool on the same computer a delegation (`icp identity link web`).
// The tool opens the page with a fragment, which no server sees, and listens on a port of its own.

import { ProtocolError } from "./errors.ts";
import { checkSessionKey, maxKeyBytes } from "./keys.ts";
import type { Granted } from "./request.ts";
import { fromBase64url, isLoopback, toHex } from "./values.ts";

/** Whose principal a tool gets that does not act as a dapp. */
const toolOrigin = "https://cli.id.ai";

const defaultMinutes = 480n;
/** The longest that the identity canister signs for, 30 days. */
const mostMinutes = 43_200n;
const nsPerMinute = 60_000_000_000n;
const minNonceBytes = 16;
const maxNonceBytes = 64;

/** A tool's request. The delegation goes to the tool's own address on this computer and nowhere else. */
export interface CliRequest {
  /** DER of a form that requests may be signed with. */
  readonly sessionKey: Uint8Array;
  /** Nanoseconds; eight hours unless the tool asks otherwise, thirty days at most. */
  readonly maxTimeToLive: bigint;
  /** The origin whose principal the tool gets. */
  readonly derivationOrigin: string;
  /** The dapp as which the tool will act, as an origin; undefined for the tool's own identity. */
  readonly app: string | undefined;
  /** Whether the tool has just refused a delegation of another identity than the one that it knows. */
  readonly mismatch: boolean;
  /** Sends the delegation to the tool by leaving the page; the tool brings the browser back with a status. */
  answer(granted: Granted): void;
}

export type CliStatus = "success" | "error" | "identity-mismatch";

/** What /cli shows: a request, or how an earlier one ended. */
export type CliPage = { readonly kind: "request"; readonly request: CliRequest } | { readonly kind: "status"; readonly status: CliStatus };

/**
 * Reads the fragment that the tool opened the page with, with or without its "#".
 * Throws a ProtocolError: "no-opener" if there is none, "malformed" or "key" with what is wrong.
 */
export function readCli(fragment: string): CliPage {
  const params = new URLSearchParams(fragment.replace(/^#/, ""));
  if (params.size === 0) throw new ProtocolError("no-opener", "This page signs in a command-line tool. Start from the tool.");
  const status = statusOf(params.get("status"));
  if (status && !params.has("public_key")) return { kind: "status", status };

  const sessionKey = fromBase64url(params.get("public_key"), maxKeyBytes);
  if (!sessionKey) throw malformed("it brought no session key");
  checkSessionKey(sessionKey);
  const callback = callbackOf(params.get("callback"));
  const nonce = params.get("nonce");
  const nonceBytes = fromBase64url(nonce, maxNonceBytes);
  if (nonce === null || !nonceBytes || nonceBytes.length < minNonceBytes) throw malformed(`its nonce is not ${minNonceBytes} to ${maxNonceBytes} bytes`);
  const domain = params.get("domain") ?? "";
  const app = domain === "" ? undefined : appOf(domain);
  return {
    kind: "request",
    request: {
      sessionKey,
      maxTimeToLive: minutesOf(params.get("ttl")) * nsPerMinute,
      derivationOrigin: app ?? toolOrigin,
      app,
      mismatch: status === "identity-mismatch",
      answer: (granted) => submit(callback, { delegation: delegationJSON(granted), nonce }),
    },
  };
}

/** The chain as DelegationChain.toJSON of @icp-sdk/core writes it: bytes and the expiration in hexadecimal. */
export function delegationJSON({ userKey, delegations }: Granted): string {
  return JSON.stringify({
    delegations: delegations.map(({ delegation: { pubkey, expiration, targets }, signature }) => ({
      delegation: {
        expiration: expiration.toString(16),
        pubkey: toHex(pubkey),
        ...(targets && { targets: targets.map((t) => toHex(t.toUint8Array())) }),
      },
      signature: toHex(signature),
    })),
    publicKey: toHex(userKey),
  });
}

function malformed(why: string): ProtocolError {
  return new ProtocolError("malformed", `The tool asked in a way that this page does not understand: ${why}.`);
}

function statusOf(text: string | null): CliStatus | undefined {
  return text === "success" || text === "error" || text === "identity-mismatch" ? text : undefined;
}

/**
 * The address must be a number: a name could be made to lead to another computer (RFC 8252, section 7.3). It must be IPv4, as
 * the content security policy, which lets the page's form reach it, can not name ports of an IPv6 address.
 */
function callbackOf(text: string | null): string {
  const url = text !== null && URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "http:" || url.hostname !== "127.0.0.1" || url.port === "" || url.username !== "" || url.password !== "" || url.hash !== "") {
    throw malformed("the address that it listens on is not http://127.0.0.1 with a port");
  }
  return url.href;
}

function minutesOf(text: string | null): bigint {
  if (text === null) return defaultMinutes;
  if (!/^[1-9][0-9]{0,5}$/.test(text)) throw malformed("the time that it asks for is no number of minutes");
  const minutes = BigInt(text);
  return minutes < mostMinutes ? minutes : mostMinutes;
}

/** A name, which stands for https, or an origin; http only on this computer, where nobody else can answer for it. */
function appOf(text: string): string {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  const safe = url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url.hostname));
  if (!url || !safe || url.username !== "" || url.password !== "" || url.pathname !== "/" || url.search !== "" || url.hash !== "") {
    throw malformed("the app that it wants to act as has no address with https");
  }
  return url.origin;
}

function submit(action: string, fields: Record<string, string>): void {
  const form = document.createElement("form");
  form.method = "post";
  form.action = action;
  for (const [name, value] of Object.entries(fields)) {
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name, value });
    form.append(input);
  }
  document.body.append(form);
  form.submit();
}
