// Shows what the service worker verified.

import { type Account, askForAccount, type Load } from "../shared/report.ts";

export async function showAccount(): Promise<void> {
  const registration = await navigator.serviceWorker?.getRegistration("/");
  const worker = registration?.active;
  if (!worker) {
    summarize("No light client is installed for this site in this browser. What it shows was verified by the gateway alone.", "bad");
    return;
  }
  show(await ask(worker));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) void ask(worker).then(show);
  });
}

function ask(worker: ServiceWorker): Promise<Account> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = (e: MessageEvent<Account>) => resolve(e.data);
    worker.postMessage(askForAccount, [port2]);
  });
}

function show(a: Account): void {
  const failed = a.loads.filter((l) => l.problem).length;
  const uncertified = a.loads.filter((l) => l.report && !l.report.certified).length;
  if (a.loads.length === 0) {
    summarize("The light client is installed and has not loaded anything yet.", "");
  } else if (failed > 0) {
    summarize(`${failed} of the last ${a.loads.length} loads could not be verified or answered.`, "bad");
  } else if (uncertified > 0) {
    summarize(`All of the last ${a.loads.length} loads were checked; for ${uncertified} the canister had opted out of certification.`, "bad");
  } else {
    summarize(a.loads.length === 1 ? "Verified: the last load." : `Verified: all of the last ${a.loads.length} loads.`, "good");
  }
  const facts = document.querySelector("#facts");
  facts?.replaceChildren(...pairs([
    ["Canister", a.canister],
    ["Subnet", a.loads.find((l) => l.report?.subnet)?.report?.subnet ?? "unknown yet"],
    ["Network's public key", a.rootKey],
    ["Light client", `SHA-256 ${a.wasmHash}`],
  ]));
  void workerHash().then((hash) => facts?.append(...pairs([["Service worker", hash]])));
  document.querySelector("#loads-section")?.removeAttribute("hidden");
  document.querySelector("#loads")?.replaceChildren(...a.loads.map(details));
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

function summarize(text: string, kind: "good" | "bad" | ""): void {
  const place = document.querySelector("#summary");
  if (!place) return;
  place.textContent = text;
  place.className = kind;
}

function details(l: Load): HTMLElement {
  const box = document.createElement("details");
  const head = document.createElement("summary");
  const mark = document.createElement("span");
  const [word, kind] = verdict(l);
  mark.textContent = word;
  mark.className = kind;
  head.append(mark, ` ${l.method} ${l.url}`);
  const list = document.createElement("dl");
  list.append(...pairs(factsOf(l)));
  box.append(head, list);
  return box;
}

function verdict(l: Load): [string, string] {
  if (l.problem) return [l.problem.title, "bad"];
  if (l.keptMs !== undefined) return ["Kept from before", "bad"];
  return l.report?.certified ? ["Verified", "good"] : ["Not certified", "bad"];
}

function factsOf(l: Load): [string, string][] {
  const facts: [string, string][] = [["Loaded", new Date(l.at).toLocaleString()], ["Status", String(l.status)]];
  if (l.problem) facts.push(["Reason", l.problem.reason]);
  if (!l.report) return facts;
  const r = l.report;
  facts.push(["Covered", r.scope]);
  if (r.time !== undefined) facts.push(["Certificate's time", new Date(r.time).toLocaleString()]);
  if (r.subnet) facts.push(["Subnet", r.subnet]);
  facts.push(["Certification", r.version === 0 ? "reply to an update call" : `version ${r.version}`]);
  if (r.exprPath.length > 0) facts.push(["Certified for", r.exprPath.join(" / ")]);
  if (r.expression) facts.push(["Rules", r.expression]);
  if (r.certifiedHeaders.length > 0) facts.push(["Headers", r.certifiedHeaders.join(", ")]);
  if (r.droppedHeaders.length > 0) facts.push(["Headers left out", r.droppedHeaders.join(", ")]);
  facts.push(["Size", `${l.bytes} bytes`], ["Time taken", timing(l)]);
  return facts;
}

function timing(l: Load): string {
  const r = l.report!;
  const parts = [`${r.totalMs.toFixed(1)} ms`, `of which waiting for the network ${r.networkMs.toFixed(1)} ms`];
  if (l.bootMs > 0) parts.push(`before that starting the light client ${l.bootMs.toFixed(0)} ms`);
  return parts.join(", ");
}

function pairs(facts: [string, string][]): HTMLElement[] {
  return facts.flatMap(([name, value]) => {
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = name;
    dd.textContent = value;
    return [dt, dd];
  });
}
