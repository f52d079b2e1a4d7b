// From what a canister answered to what a browser takes.

import type { Asset } from "./client.ts";

const withoutBody = new Set([101, 204, 205, 304]);

/** The encodings that readable can undo; canisters are asked for these. */
export const acceptEncoding = "gzip, deflate, identity";

/** Makes a response for the request of the given URL. */
export async function responseOf(asset: Asset, url: URL, method: string): Promise<Response> {
  const headers = new Headers();
  let encoding = "";
  for (const [name, value] of asset.headers) {
    switch (name.toLowerCase()) {
      case "content-encoding":
        encoding = value.trim().toLowerCase();
        break;
      case "set-cookie": // responses of workers set no cookies, so the worker does
        await setCookie(value);
        break;
      case "location":
        headers.append(name, new URL(value, url).href);
        break;
      case "transfer-encoding":
      case "connection":
        break;
      default:
        headers.append(name, byteString(value));
    }
  }
  const init = { status: asset.status, headers };
  if (withoutBody.has(asset.status)) return new Response(null, init);
  if (encoding && encoding !== "identity") headers.delete("content-length");
  if (method === "HEAD") return new Response(null, init);
  return new Response(readable(asset, encoding), init);
}

/** Bodies are decoded here: the browser does that for the network only. */
function readable(asset: Asset, encoding: string): BodyInit {
  if (!asset.next && (!encoding || encoding === "identity")) return asset.body;
  const stream = streamOf(asset);
  switch (encoding) {
    case "":
    case "identity":
      return stream;
    case "gzip":
    case "deflate":
      return stream.pipeThrough(new DecompressionStream(encoding));
    default:
      throw new Error(`the body has the encoding ${encoding}, which nobody asked for`);
  }
}

function streamOf(asset: Asset): ReadableStream<Uint8Array<ArrayBuffer>> {
  const { next } = asset;
  return new ReadableStream({
    start(controller) {
      controller.enqueue(asset.body);
      if (!next) controller.close();
    },
    async pull(controller) {
      const part = await next!();
      if (part) controller.enqueue(part);
      else controller.close();
    },
  });
}

/** Values of headers are bytes to the browser, one per character. */
function byteString(s: string): string {
  return /^[\x00-\xff]*$/.test(s) ? s : String.fromCharCode(...new TextEncoder().encode(s));
}

type SameSite = "strict" | "lax" | "none";

interface Cookie {
  name: string;
  value: string;
  path?: string;
  expires?: number;
  sameSite?: SameSite;
}

/**
 * Sets a cookie as far as the browser lets workers do so. Cookies that scripts
 * must not see cannot be set from here and are left out.
 */
async function setCookie(header: string): Promise<void> {
  const store = (globalThis as { cookieStore?: { set(c: Cookie): Promise<void> } }).cookieStore;
  const [pair = "", ...attributes] = header.split(";");
  const equals = pair.indexOf("=");
  if (!store || equals < 1) return;
  const cookie: Cookie = { name: pair.slice(0, equals).trim(), value: pair.slice(equals + 1).trim() };
  for (const attribute of attributes) {
    const [key = "", value = ""] = attribute.split("=", 2).map((s) => s.trim());
    switch (key.toLowerCase()) {
      case "httponly":
        return;
      case "path":
        cookie.path = value;
        break;
      case "max-age":
        cookie.expires = Date.now() + 1000 * Number(value);
        break;
      case "expires":
        cookie.expires ??= Date.parse(value);
        break;
      case "samesite":
        if (/^(strict|lax|none)$/i.test(value)) cookie.sameSite = value.toLowerCase() as SameSite;
        break;
    }
  }
  await store.set(cookie).catch(() => {});
}
