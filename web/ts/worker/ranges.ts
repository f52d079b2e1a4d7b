// Ranges of bodies, as videos ask for them when somebody seeks. Canisters certify
// their own pieces of a long body, not every range, so the worker asks for the
// pieces that cover the range, each verified before a byte of it is handed on, and cuts.

import type { Asset } from "./client.ts";

/** A range that a browser asks for; last is inclusive, absent for "to the end". */
export interface Wanted {
  first: number;
  last?: number;
  /** Counted from the end: the last so many bytes. */
  suffix?: number;
}

/** A single range; undefined for none, several, or what is no range of bytes. */
export function wantedRange(header: string | null): Wanted | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? "");
  if (!match) return undefined;
  const [, first = "", last = ""] = match;
  if (first === "") return last === "" ? undefined : { first: 0, suffix: Number(last) };
  if (last === "") return { first: Number(first) };
  return Number(last) < Number(first) ? undefined : { first: Number(first), last: Number(last) };
}

/** The bytes from first to last, inclusive, of a body of total. */
interface Span {
  first: number;
  last: number;
  total: number;
}

type Fetch = (range: string) => Promise<Asset>;

// The length of the first piece of each long body that was seen, and so of all but
// its last. It says where to ask, never what to believe.
const pieceLengths = new Map<string, number>();
const maxPieceLengths = 256;

/** What to answer a request for a range with, and what it was made of. */
export interface Ranged {
  response: Response;
  asset: Asset;
}

/** Answers a request for a range of the body at url; fetch gets the canister's answer to a Range header. */
export async function answerRange(url: string, wanted: Wanted, ifRange: string | null, fetch: Fetch): Promise<Ranged | undefined> {
  let length = pieceLengths.get(url);
  let asset: Asset | undefined;
  if (length === undefined || wanted.suffix !== undefined) {
    asset = await fetch("bytes=0-");
    if (asset.status === 200) return cutWhole(asset, wanted, ifRange);
    const span = spanOf(asset);
    if (!span) return undefined;
    length = span.last + 1;
    if (pieceLengths.size >= maxPieceLengths) pieceLengths.clear();
    pieceLengths.set(url, length);
    if (span.first !== 0) throw new Error("asked for the beginning of a body the canister gave another part");
    const range = resolve(wanted, span.total);
    if (!range) return { asset, response: unsatisfiable(span.total) };
    if (range.first <= span.last) return ranged(asset, span, range, ifRange, length, fetch);
    wanted = range;
  }
  const at = Math.floor(wanted.first / length) * length;
  asset = await fetch(`bytes=${at}-`);
  if (asset.status === 200) {
    pieceLengths.delete(url);
    return cutWhole(asset, wanted, ifRange);
  }
  const span = spanOf(asset);
  if (!span) return undefined;
  const range = resolve(wanted, span.total);
  if (!range) return { asset, response: unsatisfiable(span.total) };
  if (span.first > range.first || span.last < range.first) {
    pieceLengths.delete(url);
    throw new Error(`asked for byte ${range.first} the canister gave ${span.first} to ${span.last}`);
  }
  return ranged(asset, span, range, ifRange, length, fetch);
}

/** The part of a body that is wanted; undefined if it has no such part. */
function resolve(wanted: Wanted, total: number): Span | undefined {
  const first = wanted.suffix === undefined ? wanted.first : Math.max(0, total - wanted.suffix);
  const last = Math.min(wanted.last ?? total - 1, total - 1);
  return first > last || wanted.suffix === 0 ? undefined : { first, last, total };
}

/** A piece's place, by its certified header. */
function spanOf(asset: Asset): Span | undefined {
  if (asset.status !== 206) return undefined;
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(valueOf(asset, "content-range") ?? "");
  if (!match) throw new Error("a part of the body does not say which part it is");
  const [first, last, total] = match.slice(1).map(Number) as [number, number, number];
  if (last - first + 1 !== asset.body.length || last >= total) throw new Error("a part of the body is not the part that it says");
  return { first, last, total };
}

/** A response of the pieces from the one that holds the range's first byte on. */
function ranged(piece: Asset, span: Span, range: Span, ifRange: string | null, length: number, fetch: Fetch): Ranged {
  const tag = valueOf(piece, "etag");
  // Whoever has a part of another version must get the whole of this one.
  if (ifRange !== null && ifRange !== tag) range = { first: 0, last: range.total - 1, total: range.total };
  const whole = ifRange !== null && ifRange !== tag;
  let at = range.first;
  const part = (asset: Asset, s: Span): Uint8Array<ArrayBuffer> => {
    const bytes = asset.body.subarray(at - s.first, Math.min(s.last, range.last) + 1 - s.first);
    at += bytes.length;
    return bytes;
  };
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      if (at >= span.first && at <= span.last) {
        controller.enqueue(part(piece, span));
      } else {
        const next = await fetch(`bytes=${Math.floor(at / length) * length}-`);
        const s = spanOf(next);
        if (!s || s.total !== range.total || valueOf(next, "etag") !== tag || s.first > at || s.last < at) {
          throw new Error("the content changed while it was read");
        }
        controller.enqueue(part(next, s));
      }
      if (at > range.last) controller.close();
    },
  });
  return { asset: piece, response: new Response(stream, { status: whole ? 200 : 206, headers: headersOf(piece, range, whole) }) };
}

/** A range of a body that the canister gives only as a whole. */
async function cutWhole(asset: Asset, wanted: Wanted, ifRange: string | null): Promise<Ranged | undefined> {
  const encoding = valueOf(asset, "content-encoding") ?? "identity";
  // An encoded body has other bytes than the one that the browser counts in.
  if (encoding !== "identity" || (ifRange !== null && ifRange !== valueOf(asset, "etag"))) return undefined;
  const body = asset.next ? await joined(asset) : asset.body;
  const range = resolve(wanted, body.length);
  if (!range) return { asset, response: unsatisfiable(body.length) };
  const headers = headersOf(asset, range, false);
  return { asset, response: new Response(body.subarray(range.first, range.last + 1), { status: 206, headers }) };
}

async function joined(asset: Asset): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [asset.body];
  for (let part = await asset.next!(); part; part = await asset.next!()) parts.push(part);
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function headersOf(asset: Asset, range: Span, whole: boolean): Headers {
  const headers = new Headers();
  for (const [name, value] of asset.headers) {
    if (!["content-range", "content-length", "set-cookie", "transfer-encoding", "connection"].includes(name.toLowerCase())) {
      headers.append(name, value);
    }
  }
  headers.set("accept-ranges", "bytes");
  headers.set("content-length", String(range.last - range.first + 1));
  if (!whole) headers.set("content-range", `bytes ${range.first}-${range.last}/${range.total}`);
  return headers;
}

const unsatisfiable = (total: number): Response =>
  new Response(null, { status: 416, headers: { "content-range": `bytes */${total}` } });

const valueOf = (asset: Asset, name: string): string | undefined => asset.headers.find(([n]) => n.toLowerCase() === name)?.[1];
