// The light client: the same Go program as in service workers. The browser ends an
// idle extension worker after half a minute, so it starts when it is needed.

import "wasm_exec";
import type { Asset, AssetRequest } from "../../ts/worker/client.ts";
import type { Report } from "../../ts/shared/report.ts";
import { type Headers, type Network } from "./networks.ts";

interface Program {
  configure(c: { rootKey: Uint8Array; host: string }): void;
  fetchAsset(r: AssetRequest): Promise<Asset>;
  verifyResponse(r: AssetRequest, response: object): Promise<{ headers: Headers; report: Report }>;
}

/** A light client for one network, which asks one place. */
export interface Client {
  /** Asks the network for what a canister answers, and verifies it. */
  ask(r: AssetRequest): Promise<Asset>;
  /** Verifies an answer by the certificate that it carries. */
  verify(r: AssetRequest, response: object): Promise<{ headers: Headers; report: Report }>;
}

const running = new Map<string, Promise<Client>>();
/** Programs hold tens of megabytes each, so there are few at a time. */
const maxRunning = 3;

export const unhex = (s: string): Uint8Array<ArrayBuffer> => Uint8Array.from(s.match(/../g) ?? [], (x) => parseInt(x, 16));

export const hex = (b: ArrayBuffer | Uint8Array): string =>
  Array.from(new Uint8Array(b as ArrayBuffer), (x) => x.toString(16).padStart(2, "0")).join("");

/** The client of a network for a site at the given origin. */
export function clientOf(network: Network, origin: string): Promise<Client> {
  const host = network.api || origin;
  const key = `${network.rootKey} ${host}`;
  let client = running.get(key);
  if (!client) {
    const forget = () => running.get(key) === client && running.delete(key);
    client = start(unhex(network.rootKey), host, forget);
    client.catch(forget);
    if (running.size >= maxRunning) running.delete(running.keys().next().value!);
    running.set(key, client);
  }
  return client;
}

// Programs start one after the other: each announces itself in the global scope.
let starting: Promise<unknown> = Promise.resolve();

function start(rootKey: Uint8Array, host: string, ended: () => void): Promise<Client> {
  const client = starting.then(() => launch(rootKey, host, ended));
  starting = client.catch(() => {});
  return client;
}

let compiled: Promise<WebAssembly.Module> | undefined;

async function launch(rootKey: Uint8Array, host: string, ended: () => void): Promise<Client> {
  const scope = globalThis as unknown as { Go: new () => { importObject: WebAssembly.Imports; run(i: WebAssembly.Instance): Promise<void> }; portico: Program; porticoReady: () => void };
  compiled ??= WebAssembly.compileStreaming(fetch(chrome.runtime.getURL("client.wasm")));
  compiled.catch(() => (compiled = undefined));
  const go = new scope.Go();
  const ready = new Promise<void>((resolve) => (scope.porticoReady = resolve));
  const instance = await WebAssembly.instantiate(await compiled, go.importObject);
  const end = go.run(instance).then(() => {
    ended();
    throw new Error("the light client ended unexpectedly");
  });
  end.catch(() => {});
  await Promise.race([ready, end]);
  const program = scope.portico;
  program.configure({ rootKey, host });
  return {
    ask: (r) => Promise.race([program.fetchAsset(r), end]),
    verify: (r, response) => Promise.race([program.verifyResponse(r, response), end]),
  };
}
