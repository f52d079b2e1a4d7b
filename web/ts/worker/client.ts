// The light client: Go, compiled to WebAssembly. The browser stops idle workers
// and forgets what they knew, so it starts when it is needed, as often as it takes.

import "wasm_exec";
import type { Report } from "../shared/report.ts";
import { config, hex, unhex } from "./config.ts";

export interface AssetRequest {
  canister: string;
  method: string;
  url: string;
  headers: [string, string][];
  body: Uint8Array | null;
}

export interface Asset {
  status: number;
  headers: [string, string][];
  body: Uint8Array<ArrayBuffer>;
  /** The next part of the body, null after the last; absent if body is all. */
  next?: () => Promise<Uint8Array<ArrayBuffer> | null>;
  report: Report;
}

/** The object of portico/lightclient/wasm. */
interface Portico {
  configure(c: { rootKey: Uint8Array; host: string }): void;
  isPrincipal(text: string): boolean;
  fetchAsset(r: AssetRequest): Promise<Asset>;
}

interface GoRuntime {
  importObject: WebAssembly.Imports;
  run(instance: WebAssembly.Instance): Promise<void>;
}

declare global {
  var Go: new () => GoRuntime;
  var portico: Portico;
  var porticoReady: () => void;
}

export interface Client {
  canister: string;
  fetchAsset(r: AssetRequest): Promise<Asset>;
}

export const cacheName = "portico";

let running: Promise<Client> | undefined;

/** The running client; starts it if need be. */
export function client(): Promise<Client> {
  if (!running) {
    const starting = start(() => forget(starting));
    starting.catch(() => forget(starting));
    running = starting;
  }
  return running;
}

/** Whether client() is going to take a while. */
export const isRunning = (): boolean => running !== undefined;

// A client that ended or could not start makes room for the next attempt.
function forget(which: Promise<Client>): void {
  if (running === which) running = undefined;
}

async function start(ended: () => void): Promise<Client> {
  const go = new Go();
  const ready = new Promise<void>((resolve) => (globalThis.porticoReady = resolve));
  const { instance } = await WebAssembly.instantiate(await program(), go.importObject);
  // Requests that are under way when the program ends would wait for ever.
  const end = go.run(instance).then(() => {
    ended();
    throw new Error("the light client ended unexpectedly");
  });
  end.catch(() => {});
  await Promise.race([ready, end]);
  const portico = globalThis.portico;
  portico.configure({ rootKey: unhex(config().rootKey), host: location.origin });
  return {
    canister: canisterOf(location.hostname, portico) ?? config().canister ?? "",
    fetchAsset: (r) => Promise.race([portico.fetchAsset(r), end]),
  };
}

// The program comes from the cache, where pages of this origin can write as well,
// so it is believed by its hash alone.
async function program(): Promise<ArrayBuffer> {
  const { wasm, wasmHash } = config();
  const isGenuine = async (b: ArrayBuffer) => hex(await crypto.subtle.digest("SHA-256", b)) === wasmHash;
  const cache = await caches.open(cacheName);
  const kept = await cache.match(wasm);
  if (kept) {
    const bytes = await kept.arrayBuffer();
    if (await isGenuine(bytes)) return bytes;
    await cache.delete(wasm);
  }
  const fetched = await fetch(wasm);
  if (!fetched.ok) throw new Error(`loading the light client: status ${fetched.status}`);
  const bytes = await fetched.arrayBuffer();
  if (!(await isGenuine(bytes))) throw new Error("the light client that arrived is not the one that this worker was built for");
  await cache.put(wasm, new Response(bytes, { headers: { "content-type": "application/wasm" } }));
  return bytes;
}

/**
 * The canister that a host name names. The worker reads it from its own address:
 * the gateway's word counts for names that do not contain one.
 */
function canisterOf(hostname: string, portico: Portico): string | undefined {
  const label = hostname.split(".", 1)[0] ?? "";
  const name = label.slice(label.lastIndexOf("--") < 0 ? 0 : label.lastIndexOf("--") + 2);
  return portico.isPrincipal(name) ? name : undefined;
}
