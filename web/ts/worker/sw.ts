/// <reference lib="webworker" />
// The service worker of a canister's origin. Whatever the browser loads from the
// origin, it asks the canister for through the network's API, verifies, and only
// then hands to the page. The API itself and what belongs to the gateway go past it.

import { type Account, askForAccount, type Load, type Problem } from "../shared/report.ts";
import { acceptEncoding, responseOf } from "./answer.ts";
import { type Asset, type AssetRequest, canister, type Client, client, dropOldPrograms, isRunning, stored } from "./client.ts";
import { config } from "./config.ts";
import { earlyQuery } from "./early.ts";
import { fresh, hold } from "./fresh.ts";
import { journal, record } from "./journal.ts";
import { dropForeign, keep, keptAnswer, marked } from "./kept.ts";
import { problemOf, problemResponse } from "./problem.ts";
import { answerRange, wantedRange } from "./ranges.ts";
import { questionOf } from "../shared/signature.ts";

declare const self: ServiceWorkerGlobalScope;

// The browser wakes this worker because it needs it, so the light client starts
// before the event arrives. Whoever needs it sees why it could not.
client().catch(() => {});

interface RouterRule {
  condition: { urlPattern: string };
  source: "network";
}

self.addEventListener("install", (e) => {
  // Newer browsers need not even ask this worker about what goes past it.
  const rules = ["/api/*", "/_portico/*"].map((path): RouterRule => ({ condition: { urlPattern: path }, source: "network" }));
  e.waitUntil((e as ExtendableEvent & { addRoutes?(rules: RouterRule[]): Promise<void> }).addRoutes?.(rules) ?? Promise.resolve());
  // A worker that cannot start the light client must not take over.
  e.waitUntil(client().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (e) => {
  e.waitUntil(self.clients.claim());
  e.waitUntil(stored.then(dropOldPrograms).then(dropForeign));
});

self.addEventListener("fetch", (e) => {
  const url = new URL(e.request.url);
  if (url.origin !== location.origin || goesPast(e.request, url)) return;
  e.respondWith(answer(e, url));
});

self.addEventListener("message", (e) => {
  const port = e.ports[0];
  if (!port) return;
  if (e.data === askForAccount) e.waitUntil(account().then((a) => port.postMessage(a)));
  const question = questionOf(e.data);
  if (question) e.waitUntil(client().then((c) => port.postMessage(c.isSigned(question))));
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
  const isPage = request.mode === "navigate";
  const started = performance.now();
  const load: Load = {
    at: Date.now(),
    method: request.method,
    url: url.pathname + url.search,
    destination: request.destination,
    bootMs: 0,
    status: 0,
    bytes: 0,
  };
  let response: Response;
  let asked: AssetRequest | undefined;
  try {
    asked = await assetRequest(request, url);
    response = await verified(e, asked, url, load, started);
  } catch (thrown) {
    const kept = asked && isUnreachable(thrown) ? await client().then((c) => keptAnswer(c, asked!)).catch(() => undefined) : undefined;
    if (kept) {
      load.report = kept.asset.report;
      load.bytes = kept.asset.body.length;
      load.keptMs = kept.ageMs;
      response = marked(await responseOf(kept.asset, url, request.method), kept.ageMs, isPage);
    } else {
      load.problem = problemOf(thrown);
      response = problemResponse(load.problem, canister, isPage);
      // A local network that was set up anew has another key, which comes with the
      // next worker. The browser would look for it by itself, but takes its time.
      if (isPage) e.waitUntil(self.registration.update().catch(() => {}));
    }
  }
  load.status = response.status;
  e.waitUntil(record(load));
  return response;
}

/** Answers with what is held and fresh, else with what the network says; throws if neither can be shown. */
async function verified(e: FetchEvent, asked: AssetRequest, url: URL, load: Load, started: number): Promise<Response> {
  const { request } = e;
  const range = request.method === "GET" ? wantedRange(request.headers.get("range")) : undefined;
  const held = fresh(asked, request.cache);
  if (held) {
    load.report = held.report;
    load.bytes = held.body.length;
    load.heldMs = Math.max(0, load.at - (held.report.time ?? 0));
    const again = await responseOf(held, url, request.method);
    again.headers.set("age", String(Math.floor(load.heldMs / 1000)));
    return again;
  }
  if (!isRunning()) {
    if (asked.body === null && !range) asked.early = earlyQuery(asked);
    await client();
    load.bootMs = performance.now() - started;
  }
  const running = await client();
  const shown = range && (await ranged(running, asked, range, request));
  const asset = shown?.asset ?? (await running.fetchAsset(range ? withoutRange(asked) : asked));
  load.report = asset.report;
  load.bytes = asset.body.length;
  const response = shown?.response ?? (await responseOf(asset, url, request.method));
  if (!range) {
    hold(asked, asset);
    e.waitUntil(keep(asked, asset).catch(() => {})); // there may be no room
  }
  e.waitUntil(running.save());
  return response;
}

async function assetRequest(request: Request, url: URL): Promise<AssetRequest> {
  return {
    canister,
    // HEAD is GET without the body, and canisters certify their answers to GET.
    method: request.method === "HEAD" ? "GET" : request.method,
    url: url.pathname + url.search,
    headers: headersOf(request, url),
    body: request.method === "GET" || request.method === "HEAD" ? null : new Uint8Array(await request.arrayBuffer()),
  };
}

function headersOf(request: Request, url: URL): [string, string][] {
  const headers: [string, string][] = [["host", url.host]];
  request.headers.forEach((value, name) => {
    if (name !== "host" && name !== "accept-encoding") headers.push([name, value]);
  });
  headers.push(["accept-encoding", acceptEncoding]);
  return headers;
}

function ranged(running: Client, asked: AssetRequest, range: NonNullable<ReturnType<typeof wantedRange>>, request: Request) {
  const whole = withoutRange(asked);
  return answerRange(asked.url, range, request.headers.get("if-range"), (piece): Promise<Asset> =>
    running.fetchAsset({ ...whole, headers: [...whole.headers, ["range", piece]] }));
}

/** The same request for the whole body, unencoded, as ranges count the bytes of that. */
function withoutRange(r: AssetRequest): AssetRequest {
  const left = ["range", "if-range", "accept-encoding"];
  return { ...r, headers: [...r.headers.filter(([name]) => !left.includes(name)), ["accept-encoding", "identity"]] };
}

/** Whether the network gave no answer at all, rather than one that was refused. */
function isUnreachable(thrown: unknown): boolean {
  const { failed } = (thrown ?? {}) as Partial<Problem>;
  return failed === "network" || failed === "timeout";
}

async function account(): Promise<Account> {
  const { rootKey, wasmHash } = config();
  return { canister, rootKey, wasmHash, loads: await journal() };
}
