// Derivation origins: a dapp gets the principals of another origin if the canister of that origin lists the
// dapp's in /.well-known/ii-alternative-origins (Internet Identity specification, "Alternative Frontend Origins").
// The list is fetched from a gateway, which verifies that the canister certified it; node/DECISIONS.md says
// what that leaves to believe.

import { Principal } from "@icp-sdk/core/principal";
import { ProtocolError } from "./errors.ts";
import { isLoopback, isOrigin, isRecord, isSecure } from "./values.ts";

const path = "/.well-known/ii-alternative-origins";
const maxEntries = 10;
const maxListBytes = 16 << 10;
const patienceMs = 8000;
const internetComputer = [".ic0.app", ".icp0.io"];
const canisterDomains = [".localhost", ...internetComputer];

export interface Where {
  /** Of the page that asks: it decides whether the network is the one on this computer. */
  readonly location: { readonly protocol: string; readonly hostname: string; readonly host: string; readonly port: string };
  readonly signal: AbortSignal;
}

/**
 * The origin that a dapp at origin gets principals of: the one it asked for, or its own if asked is undefined.
 * Throws a ProtocolError with what forbids it: "malformed" if asked is no origin, else "origin".
 */
export async function derivationOrigin(asked: unknown, origin: string, where: Where): Promise<string> {
  if (asked === undefined) return origin;
  if (!isOrigin(asked)) throw new ProtocolError("malformed", "The app asked to act for an address that is not an origin.");
  if (legacy(asked) === legacy(origin)) return asked;
  const no = (why: string, cause?: unknown) => new ProtocolError("origin", `${origin} may not sign you in for ${asked}: ${why}.`, { cause });
  if (!isSecure(asked)) throw no("that address is not protected by https");
  if (!isSecure(origin)) throw no("its own address is not protected by https");
  const signal = AbortSignal.any([where.signal, AbortSignal.timeout(patienceMs)]);
  const canister = await canisterOf(asked, signal);
  if (!canister) throw no("no canister could be found there");
  const url = listAddress(asked, canister, where.location);
  let response: Response;
  try {
    // A redirect is not followed: whoever can answer for another address must not be able to lend theirs.
    response = await fetch(url, { redirect: "manual", credentials: "omit", cache: "no-cache", headers: { accept: "application/json" }, signal });
  } catch (e) {
    throw no("its list of alternative origins could not be fetched", e);
  }
  if (response.type === "opaqueredirect" || response.redirected) throw no("its list of alternative origins is a redirect");
  if (response.status === 503) throw no("its list of alternative origins could not be verified");
  if (response.status !== 200) throw no(`its list of alternative origins was answered with status ${response.status}`);
  const list = entries(await bodyOf(response).catch(() => undefined));
  if (!list) throw no("its list of alternative origins is not of the right form");
  if (list.length > maxEntries) throw no(`its list of alternative origins has more than ${maxEntries} entries`);
  if (!list.some((entry) => legacy(entry) === legacy(origin))) throw no("it is not in that address's list of alternative origins");
  return asked;
}

/** The canister behind an origin: by its name, else as the gateway there says; undefined if neither tells. */
async function canisterOf(origin: string, signal: AbortSignal): Promise<string | undefined> {
  const { hostname } = new URL(origin);
  if (canisterDomains.some((domain) => hostname.endsWith(domain))) {
    const named = principalText(hostname.split(".")[0]!);
    if (named) return named;
  }
  try {
    const response = await fetch(origin, { method: "HEAD", redirect: "manual", credentials: "omit", cache: "no-cache", signal });
    return principalText(response.headers.get("x-ic-canister-id") ?? "");
  } catch {
    return undefined;
  }
}

/**
 * Where the list of an origin, and of the canister there, is fetched by a page at a location: on this computer's gateway by
 * its bare name, for origins of the Internet Computer's gateways there, and else at the origin. Another network has other
 * canisters with the same ids, so what the Internet Computer says of an id counts for its own origins alone.
 */
export function listAddress(origin: string, canister: string, { protocol, hostname, host, port }: Where["location"]): string {
  if (isLoopback(hostname)) {
    const gateway = hostname.endsWith("localhost") ? `localhost${port && `:${port}`}` : host;
    return `${protocol}//${gateway}${path}?canisterId=${canister}`;
  }
  const isInternetComputers = internetComputer.some((domain) => new URL(origin).hostname.endsWith(domain));
  return isInternetComputers ? `https://${canister}.icp0.io${path}` : origin + path;
}

/** Origins under icp0.io are those under ic0.app, here as in the seeds of principals. */
function legacy(origin: string): string {
  return origin.replace(/^(https:\/\/[a-z0-9-]+(?:\.raw)?)\.icp0\.io$/, "$1.ic0.app");
}

function principalText(text: string): string | undefined {
  try {
    return Principal.fromText(text).toText() === text && text !== "" ? text : undefined;
  } catch {
    return undefined;
  }
}

async function bodyOf(response: Response): Promise<string | undefined> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for (const reader = response.body?.getReader(); reader; ) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value as Uint8Array<ArrayBuffer>);
    if ((length += value.length) > maxListBytes) {
      await reader.cancel();
      return undefined;
    }
  }
  return new Blob(chunks).text();
}

function entries(body: string | undefined): string[] | undefined {
  if (body === undefined) return undefined;
  let list: unknown;
  try {
    list = JSON.parse(body);
  } catch {
    return undefined;
  }
  const origins = isRecord(list) ? list["alternativeOrigins"] : undefined;
  return Array.isArray(origins) && origins.every((o) => typeof o === "string") ? origins : undefined;
}
