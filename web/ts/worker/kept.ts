// The last verified answers, for when the network cannot be reached. They lie in a
// cache that pages of this origin can write as well, so they are verified anew when
// they are needed, as of their certificate's time. Such an answer says how old it
// is: in the header "age", in a note on pages, and on the verification page.

import type { Report } from "../shared/report.ts";
import { type Asset, type AssetRequest, type Client, type KeptResponse, canister } from "./client.ts";
import { config } from "./config.ts";

const prefix = "portico kept ";
const cacheName = prefix + config().rootKey.slice(-64);

/** How old a certificate may be for its content to be shown without the network. */
const maxAgeMs = 7 * 24 * 3600_000;

// What is kept, at most. Long bodies come in parts that are certified each for
// itself and are not kept.
const maxKept = 200;
const maxBytes = 2 << 20;
/** The same URL is kept again after this time. */
const refreshMs = 60_000;

const requestHeader = "x-portico-request";
const responseHeader = "x-portico-response";

const keptAt = new Map<string, number>();

/** Keeps a verified answer if it can be verified again later. */
export async function keep(r: AssetRequest, asset: Asset): Promise<void> {
  const { report } = asset;
  if (r.method !== "GET" || asset.next || asset.status !== 200 || !report.certified || report.version !== 2) return;
  if (asset.body.length > maxBytes || asset.headers.some(([name, value]) => name.toLowerCase() === "cache-control" && /no-store/i.test(value))) return;
  if (Date.now() - (keptAt.get(r.url) ?? 0) < refreshMs) return;
  if (keptAt.size > 10 * maxKept) keptAt.clear();
  keptAt.set(r.url, Date.now());
  const cache = await caches.open(cacheName);
  const headers = { [requestHeader]: json(r.headers), [responseHeader]: json(asset.headers) };
  await cache.delete(r.url); // so that what was used last stands last
  await cache.put(r.url, new Response(asset.body, { headers }));
  const all = await cache.keys();
  for (const old of all.slice(0, Math.max(0, all.length - maxKept))) await cache.delete(old);
}

/** An answer that was verified now, and how old its certificate is. */
export interface Kept {
  asset: Asset;
  ageMs: number;
}

/** The kept answer to a request; undefined if there is none that may be shown. */
export async function keptAnswer(running: Client, r: AssetRequest): Promise<Kept | undefined> {
  if (r.method !== "GET") return undefined;
  const cache = await caches.open(cacheName);
  const found = await cache.match(r.url);
  if (!found) return undefined;
  try {
    const headers = parse(found.headers.get(requestHeader));
    const response: KeptResponse = { status: 200, headers: parse(found.headers.get(responseHeader)), body: new Uint8Array(await found.arrayBuffer()) };
    const report: Report = await running.verifyKept({ ...r, canister, headers }, response);
    const ageMs = Date.now() - (report.time ?? 0);
    if (report.certified && ageMs >= 0 && ageMs <= maxAgeMs) return { asset: { ...response, report }, ageMs };
  } catch {
    // not what the canister certified: a page may have written it
  }
  await cache.delete(r.url);
  return undefined;
}

/** Marks a response as one that may be out of date, for scripts and for people. */
export function marked(response: Response, ageMs: number, isPage: boolean): Response {
  const headers = new Headers(response.headers);
  headers.set("age", String(Math.floor(ageMs / 1000)));
  headers.set("cache-control", "no-store");
  headers.set("x-portico-kept", new Date(Date.now() - ageMs).toISOString());
  const isHTML = /^text\/html\b/i.test(headers.get("content-type") ?? "");
  if (!isPage || !isHTML || !response.body) return new Response(response.body, { status: response.status, headers });
  headers.delete("content-length");
  const body = response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({ flush: (c) => c.enqueue(new TextEncoder().encode(note(ageMs))) }),
  );
  return new Response(body, { status: response.status, headers });
}

// A dialog needs neither style nor script, which the page's policy may forbid.
const note = (ageMs: number): string => `
<dialog open aria-label="No connection" id="portico-kept"><form method="dialog"><p>The network cannot be reached. This is the page as
it was certified ${ageText(ageMs)} ago; it may be out of date.</p><button>Close</button></form></dialog>`;

function ageText(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  const [n, unit] = minutes < 1 ? [Math.floor(ms / 1000), "second"] : minutes < 120 ? [minutes, "minute"] : minutes < 2880 ? [Math.floor(minutes / 60), "hour"] : [Math.floor(minutes / 1440), "day"];
  return `${n} ${unit}${n === 1 ? "" : "s"}`;
}

/** Drops what is kept of other networks: no key of this one vouches for it. */
export async function dropForeign(): Promise<void> {
  for (const name of await caches.keys()) {
    if (name.startsWith(prefix) && name !== cacheName) await caches.delete(name);
  }
}

// Headers of responses hold bytes; what canisters say may be any text.
const json = (headers: [string, string][]): string => encodeURIComponent(JSON.stringify(headers));
const parse = (s: string | null): [string, string][] => JSON.parse(decodeURIComponent(s ?? "")) as [string, string][];
