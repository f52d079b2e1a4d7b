// What the browser is told to do with requests by itself.

import { mainnet, type Settings } from "./networks.ts";

const askDirect = 1;
const openAttached = 2;

export async function applyRules(s: Settings): Promise<void> {
  const added = s.networks.flatMap((n) => n.domains);
  const rules: object[] = [];
  if (added.length > 0) {
    // Gateways of Portico would install their own light client. This one is enough, and does not come from them.
    rules.push({
      id: askDirect,
      condition: { requestDomains: added, resourceTypes: ["main_frame", "sub_frame"] },
      action: { type: "modifyHeaders", requestHeaders: [{ header: "cookie", operation: "append", value: "_portico=off" }] },
    });
  }
  await chrome.declarativeNetRequest.updateDynamicRules({ removeRuleIds: [askDirect], addRules: rules });
  await redirectUnattached(s, []);
}

/**
 * In strict mode a site opens only in tabs where answers are held. Others go through
 * opening.html, which has the debugger attached first.
 */
export async function redirectUnattached(s: Settings, attached: number[]): Promise<void> {
  const rule = {
    id: openAttached,
    condition: {
      regexFilter: "^https?://.*", requestDomains: [...mainnet.domains, ...s.networks.flatMap((n) => n.domains)],
      resourceTypes: ["main_frame"], ...(attached.length > 0 && { excludedTabIds: attached }),
    },
    action: { type: "redirect", redirect: { regexSubstitution: chrome.runtime.getURL("opening.html") + "#\\0" } },
  };
  await chrome.declarativeNetRequest.updateSessionRules({ removeRuleIds: [openAttached], addRules: s.strict ? [rule] : [] });
}
