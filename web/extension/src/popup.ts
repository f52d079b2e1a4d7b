// The popup: what was verified in the tab that the person looks at.

import { type Finding, type Verdict } from "./check.ts";
import { lines, pairs, put } from "./dom.ts";
import { settings } from "./networks.ts";
import { stateOf, type TabState, verdictOf } from "./tabs.ts";

const words: Record<Verdict, [title: string, text: string]> = {
  verified: ["Verified", "Everything that this page got is what its canister certified."],
  failed: ["Failed", "This page got something that its canister did not certify. Do not trust it."],
  dynamic: ["Verified in part", "What the canister certifies is as certified. Some answers it does not certify in advance, so nobody can vouch for them."],
  unchecked: ["Not checked", "Something on this page could not be checked."],
};

async function render(): Promise<void> {
  // A test opens this page in a tab and names the one to show.
  const named = new URLSearchParams(location.search).get("tab");
  const [active] = await chrome.tabs.query({ active: true, currentWindow: true });
  const state = await stateOf(named ? Number(named) : active?.id ?? -1);
  if (!state) {
    put("#verdict", "No canister");
    put("#text", "This page does not say that it comes from a canister, so there is nothing to check it by.");
    document.querySelector("#facts")!.replaceChildren();
    return;
  }
  const verdict = verdictOf(state);
  put("#verdict", words[verdict][0]);
  document.querySelector("#verdict")!.className = `verdict ${verdict}`;
  put("#text", words[verdict][1]);
  document.querySelector("#facts")!.replaceChildren(...pairs(await factsOf(state)));
  document.querySelector<HTMLElement>("#more")!.hidden = state.findings.length === 0;
  document.querySelector("#findings")!.replaceChildren(...state.findings.map(item));
}

async function factsOf(s: TabState): Promise<[string, string][]> {
  const c = s.counts;
  const facts: [string, string][] = [
    ["Canister", s.site.canister + (s.site.named === "gateway" ? ", as the gateway says: this address does not name it" : "")],
    ["Network", s.site.network?.name ?? "unknown: add its root key in the settings"],
  ];
  if (s.subnet) facts.push(["Subnet", s.subnet]);
  if (s.time) facts.push(["Certified", new Date(s.time).toLocaleString()]);
  facts.push(["Answers", `${c.verified} verified, ${c.failed} failed, ${c.dynamic} not certified, ${c.unchecked} not checked`]);
  facts.push(["Mode", (await settings()).strict ? "strict: held until verified" : "alongside"]);
  if (s.byWorker) facts.push(["Service worker", "this page came through one of its site"]);
  if (s.lightClient && s.lightClient.verdict !== "none") {
    const word = s.lightClient.verdict === "genuine" ? "genuine" : "NOT the known one";
    facts.push(["Gateway's light client", `${word}: ${s.lightClient.reason}`]);
  }
  return facts;
}

const marks: Record<Verdict, [string, string]> = { verified: ["Verified", "good"], failed: ["Failed", "bad"], dynamic: ["Not certified", "warn"], unchecked: ["Not checked", ""] };

function item(f: Finding): HTMLElement {
  const li = document.createElement("li");
  const mark = document.createElement("strong");
  [mark.textContent, mark.className] = marks[f.verdict];
  const url = new URL(f.url);
  li.append(mark, ` ${url.pathname}${url.search}`, ...lines(f.reason));
  return li;
}

document.querySelector("#options")!.addEventListener("click", () => chrome.runtime.openOptionsPage());
chrome.storage.session.onChanged.addListener(() => void render());
void render();
