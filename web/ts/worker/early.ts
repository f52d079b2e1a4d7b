// The query for the request that woke the worker leaves while the light client
// still starts. These are the bytes that the light client would send itself; it
// takes the answer only if they are (portico/lightclient/wasm, early), so a
// difference costs time and nothing else.

import type { AssetRequest } from "./client.ts";
import { unhex } from "./config.ts";
import { parsePrincipal } from "../shared/principal.ts";

export interface EarlyQuery {
  body: Uint8Array;
  answer: Promise<{ status: number; body: Uint8Array }>;
}

/** Sends the query of a request; undefined if the canister's name is not one. */
export function earlyQuery(r: AssetRequest): EarlyQuery | undefined {
  const canister = parsePrincipal(r.canister);
  if (!canister) return undefined;
  const body = envelope(canister, httpRequest(r));
  const answer = send(`/api/v3/canister/${r.canister}/query`, body);
  answer.catch(() => {}); // whoever uses it sees the error
  return { body, answer };
}

async function send(path: string, body: Uint8Array<ArrayBuffer>): Promise<{ status: number; body: Uint8Array }> {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/cbor" },
    body,
    credentials: "omit",
    redirect: "error",
    cache: "no-store",
  });
  return { status: response.status, body: new Uint8Array(await response.arrayBuffer()) };
}

/** Collects bytes. */
class Bytes {
  private readonly parts: number[] = [];

  add(...bytes: number[]): this {
    this.parts.push(...bytes);
    return this;
  }

  /** In pieces, as calls take a limited number of arguments. */
  all(bytes: Uint8Array): this {
    for (const b of bytes) this.parts.push(b);
    return this;
  }

  done(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.parts);
  }
}

const utf8 = new TextEncoder();

// The light client's steps and distance of expiries (portico/lightclient, expiry).
const expiryStepMs = 10_000;
const ingressExpiryMs = 240_000;

/** An anonymous query in CBOR (interface specification, "HTTPS interface"). */
function envelope(canister: Uint8Array, arg: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Bytes();
  const head = (major: number, n: number) => {
    if (n < 24) out.add((major << 5) | n);
    else if (n < 0x100) out.add((major << 5) | 24, n);
    else if (n < 0x10000) out.add((major << 5) | 25, n >> 8, n & 0xff);
    else out.add((major << 5) | 26, n >>> 24, (n >> 16) & 0xff, (n >> 8) & 0xff, n & 0xff);
  };
  const bytes = (b: Uint8Array, major = 2) => {
    head(major, b.length);
    out.all(b);
  };
  const text = (s: string) => bytes(utf8.encode(s), 3);
  const expiryMs = Math.floor((Date.now() + ingressExpiryMs) / expiryStepMs) * expiryStepMs;
  out.add(0xd9, 0xd9, 0xf7);
  head(5, 1);
  text("content");
  head(5, 6);
  text("request_type");
  text("query");
  text("sender");
  bytes(Uint8Array.of(4));
  text("ingress_expiry");
  out.add(0x1b);
  const expiry = new DataView(new ArrayBuffer(8));
  expiry.setBigUint64(0, BigInt(expiryMs) * 1_000_000n);
  out.all(new Uint8Array(expiry.buffer));
  text("canister_id");
  bytes(canister);
  text("method_name");
  text("http_request");
  text("arg");
  bytes(arg);
  return out.done();
}

// The Candid types of http_request's argument: a record of url, method, body,
// headers and certificate_version, in the order of their hashes.
const types = unhex(
  "4449444c056c05efd6e40271e1edeb4a71a2f5ed880402c6a4a1980601b0f1b99806036d046d7b6e7a6c02007101710100",
);

function httpRequest(r: AssetRequest): Uint8Array {
  const out = new Bytes().all(types);
  const length = (n: number) => {
    for (; n > 0x7f; n >>>= 7) out.add((n & 0x7f) | 0x80);
    out.add(n);
  };
  const bytes = (b: Uint8Array) => {
    length(b.length);
    out.all(b);
  };
  bytes(utf8.encode(r.url));
  bytes(utf8.encode(r.method));
  bytes(r.body ?? new Uint8Array());
  length(r.headers.length);
  for (const [name, value] of r.headers) {
    bytes(utf8.encode(name));
    bytes(utf8.encode(value));
  }
  return out.add(1, 2, 0).done(); // certificate_version: opt 2
}
