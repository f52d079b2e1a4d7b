// The extension's worker: watches what tabs get, checks it, and tells.

import { check, type Finding, ofGateway } from "./check.ts";
import { lightClientOf } from "./gatewayfiles.ts";
import { clientOf } from "./lightclient.ts";
import { type Headers, isGateways, settings, type Site, siteOf } from "./networks.ts";
import { isOurs, readBack } from "./readback.ts";
import { applyRules } from "./rules.ts";
import { attach, isAttached, stopAll, watchDebugger } from "./strict.ts";
import { add, change, fresh, show, stateOf } from "./tabs.ts";
import { cover } from "./warn.ts";

/** What the browser tells of an answer. */
interface Details {
  tabId: number;
  frameId: number;
  type: string;
  method: string;
  url: string;
  statusCode: number;
  responseHeaders?: { name: string; value?: string }[];
}

interface Commit {
  tabId: number;
  frameId: number;
  url: string;
  transitionQualifiers: string[];
}

interface Sender {
  tab?: { id: number };
  frameId?: number;
}

/**
 * Answers of the network with pages that are not there yet, by tab and frame. Only the
 * page itself can read its body back, so the check waits for it.
 */
const arriving = new Map<string, Details>();

/** A name for what each tab shows, so that late findings do not count for the page after. */
const pages = new Map<number, string>();

const headersOf = (d: Details): Headers => (d.responseHeaders ?? []).map((h) => [h.name, h.value ?? ""]);

const all = { urls: ["http://*/*", "https://*/*"] };

// The listeners are there as soon as the worker is: events wake it.
chrome.webRequest.onResponseStarted.addListener((d: Details) => {
  arriving.set(`${d.tabId} ${d.frameId}`, d);
  if (d.type !== "main_frame") return;
  pages.set(d.tabId, crypto.randomUUID());
  void begin(d);
}, { ...all, types: ["main_frame", "sub_frame"] }, ["responseHeaders", "extraHeaders"]);
chrome.webRequest.onCompleted.addListener((d: Details) => {
  if (d.type !== "main_frame" && d.type !== "sub_frame") void answered(d);
}, all, ["responseHeaders", "extraHeaders"]);
chrome.webNavigation.onCommitted.addListener((d: Commit) => {
  const key = `${d.tabId} ${d.frameId}`;
  const answer = arriving.get(key);
  arriving.delete(key);
  const seen = answer && new URL(answer.url).origin === new URL(d.url).origin ? answer : undefined;
  if (d.frameId === 0) void committed(d, seen);
  else if (seen) void answered(seen);
});
chrome.tabs.onRemoved.addListener((tab: number) => void change(tab, () => undefined));
chrome.storage.onChanged.addListener((_: unknown, area: string) => area === "local" && void configure());
chrome.runtime.onInstalled.addListener(() => void configure());
chrome.runtime.onStartup.addListener(() => void configure());
chrome.runtime.onMessage.addListener((m: { kind: string }, sender: Sender, reply: (v: unknown) => void) => {
  if (m.kind !== "attach" || !sender.tab) return false;
  hold(sender.tab.id, sender.frameId === 0).then(() => reply(true), (e) => reply(e instanceof Error ? e.message : String(e)));
  return true;
});
watchDebugger();

/** Any page can show opening.html in a frame, or link to it. */
async function hold(tab: number, whole: boolean): Promise<void> {
  if (!whole) throw new Error("it was opened inside another page.");
  if (!(await settings()).strict) throw new Error("strict mode is off.");
  await attach(tab);
}

async function configure(): Promise<void> {
  const s = await settings();
  if (!s.strict) await stopAll();
  await applyRules(s);
}

/** A new page is on its way into a tab. */
async function begin(d: Details): Promise<void> {
  if (d.tabId < 0) return;
  const s = await settings();
  if (s.strict && isAttached(d.tabId)) return;
  const url = new URL(d.url);
  const site = siteOf(url, headersOf(d), s.networks);
  await change(d.tabId, () => site && fresh(url.origin, site, pages.get(d.tabId)));
}

/** A page is there. seen: the network's answer with it, if there was one. */
async function committed(d: Commit, seen: Details | undefined): Promise<void> {
  const url = new URL(d.url);
  if (url.origin === chrome.runtime.getURL("").slice(0, -1)) return show(d.tabId, await stateOf(d.tabId));
  const s = await settings();
  const held = s.strict && isAttached(d.tabId);
  const site = siteOf(url, [], s.networks);
  if (!seen && !held) {
    // It came from the browser's memory, or a service worker of the site gave it.
    pages.set(d.tabId, crypto.randomUUID());
    const byWorker = !d.transitionQualifiers.includes("forward_back");
    await change(d.tabId, () => site && { ...fresh(url.origin, site, pages.get(d.tabId)), byWorker });
    if (site) void answered({ tabId: d.tabId, frameId: 0, type: "main_frame", method: "GET", url: d.url, statusCode: 200 }, true);
  }
  if (seen) void answered(seen);
  await change(d.tabId, (old) => (old?.origin === url.origin ? old : undefined));
  const state = await stateOf(d.tabId);
  if (state?.site.network) void examineGateway(d.tabId, url.origin, state.site.network.rootKey);
}

async function examineGateway(tab: number, origin: string, rootKey: string): Promise<void> {
  const lightClient = await lightClientOf(origin, rootKey);
  await change(tab, (s) => (s?.origin === origin ? { ...s, lightClient } : s));
}

/** An answer has arrived, and the page has it already: in strict mode it was checked before. */
async function answered(d: Details, byWorker = false): Promise<void> {
  if (d.tabId < 0) return;
  const page = pages.get(d.tabId);
  const s = await settings();
  if (s.strict && isAttached(d.tabId)) return;
  const url = new URL(d.url);
  if (isOurs(url)) return;
  const site = siteOf(url, headersOf(d), s.networks);
  const own = isGateways(url);
  if (!site || (own && !["main_frame", "sub_frame", "script"].includes(d.type))) return;
  const origin = d.type === "main_frame" ? url.origin : (await stateOf(d.tabId))?.origin ?? url.origin;
  const f = own ? ofGateway(url) : await examine(d, url, site, byWorker);
  await add(d.tabId, origin, site, f, page);
  if (f.verdict === "failed") await cover(d.tabId, url, site, f);
}

/** What browsers never ask for parts of. A part of a page or program would be another one. */
const wholes = ["main_frame", "sub_frame", "script", "stylesheet"];

async function examine(d: Details, url: URL, site: Site, byWorker: boolean): Promise<Finding> {
  const unchecked = (reason: string): Finding => ({ url: d.url, verdict: "unchecked", reason });
  if (!site.network) return unchecked("this is a local network, whose root key is not among the settings of this extension");
  if (d.method !== "GET") return unchecked(`answers to ${d.method} are checked in strict mode only: asking again could do it again`);
  try {
    const client = await clientOf(site.network, url.origin);
    const read = await readBack(d.tabId, d.frameId, d.url, byWorker);
    const headers = byWorker ? read.headers : headersOf(d);
    const f = await check(client, site, url, wholes.includes(d.type) ? "" : undefined, { status: d.statusCode, headers, body: read.body });
    return read.again && f.verdict === "verified" ? { ...f, reason: "the browser kept no copy, so the same was fetched again and compared" } : f;
  } catch (e) {
    return unchecked(e instanceof Error ? e.message : String(e));
  }
}
