// Taking a page away whose content is not what its canister certified. Another page
// in its place is beyond the reach of its scripts, as a cover inside it would not be.

import type { Finding } from "./check.ts";
import type { Site } from "./networks.ts";

export interface Warning {
  url: string;
  origin: string;
  canister: string;
  failed: string;
  reason: string;
  /** Nothing of it reached the page. */
  blocked: boolean;
}

/** Origins that the person wants to see all the same, until the browser is closed. */
const allowed = "allowed origins";

export async function isAllowed(origin: string): Promise<boolean> {
  return ((await chrome.storage.session.get(allowed))[allowed] ?? []).includes(origin);
}

export async function allow(origin: string): Promise<void> {
  const list: string[] = (await chrome.storage.session.get(allowed))[allowed] ?? [];
  await chrome.storage.session.set({ [allowed]: [...new Set([...list, origin])] });
}

/** Shows the warning in place of the page. */
export async function cover(tab: number, at: URL, site: Site, f: Finding, blocked = false): Promise<void> {
  if (await isAllowed(at.origin)) return;
  const shown = (await chrome.tabs.get(tab).catch(() => undefined))?.url as string | undefined;
  if (shown?.startsWith(chrome.runtime.getURL("warning.html"))) return;
  const page = blocked || !shown ? at.href : shown;
  const warning: Warning = { url: page, origin: at.origin, canister: site.canister, failed: f.url, reason: f.reason, blocked };
  const id = crypto.randomUUID();
  await chrome.storage.session.set({ [`warning ${id}`]: warning });
  await chrome.tabs.update(tab, { url: chrome.runtime.getURL(`warning.html#${id}`) }).catch(() => {});
}
