// A button for the corner of any site, which opens what was verified for the page that
// one looks at:
//
//   <script src="/_portico/panel.js" defer></script>
//
// It lives in a closed shadow root, so that styles of the site do not reach it. A site could
// still draw a button of its own that says anything, which the panel says, too: the
// page /_portico/verify is not the site's.

import type { Account, Load } from "../shared/report.ts";
import style from "../../../gateway/page/style.css";
import { isLightClient, keepShowing } from "./account.ts";
import { summaryOf } from "./checks.ts";
import { make, pairs } from "./dom.ts";
import { showLoads } from "./load.ts";

const own = `
:host { all: initial; color-scheme: light dark; color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
.open { position: fixed; right: 1rem; bottom: 1rem; z-index: 2147483647; padding: .4rem .9rem; border: 1px solid var(--line); border-radius: 2rem;
  background: var(--card); color: var(--ink); font: 600 .875rem/1.4 system-ui, sans-serif; box-shadow: 0 .15rem .7rem #0003; cursor: pointer; }
.open::before { content: "" / ""; display: inline-block; width: .6em; height: .6em; margin-right: .5em; border-radius: 50%; background: var(--quiet); }
.open.good::before { background: var(--good); }
.open.warn::before { background: var(--warn); }
.open.bad::before { background: var(--bad); }
dialog { width: min(40rem, calc(100vw - 2rem)); max-height: calc(100vh - 2rem); padding: 1.25rem; overflow: auto; overscroll-behavior: contain;
  border: 1px solid var(--line); border-radius: .9rem; background: var(--paper); color: var(--ink); }
dialog::backdrop { background: #0007; }
.top { display: flex; gap: 1rem; align-items: start; justify-content: space-between; }
.top h2 { margin: 0 0 .75rem; }
@media print { .open { display: none; } }
`;

/** What is known of this page before anybody was asked. */
type Standing = "worker" | "gateway" | "raw";

function standing(): Standing {
  if (isLightClient(navigator.serviceWorker?.controller)) return "worker";
  return location.hostname.split(".")[1] === "raw" ? "raw" : "gateway";
}

const unverified: Record<Exclude<Standing, "worker">, [button: string, text: string]> = {
  gateway: [
    "Verified by the gateway",
    "No light client is at work on this page, so your browser has checked nothing. The gateway says that it checked the answers before it passed them on: you have its word, and that of the connection to it.",
  ],
  raw: [
    "Not verified",
    "This address asks for answers that nobody compares with what the canister certified. They are one node's word, passed on by the gateway.",
  ],
};

/** The loads that this page caused, as far as the browser tells. */
function ofThisPage(loads: Load[]): Load[] {
  const urls = new Set([location.pathname + location.search]);
  for (const e of performance.getEntriesByType("resource")) {
    const url = new URL(e.name);
    if (url.origin === location.origin) urls.add(url.pathname + url.search);
  }
  // The clock of performance and that of dates may be apart by some milliseconds.
  return loads.filter((l) => l.at >= performance.timeOrigin - 250 && urls.has(l.url));
}

function build(): void {
  const host = make("div");
  const root = host.attachShadow({ mode: "closed" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(style.replace(":root", ":host") + own);
  root.adoptedStyleSheets = [sheet];

  const button = make("button", "open", "What was verified");
  button.type = "button";
  button.setAttribute("aria-haspopup", "dialog");
  const title = make("h2", "", "What was verified for this page");
  title.id = "title";
  const close = make("button", "button plain", "Close");
  close.type = "button";
  const summary = make("p", "lead", "Asking the light client in this browser.");
  summary.setAttribute("role", "status");
  const facts = make("dl");
  const list = make("div");
  const more = make("a", "", "The account of the whole site, and what you rely on");
  more.href = "/_portico/verify";
  const dialog = make(
    "dialog", "", make("div", "top", title, close), summary, facts, list, make("p", "", more),
    make("p", "quiet", "A site can draw a panel like this one itself. The page behind the link is not made by the site."),
  );
  dialog.setAttribute("aria-labelledby", title.id);
  root.append(button, dialog);
  button.addEventListener("click", () => dialog.showModal());
  close.addEventListener("click", () => dialog.close());

  const say = (word: string, text: string, kind: string) => {
    if (button.textContent !== word) button.textContent = word;
    button.className = `open ${kind}`;
    if (summary.textContent !== text) summary.textContent = text;
    summary.className = `lead ${kind}`;
  };
  const show = (a: Account | undefined) => {
    const how = standing();
    if (how !== "worker" || !a) {
      say(...(how === "worker" ? silent : [...unverified[how], how === "raw" ? "bad" : "warn"] as const));
      facts.replaceChildren();
      return;
    }
    const loads = ofThisPage(a.loads);
    const [text, kind] = loads.length > 0 ? summaryOf(loads) : forgotten;
    say(kind === "good" ? "Verified in this browser" : kind === "warn" ? "Partly verified" : kind === "bad" ? "Not all verified" : "What was verified", text, kind);
    facts.replaceChildren(...pairs([["Canister", make("code", "", a.canister)], ["Network's public key", make("code", "", `…${a.rootKey.slice(-24)}`)]]));
    showLoads(list, loads);
  };
  document.body.append(host);
  // Closed, it asks only when the page has loaded something: a worker that is asked does not rest.
  const loaded = () => performance.getEntriesByType("resource").length;
  let told = -1;
  keepShowing(
    (a) => {
      told = loaded();
      show(a);
    },
    () => dialog.open || told !== loaded(),
  );
}

const silent = ["What was verified", "The light client of this page does not answer now.", "warn"] as const;
const forgotten = ["The light client no longer remembers the loads of this page: it keeps the last fifty of the site.", ""] as const;

if (document.body) build();
else document.addEventListener("DOMContentLoaded", build);
