// What was checked of a load and what was not, in sentences. They follow from what the
// light client reports (portico/lightclient/asset, Report) and must not say more.

import type { Load, Report } from "../shared/report.ts";

export interface Check {
  /** "yes": it held; "no": it failed, and nothing was shown; "open": nobody checked it. */
  outcome: "yes" | "no" | "open";
  name: string;
  text: string;
}

/** A word for a load, and how it is coloured. */
export function verdictOf(l: Load): [word: string, kind: "good" | "bad" | "warn"] {
  if (l.problem) return [l.problem.title, "bad"];
  if (l.keptMs !== undefined) return ["Kept from before", "warn"];
  return l.report?.certified ? ["Verified", "good"] : ["Not certified", "bad"];
}

export function checksOf(l: Load): Check[] {
  if (l.problem) return refused(l.problem);
  const r = l.report;
  if (!r) return [{ outcome: "open", name: "Everything", text: "Nothing is known of this load." }];
  if (!r.certified) {
    return [
      { outcome: "yes", name: "Node", text: "One node of the canister's subnet signed the answer, and the network vouches for its key." },
      {
        outcome: "open", name: "Answer",
        text: "The canister opted out of certification here. Status, headers and body are this one node's word: it could have sent anything.",
      },
    ];
  }
  const certificate: Check[] = [
    {
      outcome: "yes", name: "Signature",
      text: `Subnet ${r.subnet ?? ""} signed the certificate, and the network's public key vouches for the subnet's.`,
    },
    {
      outcome: "yes", name: "Delegation and range",
      text: "The subnet may speak for this canister: it is the root subnet, or the network delegated the canister's range to it.",
    },
    time(l, r),
  ];
  return [...certificate, ...(r.version === 0 ? reply() : r.version === 1 ? bodyAlone() : exchange(r))];
}

function refused(p: NonNullable<Load["problem"]>): Check[] {
  if (p.check) return [{ outcome: "no", name: "Refused", text: `The check that failed: ${p.check}. The answer was not shown.` }];
  return [{ outcome: "open", name: "No answer", text: "There was no answer of the canister to check, so nothing of it was shown." }];
}

function time(l: Load, r: Report): Check {
  if (l.keptMs !== undefined) {
    return {
      outcome: "open", name: "Time",
      text: `The network could not be reached. This is an answer from before, whose certificate was ${age(l.keptMs)} old; there may be a newer one.`,
    };
  }
  if (l.heldMs !== undefined) {
    return { outcome: "yes", name: "Time", text: `The answer was verified when it came. Its certificate is ${age(l.heldMs)} old, and the canister lets it be used again for longer than that.` };
  }
  const when = r.time === undefined ? "" : ` It was certified ${age(l.at - r.time)} before it was asked for.`;
  return { outcome: "yes", name: "Time", text: `The certificate is at most five minutes old, by this device's clock.${when}` };
}

const reply = (): Check[] => [
  { outcome: "yes", name: "Answer", text: "Status, headers and body are the reply to an update call, which the whole subnet ran and certified." },
];

const bodyAlone = (): Check[] => [
  { outcome: "yes", name: "Hash tree", text: "The tree of hashes that came along is the one that the canister certified." },
  { outcome: "yes", name: "Body", text: "The body is the certified one for this path (version 1)." },
  { outcome: "open", name: "Status and headers", text: "Version 1 certifies neither: whoever passed the answer on could have changed them." },
  { outcome: "open", name: "Request", text: "Method, parameters and headers of the request are not certified." },
];

function exchange(r: Report): Check[] {
  const headers = r.certifiedHeaders.length === 0 ? "No header is certified" : `Certified headers: ${r.certifiedHeaders.join(", ")}`;
  const checks: Check[] = [
    { outcome: "yes", name: "Hash tree", text: "The tree of hashes that came along is the one that the canister certified." },
    { outcome: "yes", name: "Path", text: `The answer is certified for ${r.exprPath.join(" / ")}, and there is no certified path that fits this address better.` },
    { outcome: "yes", name: "Rules", text: "The rules of what is certified are themselves certified (version 2)." },
    { outcome: "yes", name: "Answer", text: `Status and body are the certified ones. ${headers}.` },
  ];
  if (r.droppedHeaders.length > 0) {
    checks.push({ outcome: "open", name: "Left out", text: `These headers came uncertified and were not passed on: ${r.droppedHeaders.join(", ")}.` });
  }
  checks.push(
    r.scope === "the request and the response"
      ? { outcome: "yes", name: "Request", text: "The answer is certified for this request: its method, body, and the headers and parameters that the rules name." }
      : { outcome: "open", name: "Request", text: "The canister certified this answer for the path, whatever the method, parameters and headers of the request are." },
  );
  return checks;
}

/** How long something takes or took: "12 s", "3 min". Clocks differ, so it may be below zero. */
export function age(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 2 * 3600) return `${Math.round(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} days`;
}

/** A sentence about several loads. */
export function summaryOf(loads: Load[]): [text: string, kind: "good" | "bad" | "warn" | ""] {
  const n = loads.length;
  const failed = loads.filter((l) => l.problem).length;
  const kept = loads.filter((l) => l.keptMs !== undefined).length;
  const uncertified = loads.filter((l) => l.report && !l.report.certified).length;
  if (n === 0) return ["The light client is installed and has not loaded anything yet.", ""];
  if (failed > 0) return [`${failed} of the last ${n} loads could not be verified or answered.`, "bad"];
  if (uncertified > 0) return [`All of the last ${n} loads were checked; for ${uncertified} the canister had opted out of certification.`, "bad"];
  if (kept > 0) return [`All of the last ${n} loads are genuine, but ${kept} of them are from before: the network could not be reached.`, "warn"];
  return [n === 1 ? "Verified: the last load." : `Verified: all of the last ${n} loads.`, "good"];
}
