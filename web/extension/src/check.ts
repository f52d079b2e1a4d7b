// Compares what a page was given with what the canister certified.

import type { Asset, AssetRequest } from "../../ts/worker/client.ts";
import type { Problem, Report } from "../../ts/shared/report.ts";
import type { Client } from "./lightclient.ts";
import { type Headers, type Site, valueOf } from "./networks.ts";

/**
 * verified: as the canister certified it. failed: not so. dynamic: the canister certifies
 * no such answer in advance, so nobody can say. unchecked: there was no way to compare.
 */
export type Verdict = "verified" | "failed" | "dynamic" | "unchecked";

export interface Finding {
  url: string;
  verdict: Verdict;
  /** For people: what differs, or why there is no verdict. */
  reason: string;
  subnet?: string;
  /** Of the certificate, milliseconds since 1970. */
  time?: number;
}

/** An answer as the page got it: decoded, if the browser decodes. */
export interface Delivered {
  status: number;
  headers: Headers;
  /** undefined: it cannot be read back. */
  body?: Uint8Array<ArrayBuffer> | undefined;
}

/** What a gateway answers in its own name, at the site's own address. */
export const ofGateway = (url: URL): Finding => ({
  url: url.href, verdict: "unchecked", reason: "it is the gateway's own: no canister certifies it, and here it could do whatever the site can",
});

/** Bodies are held in memory while they are compared. */
const maxBody = 64 << 20;

/** Headers by which an answer acts on the page or the browser: nobody but the canister may set them. */
const acting = ["refresh", "link", "location", "set-cookie", "content-disposition", "clear-site-data", "sourcemap", "service-worker-allowed"];

/** Headers that differ between encodings of the same content; those of the connection, and of certification itself. */
const ofEncoding = ["etag", "content-encoding", "content-length", "vary"];
const ofConnection = ["ic-certificate", "ic-certificateexpression", "content-length", "transfer-encoding", "connection", "date"];

/** Checks the answer to a GET request: for a range, or "" for the whole; undefined if nobody can tell which. */
export async function check(client: Client, site: Site, url: URL, range: string | undefined, delivered: Delivered): Promise<Finding> {
  const place = url.pathname + url.search;
  const own = await byItsOwnCertificate(client, site, url, delivered);
  if (own) return own;
  const encoding = encodingOf(delivered.headers);
  const known = encoding === "gzip" || encoding === "deflate";
  const headers: Headers = [["host", url.host], ["accept-encoding", known ? `${encoding}, identity` : "identity"]];
  if (range) headers.push(["range", range]);
  let asset: Asset;
  try {
    asset = await client.ask({ canister: site.canister, method: "GET", url: place, headers, body: null });
  } catch (thrown) {
    return unanswered(url, thrown, delivered.status);
  }
  const found = (verdict: Verdict, reason: string) => finding(url, verdict, reason, asset.report);
  const certified = asset.report.certified && asset.report.version !== 0;
  if (!certified) {
    const why = asset.report.version === 0 ? "the canister computes this answer anew for every request" : "the canister certifies that it does not certify this answer";
    const body = await bodyOf(asset);
    const agrees = body && delivered.body && equal(body, delivered.body) && asset.status === delivered.status;
    return found("dynamic", agrees ? `${why}; asked again, it gives the same` : why);
  }
  // A gateway may decode, or encode, what it verified; then the contents are compared.
  const different = differs(asset, delivered, range !== "", encodingOf(asset.headers) === encodingOf(delivered.headers));
  if (different) return found("failed", different);
  if (!delivered.body) return found("unchecked", "status and headers are as certified; the body could not be read back from the browser's cache");
  const body = await bodyOf(asset);
  if (!body) return found("unchecked", `the body is of an encoding, or of a length above ${maxBody} bytes, that cannot be compared`);
  if (!equal(partOf(body, asset.status, delivered), delivered.body)) return found("failed", "the body is not the one that the canister certified");
  return found("verified", "");
}

/**
 * An answer whose certificate holds needs no other witness. Where gateways add headers
 * that the canister's certificate does not allow for, it does not hold, and the network is asked.
 */
async function byItsOwnCertificate(client: Client, site: Site, url: URL, d: Delivered): Promise<Finding | undefined> {
  if (!d.body || valueOf(d.headers, "content-encoding") || !valueOf(d.headers, "ic-certificate")) return undefined;
  const request: AssetRequest = { canister: site.canister, method: "GET", url: url.pathname + url.search, headers: [["host", url.host]], body: null };
  try {
    const { headers, report } = await client.verify(request, d);
    if (!report.certified) return finding(url, "dynamic", "the canister certifies that it does not certify this answer", report);
    const extra = additional(headers, d.headers);
    return extra ? finding(url, "failed", extra, report) : finding(url, "verified", "", report);
  } catch {
    return undefined;
  }
}

function finding(url: URL, verdict: Verdict, reason: string, r?: Report): Finding {
  const out: Finding = { url: url.href, verdict, reason };
  if (r?.subnet) out.subnet = r.subnet;
  if (r?.time) out.time = r.time;
  return out;
}

/** The titles of problems that say nothing of the canister: its answer did not come. */
const ofTheWay = ["Network unreachable", "Network refused"];

function unanswered(url: URL, thrown: unknown, status: number): Finding {
  const p = thrown as Partial<Problem> | null;
  const reason = p?.reason ?? (thrown instanceof Error ? thrown.message : String(thrown));
  if (p?.title === "Verification failed") return finding(url, "failed", reason);
  // The network says that the canister answers nothing, and yet there is a page.
  if (p?.title && !ofTheWay.includes(p.title) && status < 400) return finding(url, "failed", `the canister gives no such answer: ${p.title}`);
  return finding(url, "unchecked", `${p?.title ?? "No answer of the network"}: ${reason}`);
}

/** What is wrong with status and headers, or "". */
function differs(asset: Asset, d: Delivered, mayBePart: boolean, sameEncoding: boolean): string {
  const cut = mayBePart && asset.status === 200 && d.status === 206; // a gateway may cut a range out of a verified whole
  if (asset.status !== d.status && !cut) return `the status is ${d.status}; certified is ${asset.status}`;
  for (const [name, value] of asset.headers) {
    const n = name.toLowerCase();
    if (ofConnection.includes(n) || n === "set-cookie" || (!sameEncoding && ofEncoding.includes(n))) continue;
    const all = d.headers.filter(([other]) => other.toLowerCase() === n).map(([, v]) => v);
    if (!all.includes(value)) return `the header ${n} is ${all.length ? JSON.stringify(all.join(", ")) : "missing"}; certified is ${JSON.stringify(value)}`;
  }
  return additional(asset.headers, d.headers);
}

/** Names a header that acts on the page and is not the canister's, or gives "". Of several content types, browsers take the last. */
function additional(certified: Headers, delivered: Headers): string {
  for (const [name, value] of delivered) {
    const n = name.toLowerCase();
    const own = certified.filter(([other]) => other.toLowerCase() === n).map(([, v]) => v);
    const acts = acting.includes(n) || (n === "content-type" && own.length > 0);
    if (acts && !own.includes(value) && own.join(", ") !== value) return `the header ${n} is not the canister's`;
  }
  return "";
}

/** The part of a whole body that a partial answer claims to be. */
function partOf(body: Uint8Array<ArrayBuffer>, status: number, d: Delivered): Uint8Array<ArrayBuffer> {
  const m = /^bytes (\d+)-(\d+)\/\d+$/.exec(valueOf(d.headers, "content-range") ?? "");
  return status === 200 && d.status === 206 && m ? body.subarray(Number(m[1]), Number(m[2]) + 1) : body;
}

/** The whole body, decoded as browsers do; undefined if it cannot be had. */
export async function bodyOf(asset: Asset): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const parts = [asset.body];
  let length = asset.body.length;
  if (asset.next) {
    for (let part = await asset.next(); part; part = await asset.next()) {
      if ((length += part.length) > maxBody) return undefined;
      parts.push(part);
    }
  }
  const blob = new Blob(parts);
  const encoding = encodingOf(asset.headers);
  if (encoding === "") return new Uint8Array(await blob.arrayBuffer());
  if (encoding !== "gzip" && encoding !== "deflate") return undefined;
  const decoded = new Uint8Array(await new Response(blob.stream().pipeThrough(new DecompressionStream(encoding))).arrayBuffer());
  return decoded.length > maxBody ? undefined : decoded;
}

function encodingOf(headers: Headers): string {
  const name = valueOf(headers, "content-encoding")?.trim().toLowerCase() ?? "";
  return name === "identity" ? "" : name;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}
