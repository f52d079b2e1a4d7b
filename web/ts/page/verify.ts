// Shows what the service worker verified on this origin.

import type { Account } from "../shared/report.ts";
import { keepShowing } from "./account.ts";
import { summaryOf } from "./checks.ts";
import { make, pairs } from "./dom.ts";
import { showLoads } from "./load.ts";

export function showAccount(): void {
  const hash = code("not known yet");
  void workerHash().then((text) => (hash.textContent = text));
  keepShowing((a) => (a ? show(a, hash) : noClient()), () => true);
}

function noClient(): void {
  if (location.hostname.split(".")[1] === "raw") {
    summarize("Nothing: this address asks for answers that nobody compares with what the canister certified.", "bad");
    return;
  }
  summarize("No light client is installed for this site in this browser. What it shows was verified by the gateway alone.", "bad");
}

const code = (text: string) => make("code", "", text);

function show(a: Account, workerHash: Node): void {
  summarize(...summaryOf(a.loads));
  document.querySelector("#facts")?.replaceChildren(
    ...pairs([
      ["Canister", code(a.canister)],
      ["Subnet", code(a.loads.find((l) => l.report?.subnet)?.report?.subnet ?? "unknown yet")],
      ["Network's public key", code(a.rootKey)],
      ["Light client", code(`SHA-256 ${a.wasmHash}`)],
      ["Service worker", workerHash],
    ]),
  );
  document.querySelector("#loads-section")?.removeAttribute("hidden");
  const list = document.querySelector("#loads");
  if (list) showLoads(list, a.loads);
}

/**
 * The hash of the worker as the gateway serves it now, which is what the browser updates
 * to. The first line is the configuration; the rest is the file of the build.
 */
async function workerHash(): Promise<string> {
  try {
    const script = new Uint8Array(await (await fetch("/_portico/sw.js", { cache: "no-cache" })).arrayBuffer());
    const file = script.subarray(script.indexOf(10) + 1);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", file));
    return `SHA-256 ${Array.from(hash, (b) => b.toString(16).padStart(2, "0")).join("")}, without its first line, the configuration`;
  } catch {
    return "not available";
  }
}

/** The summary is announced, so it changes only if it says something else. */
function summarize(text: string, kind: string): void {
  const place = document.querySelector("#summary");
  if (!place || place.textContent === text) return;
  place.textContent = text;
  place.className = `lead ${kind}`;
}
