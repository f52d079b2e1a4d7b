// One load as an element that opens: what was checked, what was not, and the facts.

import type { Load } from "../shared/report.ts";
import { age, checksOf, verdictOf } from "./checks.ts";
import { make, pairs } from "./dom.ts";

/** Loads have no numbers; two that agree in all of these look the same anyway. */
export const keyOf = (l: Load): string => `${l.at} ${l.method} ${l.url} ${l.destination}`;

export function loadElement(l: Load): HTMLDetailsElement {
  const [word, kind] = verdictOf(l);
  const box = make("details");
  box.append(make("summary", "", make("span", kind, word), ` ${l.method} ${l.url}`), make("h3", "", "Checks"), checkList(l), make("h3", "", "Facts"));
  const facts = make("dl", "", ...pairs(factsOf(l)));
  box.append(facts);
  return box;
}

const marks = { yes: "Checked: ", no: "Failed: ", open: "Not checked: " };

function checkList(l: Load): HTMLUListElement {
  const items = checksOf(l).map((c) => make("li", c.outcome, make("span", "unseen", marks[c.outcome]), make("strong", "", `${c.name}.`), ` ${c.text}`));
  return make("ul", "checks", ...items);
}

function factsOf(l: Load): [string, string][] {
  const facts: [string, string][] = [["Loaded", new Date(l.at).toLocaleString()]];
  if (l.status > 0) facts.push(["Status", String(l.status)]);
  if (l.problem) facts.push(["Reason", l.problem.reason]);
  const r = l.report;
  if (!r) return facts;
  facts.push(["Canister", r.canister], ["Covered", r.scope]);
  if (r.time !== undefined) facts.push(["Certificate's time", `${new Date(r.time).toLocaleString()}, ${age(l.at - r.time)} before the load`]);
  if (r.subnet) facts.push(["Subnet", r.subnet]);
  facts.push(["Certification", r.version === 0 ? (r.certified ? "reply to an update call" : "none") : `version ${r.version}`]);
  if (r.exprPath.length > 0) facts.push(["Certified for", r.exprPath.join(" / ")]);
  if (r.expression) facts.push(["Rules", r.expression]);
  facts.push(["Size", `${l.bytes} bytes`], ["Time taken", timing(l)]);
  return facts;
}

function timing(l: Load): string {
  const r = l.report!;
  const parts = [`${r.totalMs.toFixed(1)} ms`, `of which waiting for the network ${r.networkMs.toFixed(1)} ms`];
  if (l.bootMs > 0) parts.push(`before that starting the light client ${l.bootMs.toFixed(0)} ms`);
  return parts.join(", ");
}

/**
 * Brings a list of load elements up to date without touching those that are there, so
 * that what somebody opened, reads or has the focus on stays.
 */
export function showLoads(place: Element, loads: Load[]): void {
  const there = new Map([...place.children].map((e) => [(e as HTMLElement).dataset.key, e]));
  const wanted = new Set(loads.map(keyOf));
  for (const [key, e] of there) if (!wanted.has(key ?? "")) e.remove();
  let after: Element | null = null;
  for (const l of loads) {
    const key = keyOf(l);
    let e = there.get(key) ?? null;
    if (!e) {
      e = loadElement(l);
      (e as HTMLElement).dataset.key = key;
      if (after) after.after(e);
      else place.prepend(e);
      there.set(key, e);
    }
    after = e;
  }
}
