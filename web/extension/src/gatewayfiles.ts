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
  if (script === "long") return { verdict: "unknown", reason: `its service worker is ${tooLong}` };
  // The first line is the gateway's configuration, the rest is the file of the build.
  const end = script.indexOf(10);
  const config = configOf(new TextDecoder().decode(script.subarray(0, end)));
  const out: LightClientFiles = { verdict: "unknown", reason: "", worker: await sha256(script.subarray(end + 1)) };
  if (!config) return { ...out, reason: "its configuration cannot be read" };
  out.rootKey = config.rootKey;
  const wasm = await load(origin + config.wasm);
  if (!wasm) return { ...out, reason: "its program is missing" };
  if (wasm === "long") return { ...out, reason: `its program is ${tooLong}` };
  out.wasm = await sha256(wasm);
  if (out.worker !== HASHES["sw.js"]) return { ...out, reason: "the service worker is not the one of this build" };
  if (out.wasm !== HASHES["client.wasm"]) return { ...out, reason: "the program is not the one of this build" };
  if (config.rootKey !== rootKey) return { ...out, reason: "its files are those of this build, but it is told to believe another root key" };
  return { ...out, verdict: "genuine", reason: "both files are those of this build, and it believes the same root key" };
}

/** What the first line configures; undefined for anything else, of which a gateway may think as it likes. */
function configOf(line: string): { rootKey: string; wasm: string } | undefined {
  try {
    const { rootKey, wasm } = JSON.parse(configuration.exec(line)?.[1] ?? "") as Record<string, unknown>;
    if (typeof rootKey === "string" && typeof wasm === "string" && wasm.startsWith("/_portico/")) return { rootKey, wasm };
  } catch {
    // no JSON
  }
  return undefined;
}

const tooLong = `longer than ${maxBytes >> 20} MiB`;

/** A file; "long" if it is longer than one may be, whatever it says of its length; undefined if there is none. */
async function load(url: string): Promise<Uint8Array<ArrayBuffer> | "long" | undefined> {
  const r = await fetch(url, { credentials: "omit", redirect: "error", cache: "no-cache" }).catch(() => undefined);
  if (!r?.ok || !r.body) return undefined;
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  try {
    for (const reader = r.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
      parts.push(value as Uint8Array<ArrayBuffer>);
      if ((length += value.length) <= maxBytes) continue;
      await reader.cancel();
      return "long";
    }
  } catch {
    return undefined; // it broke off
  }
}

const sha256 = async (b: Uint8Array<ArrayBuffer>): Promise<string> => hex(await crypto.subtle.digest("SHA-256", b));
