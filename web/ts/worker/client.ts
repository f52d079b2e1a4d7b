// The light client: Go, compiled to WebAssembly. The browser stops idle workers
// and forgets what they knew, so it starts when it is needed, as often as it takes.

import "wasm_exec";
import type { Report } from "../shared/report.ts";
import { config, hex, unhex } from "./config.ts";
import type { EarlyQuery } from "./early.ts";
import { parsePrincipal } from "../shared/principal.ts";
import type { Signed } from "../shared/signature.ts";

export interface AssetRequest {
  canister: string;
  method: string;
  url: string;
  headers: [string, string][];
  body: Uint8Array | null;
  early?: EarlyQuery | undefined;
}

export interface Asset {
  status: number;
  headers: [string, string][];
  body: Uint8Array<ArrayBuffer>;
  /** The next part of the body, null after the last; absent if body is all. */
  next?: () => Promise<Uint8Array<ArrayBuffer> | null>;
  report: Report;
}

/** A response that was verified once, to be verified again. */
export interface KeptResponse {
  status: number;
  headers: [string, string][];
  body: Uint8Array<ArrayBuffer>;
}

/** The object of portico/lightclient/wasm. */
interface Portico {
  configure(c: { rootKey: Uint8Array; host: string }): void;
  fetchAsset(r: AssetRequest): Promise<Asset>;
  verifyResponse(r: AssetRequest, response: KeptResponse, at: number): Promise<{ report: Report }>;
  /** Returns what is wrong with a signature of BLS, or nothing. */
  verifySignature(key: Uint8Array, message: Uint8Array, signature: Uint8Array): string;
  remembered(): Uint8Array<ArrayBuffer>;
  /** Returns why the state is not taken over, or nothing. */
  remember(state: Uint8Array): string;
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
  fetchAsset(r: AssetRequest): Promise<Asset>;
  /** Verifies a response as of its certificate's time, which the report tells. */
  verifyKept(r: AssetRequest, response: KeptResponse): Promise<Report>;
  /** Whether a signature of BLS is right. */
  isSigned(s: Signed): boolean;
  /** Keeps what the light client has verified of keys, for its next start. */
  save(): Promise<void>;
}

export const cacheName = "portico";

/** The canister of this origin. */
export const canister = canisterOf(location.hostname) ?? config().canister ?? "";

let running: Promise<Client> | undefined;
let isUp = false;

/** The running client; starts it if need be. */
export function client(): Promise<Client> {
  if (!running) {
    const starting = start(() => forget(starting));
    starting.then(() => (isUp = running === starting), () => forget(starting));
    running = starting;
  }
  return running;
}

/** Whether client() is there at once. */
export const isRunning = (): boolean => isUp;

// A client that ended or could not start makes room for the next attempt.
function forget(which: Promise<Client>): void {
  if (running !== which) return;
  running = undefined;
  isUp = false;
}

async function start(ended: () => void): Promise<Client> {
  const state = remembered();
  const go = new Go();
  const ready = new Promise<void>((resolve) => (globalThis.porticoReady = resolve));
  const instance = await WebAssembly.instantiate(await program(), go.importObject);
  // Requests that are under way when the program ends would wait for ever.
  const end = go.run(instance).then(() => {
    ended();
    throw new Error("the light client ended unexpectedly");
  });
  end.catch(() => {});
  await Promise.race([ready, end]);
  const portico = globalThis.portico;
  portico.configure({ rootKey: unhex(config().rootKey), host: location.origin });
  const saved = await state;
  if (saved) portico.remember(saved);
  return {
    fetchAsset: (r) => Promise.race([portico.fetchAsset(r), end]),
    verifyKept: async (r, response) => (await Promise.race([portico.verifyResponse(r, response, 0), end])).report,
    isSigned: ({ key, message, signature }) => portico.verifySignature(key, message, signature) === "",
    save: () => save(portico),
  };
}

// What the build of this script was made for: the light client's SHA-256 and, if it
// was pinned, the network's public key.
declare const LIGHT_CLIENT: string;
declare const ROOT_KEY: string;

/** Refuses a configuration that is not of this build. */
function checkConfig(): void {
  const { wasmHash, rootKey } = config();
  if (wasmHash !== LIGHT_CLIENT) throw new Error("this worker and the light client that the gateway names are not of the same build");
  if (ROOT_KEY && rootKey !== ROOT_KEY) throw new Error("the gateway is configured for another network than this worker was built for");
}

const isGenuine = async (b: ArrayBuffer) => hex(await crypto.subtle.digest("SHA-256", b)) === LIGHT_CLIENT;

// The program comes from the cache, where pages of this origin can write as well,
// so it is run only once its hash is right. Compiling it meanwhile does no harm.
// Browsers keep no compiled code of what workers find in caches, and streaming it from
// there takes longer than compiling the bytes.
async function program(): Promise<WebAssembly.Module> {
  checkConfig();
  const { wasm } = config();
  const cache = await caches.open(cacheName);
  const kept = await cache.match(wasm);
  if (kept) {
    const module = await compile(await kept.arrayBuffer());
    if (module) return module;
    await cache.delete(wasm);
  }
  const fetched = await fetch(wasm);
  if (!fetched.ok) throw new Error(`loading the light client: status ${fetched.status}`);
  const bytes = await fetched.arrayBuffer();
  const module = await compile(bytes);
  if (!module) throw new Error("the light client that arrived is not the one that this worker was built for");
  stored = cache.put(wasm, new Response(bytes, { headers: { "content-type": "application/wasm" } })).catch(() => {});
  return module;
}

/** Is done once a program that was loaded from the network is in the cache. */
export let stored: Promise<void> = Promise.resolve();

async function compile(bytes: ArrayBuffer): Promise<WebAssembly.Module | undefined> {
  const compiling = WebAssembly.compile(bytes).catch(() => undefined);
  return (await isGenuine(bytes)) ? compiling : undefined;
}

/** Deletes programs and remembered keys of other builds. */
export async function dropOldPrograms(): Promise<void> {
  const cache = await caches.open(cacheName);
  for (const request of await cache.keys()) {
    const { pathname, search } = new URL(request.url);
    const old = pathname.endsWith(".wasm") ? pathname !== config().wasm : pathname === memory && pathname + search !== memoryPlace();
    if (old) await cache.delete(request);
  }
}

// Verified delegations and keys, kept for one build and one network.
const memory = "/_portico/memory";
const memoryPlace = () => `${memory}?build=${LIGHT_CLIENT}&network=${config().rootKey}`;
let savedState = "";

async function remembered(): Promise<Uint8Array | undefined> {
  try {
    const kept = await (await caches.open(cacheName)).match(memoryPlace());
    return kept && new Uint8Array(await kept.arrayBuffer());
  } catch {
    return undefined;
  }
}

async function save(portico: Portico): Promise<void> {
  const state = portico.remembered();
  const sum = hex(await crypto.subtle.digest("SHA-256", state));
  if (sum === savedState) return;
  savedState = sum;
  await (await caches.open(cacheName)).put(memoryPlace(), new Response(state)).catch(() => {});
}

/**
 * The canister that a host name names. The worker reads it from its own address:
 * the gateway's word counts for names that do not contain one.
 */
function canisterOf(hostname: string): string | undefined {
  const label = hostname.split(".", 1)[0] ?? "";
  const name = label.slice(label.lastIndexOf("--") < 0 ? 0 : label.lastIndexOf("--") + 2);
  return parsePrincipal(name) ? name : undefined;
}
