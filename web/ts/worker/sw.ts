/// <reference lib="webworker" />
// The service worker of a canister's origin. Whatever the browser loads from the
// origin, it asks the canister for through the network's API, verifies, and only
// then hands to the page. The API itself and what belongs to the gateway go past it.

import { type Account, askForAccount, type Load } from "../shared/report.ts";
import { acceptEncoding, responseOf } from "./answer.ts";
import { cacheName, client, isRunning } from "./client.ts";
import { config } from "./config.ts";
import { journal, record } from "./journal.ts";
import { problemOf, problemResponse } from "./problem.ts";

declare const self: ServiceWorkerGlobalScope;

self.addEventListener("install", (e) => {
  // A worker that cannot start the light client must not take over.
  e.waitUntil(client().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (e) => {
  e.waitUntil(dropOldPrograms().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (e) => {
  const url = new URL(e.request.url);
  if (url.origin !== location.origin || goesPast(e.request, url)) return;
  e.respondWith(answer(e, url));
});

self.addEventListener("message", (e) => {
  const port = e.ports[0];
  if (e.data !== askForAccount || !port) return;
  e.waitUntil(account().then((a) => port.postMessage(a)));
});

const directParameter = "_portico";

function goesPast(request: Request, url: URL): boolean {
  return (
    url.pathname.startsWith("/api/") ||
    url.pathname.startsWith("/_portico/") ||
    (request.mode === "navigate" && url.searchParams.has(directParameter)) ||
    (request.cache === "only-if-cached" && request.mode !== "same-origin")
  );
}

async function answer(e: FetchEvent, url: URL): Promise<Response> {
  const { request } = e;
  const started = performance.now();
  const wasRunning = isRunning();
  const load: Load = {
    at: Date.now(),
    method: request.method,
    url: url.pathname + url.search,
    destination: request.destination,
    bootMs: 0,
    status: 0,
    bytes: 0,
  };
  let canister = config().canister ?? "";
  let response: Response;
  try {
    const running = await client();
    canister = running.canister;
    if (!wasRunning) load.bootMs = performance.now() - started;
    const asset = await running.fetchAsset({
      canister,
      // HEAD is GET without the body, and canisters certify their answers to GET.
      method: request.method === "HEAD" ? "GET" : request.method,
      url: load.url,
      headers: headersOf(request, url),
      body: request.body === null && request.method === "GET" ? null : new Uint8Array(await request.arrayBuffer()),
    });
    load.report = asset.report;
    load.bytes = asset.body.length;
    response = await responseOf(asset, url, request.method);
  } catch (thrown) {
    load.problem = problemOf(thrown);
    response = problemResponse(load.problem, canister, request.mode === "navigate");
    // A local network that was set up anew has another key, which comes with the
    // next worker. The browser would look for it by itself, but takes its time.
    if (request.mode === "navigate") e.waitUntil(self.registration.update().catch(() => {}));
  }
  load.status = response.status;
  e.waitUntil(record(load));
  return response;
}

function headersOf(request: Request, url: URL): [string, string][] {
  const headers: [string, string][] = [["host", url.host]];
  request.headers.forEach((value, name) => {
    if (name !== "host" && name !== "accept-encoding") headers.push([name, value]);
  });
  headers.push(["accept-encoding", acceptEncoding]);
  return headers;
}

async function account(): Promise<Account> {
  const { rootKey, wasmHash } = config();
  const { canister } = await client();
  return { canister, rootKey, wasmHash, loads: await journal() };
}

async function dropOldPrograms(): Promise<void> {
  const cache = await caches.open(cacheName);
  for (const request of await cache.keys()) {
    const { pathname } = new URL(request.url);
    if (pathname.endsWith(".wasm") && pathname !== config().wasm) await cache.delete(request);
  }
}
