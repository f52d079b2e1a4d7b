// Shows what the service worker verified on this origin.

import type { Account } from "../shared/report.ts";
import { keepShowing } from "./account.ts";
import { summaryOf } from "./checks.ts";
import { make, pairs } from "./dom.ts";
import { showLoads } from "./load.ts";

export function showAccount(): void {
  keepShowing((a) => (a ? show(a) : noClient()), () => true);
}

function noClient(): void {
  if (location.hostname.split(".")[1] === "raw") {
    summarize("Nothing: this address asks for answers that nobody compares with what the canister certified.", "bad");
    return;
  }
  summarize("No light client is installed for this site in this browser. What it shows was verified by the gateway alone.", "bad");
}

const code = (text: string) => make("code", "", text);

function show(a: Account): void {
  summarize(...summaryOf(a.loads));
  document.querySelector("#facts")?.replaceChildren(
    ...pairs([
      ["Canister", code(a.canister)],
      ["Subnet", code(a.loads.find((l) => l.report?.subnet)?.report?.subnet ?? "unknown yet")],
      ["Network's public key", code(a.rootKey)],
      ["Light client", code(`SHA-256 ${a.wasmHash}`)],
      ...(a.hashes ?? []).map(([name, value]): [string, Node] => [name, code(value)]),
    ]),
  );
  document.querySelector("#loads-section")?.removeAttribute("hidden");
  const list = document.querySelector("#loads");
  if (list) showLoads(list, a.loads);
}

/** The summary is announced, so it changes only if it says something else. */
function summarize(text: string, kind: string): void {
  const place = document.querySelector("#summary");
  if (!place || place.textContent === text) return;
  place.textContent = text;
  place.className = `lead ${kind}`;
}
