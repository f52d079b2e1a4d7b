// The light client that a gateway serves to browsers without this extension, compared
// with the one that this very commit builds.

import { hex } from "./lightclient.ts";

export interface LightClientFiles {
  /** none: the gateway serves none. genuine: both files are those of this build. */
  verdict: "none" | "genuine" | "unknown";
  reason: string;
  worker?: string;
  wasm?: string;
  /** The root key that the worker is told to believe, hex. */
  rootKey?: string;
}

const workerPath = "/_portico/sw.js";
const configuration = /^self\.PORTICO=(\{.*\});$/;
const maxBytes = 8 << 20;

/** Fetches and hashes what the gateway of an origin serves. rootKey is the one that the person believes. */
export async function lightClientOf(origin: string, rootKey: string): Promise<LightClientFiles> {
  const script = await load(origin + workerPath);
  if (!script) return { verdict: "none", reason: "this gateway serves no light client" };
  // The first line is the gateway's configuration, the rest is the file of the build.
  const end = script.indexOf(10);
  let config: { rootKey?: string; wasm?: string } = {};
  try {
    config = JSON.parse(configuration.exec(new TextDecoder().decode(script.subarray(0, end)))?.[1] ?? "null") ?? {};
  } catch {
    // It stays without configuration and is refused below.
  }
  const out: LightClientFiles = { verdict: "unknown", reason: "", worker: await sha256(script.subarray(end + 1)) };
  if (config.rootKey) out.rootKey = config.rootKey;
  if (!config.wasm?.startsWith("/_portico/")) return { ...out, reason: "its configuration cannot be read" };
  const wasm = await load(origin + config.wasm);
  if (!wasm) return { ...out, reason: "its program is missing" };
  out.wasm = await sha256(wasm);
  if (out.worker !== HASHES["sw.js"]) return { ...out, reason: "the service worker is not the one of this build" };
  if (out.wasm !== HASHES["client.wasm"]) return { ...out, reason: "the program is not the one of this build" };
  if (config.rootKey !== rootKey) return { ...out, reason: "its files are those of this build, but it is told to believe another root key" };
  return { ...out, verdict: "genuine", reason: "both files are those of this build, and it believes the same root key" };
}

async function load(url: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const r = await fetch(url, { credentials: "omit", redirect: "error", cache: "no-cache" }).catch(() => undefined);
  if (!r?.ok || Number(r.headers.get("content-length") ?? 0) > maxBytes) return undefined;
  return new Uint8Array(await r.arrayBuffer());
}

const sha256 = async (b: Uint8Array<ArrayBuffer>): Promise<string> => hex(await crypto.subtle.digest("SHA-256", b));
