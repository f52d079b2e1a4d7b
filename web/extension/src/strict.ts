// Strict mode: the browser's debugger holds every answer until it is verified. It is the
// only interface by which an extension can look at a body before the page does, and
// the browser says so in a bar above all pages for as long as it is used.

import type { Asset } from "../../ts/worker/client.ts";
import { bodyOf, check, type Finding, ofGateway } from "./check.ts";
import { clientOf } from "./lightclient.ts";
import { type Headers, isGateways, settings, type Site, siteOf } from "./networks.ts";
import { redirectUnattached } from "./rules.ts";
import { add, change, fresh, stateOf } from "./tabs.ts";
import { cover, isAllowed } from "./warn.ts";

/** What the debugger tells of a request that it holds. */
interface Paused {
  requestId: string;
  request: { url: string; method: string; headers: Record<string, string>; postDataEntries?: { bytes?: string }[] };
  resourceType: string;
  frameId: string;
  responseStatusCode?: number;
  responseErrorReason?: string;
  responseHeaders?: { name: string; value: string }[];
}

/**
 * Tabs to which the debugger is attached, and their main frames. The debugger keeps this
 * worker alive, so memory is enough.
 */
const attached = new Map<number, string>();

export const isAttached = (tab: number): boolean => attached.has(tab);

const send = (tab: number, method: string, parameters: object = {}): Promise<any> =>
  chrome.debugger.sendCommand({ tabId: tab }, method, parameters);

export async function attach(tab: number): Promise<void> {
  if (!attached.has(tab)) {
    await chrome.debugger.attach({ tabId: tab }, "1.3");
    // What a service worker of the site would answer comes from the site's gateway, too.
    await send(tab, "Network.enable");
    await send(tab, "Network.setBypassServiceWorker", { bypass: true });
    await send(tab, "Fetch.enable", { patterns: [{ urlPattern: "http*", requestStage: "Request" }] });
    const targets: { id: string; tabId?: number }[] = await chrome.debugger.getTargets();
    attached.set(tab, targets.find((t) => t.tabId === tab)?.id ?? "");
  }
  await redirectUnattached(await settings(), [...attached.keys()]);
}

export async function stopAll(): Promise<void> {
  for (const tab of attached.keys()) await chrome.debugger.detach({ tabId: tab }).catch(() => {});
  attached.clear();
}

export function watchDebugger(): void {
  chrome.debugger.onEvent.addListener((source: { tabId?: number }, method: string, p: unknown) => {
    if (method === "Fetch.requestPaused" && source.tabId !== undefined) void hold(source.tabId, p as Paused);
  });
  chrome.debugger.onDetach.addListener(async (source: { tabId?: number }) => {
    if (source.tabId === undefined) return;
    attached.delete(source.tabId);
    await redirectUnattached(await settings(), [...attached.keys()]);
  });
}

/** Decides about a request; whatever goes wrong, it does not go through unchecked. */
async function hold(tab: number, p: Paused): Promise<void> {
  try {
    await decide(tab, p);
  } catch {
    await send(tab, "Fetch.failRequest", { requestId: p.requestId, errorReason: "BlockedByClient" }).catch(() => {});
  }
}

async function decide(tab: number, p: Paused): Promise<void> {
  const { requestId } = p;
  const url = new URL(p.request.url);
  const headers: Headers = (p.responseHeaders ?? []).map((h) => [h.name, h.value]);
  const site = siteOf(url, headers, (await settings()).networks);
  const isAnswer = p.responseStatusCode !== undefined || p.responseErrorReason !== undefined;
  if (!isAnswer) {
    if (!site || isGateways(url) || !site.network || ["GET", "HEAD", "OPTIONS"].includes(p.request.method)) {
      return send(tab, "Fetch.continueRequest", { requestId, interceptResponse: true });
    }
    return answerItself(tab, p, url, site);
  }
  const own = isGateways(url);
  // Pages and scripts of the gateway's run as the site; what else it answers, the site's own scripts read.
  const harmless = own && p.resourceType !== "Document" && p.resourceType !== "Script";
  if (!site || harmless || p.responseErrorReason || p.request.method === "OPTIONS") {
    return send(tab, "Fetch.continueResponse", { requestId });
  }
  const f = own ? ofGateway(url) : await examine(tab, p, url, site, headers);
  const origin = await beginIfPage(tab, p, url, site);
  const through = f.verdict === "verified" || f.verdict === "dynamic" || (await isAllowed(url.origin));
  if (through) {
    await send(tab, "Fetch.continueResponse", { requestId });
    return add(tab, origin, site, f);
  }
  await send(tab, "Fetch.failRequest", { requestId, errorReason: "BlockedByClient" });
  await add(tab, origin, site, f);
  if (p.resourceType === "Document") await cover(tab, url, site, f, true);
}

/** The answer that is a tab's new page begins the tab's state. Returns the origin of the page. */
async function beginIfPage(tab: number, p: Paused, url: URL, site: Site): Promise<string> {
  if (p.resourceType !== "Document" || p.frameId !== attached.get(tab)) return (await stateOf(tab))?.origin ?? url.origin;
  await change(tab, () => fresh(url.origin, site));
  return url.origin;
}

async function examine(tab: number, p: Paused, url: URL, site: Site, headers: Headers): Promise<Finding> {
  if (!site.network) return { url: url.href, verdict: "unchecked", reason: "this is a local network, whose root key is not among the settings of this extension" };
  const client = await clientOf(site.network, url.origin);
  const status = p.responseStatusCode ?? 0;
  const bodiless = p.request.method === "HEAD" || (status >= 300 && status < 400);
  const range = Object.entries(p.request.headers).find(([n]) => n.toLowerCase() === "range")?.[1] ?? "";
  const body = bodiless ? undefined : await send(tab, "Fetch.getResponseBody", { requestId: p.requestId });
  const bytes = body && (body.base64Encoded ? Uint8Array.from(atob(body.body), (c) => c.charCodeAt(0)) : new TextEncoder().encode(body.body));
  const f = await check(client, site, url, range, { status, headers, body: bytes });
  // Status and headers are all that the browser uses of a redirect or of an answer to HEAD.
  return bodiless && f.verdict === "unchecked" && f.subnet ? { ...f, verdict: "verified", reason: "" } : f;
}

/** A request that does something is made once, by the light client: the reply to the call is certified. */
async function answerItself(tab: number, p: Paused, url: URL, site: Site): Promise<void> {
  const client = await clientOf(site.network!, url.origin);
  const body = (p.request.postDataEntries ?? []).map((e) => Uint8Array.from(atob(e.bytes ?? ""), (c) => c.charCodeAt(0)));
  const headers: Headers = Object.entries(p.request.headers).filter(([n]) => n.toLowerCase() !== "accept-encoding");
  headers.push(["host", url.host], ["accept-encoding", "identity"]);
  const page = { url: url.href, subnet: "", time: 0 };
  const origin = await beginIfPage(tab, p, url, site);
  let asset: Asset;
  try {
    asset = await client.ask({
      canister: site.canister, method: p.request.method, url: url.pathname + url.search, headers,
      body: new Uint8Array(await new Blob(body).arrayBuffer()),
    });
  } catch (thrown) {
    const reason = (thrown as { reason?: string } | null)?.reason ?? String(thrown);
    await send(tab, "Fetch.failRequest", { requestId: p.requestId, errorReason: "BlockedByClient" });
    return add(tab, origin, site, { url: page.url, verdict: "unchecked", reason });
  }
  const bytes = await bodyOf(asset);
  if (!bytes) throw new Error("the body is too long");
  const gone = ["content-encoding", "content-length", "transfer-encoding", "connection"];
  await send(tab, "Fetch.fulfillRequest", {
    requestId: p.requestId, responseCode: asset.status,
    responseHeaders: asset.headers.filter(([n]) => !gone.includes(n.toLowerCase())).map(([name, value]) => ({ name, value })),
    body: base64(bytes),
  });
  const f: Finding = { url: page.url, verdict: asset.report.certified ? "verified" : "dynamic", reason: "asked by this extension in the gateway's place" };
  if (asset.report.subnet) f.subnet = asset.report.subnet;
  if (asset.report.time) f.time = asset.report.time;
  await add(tab, origin, site, f);
}

function base64(b: Uint8Array): string {
  let text = "";
  for (let i = 0; i < b.length; i += 0x8000) text += String.fromCharCode(...b.subarray(i, i + 0x8000));
  return btoa(text);
}
