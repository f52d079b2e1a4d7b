// What is known of each tab. It outlives the worker in the browser's session storage.

import type { Finding, Verdict } from "./check.ts";
import type { LightClientFiles } from "./gatewayfiles.ts";
import type { Site } from "./networks.ts";

export interface TabState {
  /** Tells pages of one origin apart. */
  page?: string;
  origin: string;
  site: Site;
  counts: Record<Verdict, number>;
  /** The last ones, newest first; failures are kept before others. */
  findings: Finding[];
  subnet?: string;
  /** The oldest certificate, milliseconds since 1970. */
  time?: number;
  /** The page was not answered by the network but by a service worker of its origin. */
  byWorker: boolean;
  lightClient?: LightClientFiles;
}

const maxFindings = 40;
const key = (tab: number) => `tab ${tab}`;

export const fresh = (origin: string, site: Site, page?: string): TabState => ({
  ...(page && { page }), origin, site, counts: { verified: 0, failed: 0, dynamic: 0, unchecked: 0 }, findings: [], byWorker: false,
});

export async function stateOf(tab: number): Promise<TabState | undefined> {
  return (await chrome.storage.session.get(key(tab)))[key(tab)];
}

// One change of a tab's state at a time: each reads what the one before wrote.
const last = new Map<number, Promise<unknown>>();

/** Changes a tab's state; undefined removes it. Shows it on the button. */
export function change(tab: number, how: (s: TabState | undefined) => TabState | undefined): Promise<void> {
  const next = (last.get(tab) ?? Promise.resolve()).then(async () => {
    const s = how(await stateOf(tab));
    if (s) await chrome.storage.session.set({ [key(tab)]: s });
    else await chrome.storage.session.remove(key(tab));
    await show(tab, s);
  });
  const settled = next.catch(() => {});
  last.set(tab, settled);
  void settled.then(() => last.get(tab) === settled && last.delete(tab));
  return settled;
}

/** Adds a finding, unless the tab shows another site, or another page than the given one, by now. */
export const add = (tab: number, origin: string, site: Site, f: Finding, page?: string): Promise<void> =>
  change(tab, (old) => {
    const s = old ?? fresh(origin, site);
    if (s.origin !== origin || (page && s.page && s.page !== page)) return s;
    s.counts[f.verdict]++;
    s.findings.unshift(f);
    if (s.findings.length > maxFindings) {
      const spare = s.findings.findLastIndex((x) => x.verdict !== "failed");
      s.findings.splice(spare < 0 ? maxFindings : spare, 1);
    }
    if (f.subnet) s.subnet ??= f.subnet;
    if (f.time) s.time = Math.min(s.time ?? f.time, f.time);
    return s;
  });

/** The word on the whole page: that of the worst answer. */
export function verdictOf(s: TabState): Verdict {
  if (s.counts.failed > 0 || (s.byWorker && s.lightClient?.verdict === "unknown")) return "failed";
  if (s.counts.unchecked > 0 || s.counts.verified + s.counts.dynamic === 0) return "unchecked";
  return s.counts.dynamic > 0 ? "dynamic" : "verified";
}

const badges: Record<Verdict, [text: string, color: string, title: string]> = {
  verified: ["✓", "#0e6838", "everything on this page is as its canister certified it"],
  failed: ["!", "#a3201a", "this page got something that its canister did not certify"],
  dynamic: ["~", "#785000", "verified, but for answers that the canister does not certify"],
  unchecked: ["?", "#5a5867", "something on this page was not checked"],
};

/** Shows the state on the button. The browser clears it when the tab goes elsewhere. */
export async function show(tab: number, s: TabState | undefined): Promise<void> {
  const [text, color, title] = s ? badges[verdictOf(s)] : ["", "#5a5867", "this page is no canister's"];
  try {
    await chrome.action.setBadgeText({ tabId: tab, text });
    await chrome.action.setBadgeTextColor({ tabId: tab, color: "#ffffff" });
    await chrome.action.setBadgeBackgroundColor({ tabId: tab, color });
    await chrome.action.setTitle({ tabId: tab, title: `Portico: ${title}` });
  } catch {
    // The tab is closed.
  }
}
