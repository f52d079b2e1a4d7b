// Verified answers that may be used again while they are fresh (RFC 9111, a private
// cache), for as long as the worker runs. Nobody but the worker can write its memory, so
// they are not verified anew.

import type { Asset, AssetRequest } from "./client.ts";

// What is held, at most.
const maxBytes = 16 << 20;
const maxBody = 2 << 20;

interface Held {
  asset: Asset;
  /** Milliseconds since 1970. */
  until: number;
}

/** By URL; what was used last stands last. */
const held = new Map<string, Held>();
let bytes = 0;

/** Holds a verified answer if the canister says for how long it is good. */
export function hold(r: AssetRequest, asset: Asset): void {
  const { report } = asset;
  if (r.method !== "GET" || asset.next || asset.status !== 200 || !report.certified || report.time === undefined) return;
  if (asset.body.length > maxBody || asset.headers.some(([name, value]) => refused(name.toLowerCase(), value.toLowerCase()))) return;
  const until = report.time + 1000 * maxAge(asset);
  if (until <= Date.now()) return;
  drop(r.url);
  held.set(r.url, { asset, until });
  bytes += sizeOf(asset);
  for (const url of held.keys()) {
    if (bytes <= maxBytes) break;
    drop(url);
  }
}

/** The answer to a request that is held and fresh. */
export function fresh(r: AssetRequest, cache: RequestCache): Asset | undefined {
  const found = held.get(r.url);
  if (!found || r.method !== "GET" || cache === "reload" || cache === "no-cache" || cache === "no-store" || r.headers.some(([name]) => asksAnew.has(name))) return undefined;
  held.delete(r.url);
  if (found.until <= Date.now()) {
    bytes -= sizeOf(found.asset);
    return undefined;
  }
  held.set(r.url, found);
  return found.asset;
}

/** Headers of requests whose answers are not those to a plain GET. */
const asksAnew = new Set(["authorization", "cache-control", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "pragma", "range"]);

function refused(name: string, value: string): boolean {
  if (name === "cache-control") return /no-store|no-cache/.test(value);
  // The worker asks for the same encodings every time. Cookies are set once for each answer.
  return (name === "vary" && value.trim() !== "accept-encoding") || name === "set-cookie";
}

/** Seconds for which an answer is good. */
function maxAge(asset: Asset): number {
  for (const [name, value] of asset.headers) {
    const [, seconds] = (name.toLowerCase() === "cache-control" && /(?:^|[\s,])max-age=(\d{1,9})/i.exec(value)) || [];
    if (seconds) return Number(seconds);
  }
  return 0;
}

function drop(url: string): void {
  const old = held.get(url);
  if (old && held.delete(url)) bytes -= sizeOf(old.asset);
}

const overhead = 1024;
const sizeOf = (asset: Asset): number => asset.body.length + overhead;
