// Moves the figures of a local network's start page (portico/web/dashboard): each message
// of the feed is all that the page shows. Without it the page stands still, but is whole.

interface Replica {
  alive: boolean;
  state: string;
  final: number;
  certified: number;
  connected: number;
  peers: number;
  version: string;
  root: string;
  up: number;
}

interface Beat {
  height: number;
  blocks: number;
  rate: number;
  curve: number[];
  canisters: number;
  alive: number;
  replicas: Replica[];
}

const feedPath = "/_portico/network/feed";
const firstPauseMs = 1000;
const longestPauseMs = 30_000;
/** The feed says something every second; after this long without it, it is dead. */
const silenceMs = 15_000;
/** How often the list of canisters is loaded anew while it is looked at. */
const listMs = 10_000;
const points = 60;

const place = (id: string) => document.getElementById(id);

/** Changes text only where it differs, so that nothing is announced or selected anew for nothing. */
function put(where: Element | null, text: string): void {
  if (where && where.textContent !== text) where.textContent = text;
}

function show(b: Beat): void {
  put(place("height"), String(b.height));
  put(place("blocks"), rate(b.blocks));
  put(place("rate"), rate(b.rate));
  put(place("count"), String(b.canisters));
  put(place("alive"), String(b.alive));
  place("curve")?.setAttribute("points", curve(b.curve));
  const rows = place("replicas")?.children ?? [];
  b.replicas.forEach((r, i) => {
    const row = rows[i];
    if (row) showReplica(row, r);
  });
  const [sentence, mood] = headline(b);
  const line = place("headline");
  put(line, sentence);
  if (line) line.className = `lead ${mood}`;
}

function showReplica(row: Element, r: Replica): void {
  const cell = (name: string) => row.querySelector(`[data-live=${name}]`);
  const status = cell("status");
  put(status, r.alive ? "running" : "away");
  if (status) status.className = `badge ${r.alive ? "good" : "bad"}`;
  put(cell("state"), r.state);
  if (!r.alive) return; // the last figures stay
  put(cell("final"), String(r.final));
  put(cell("certified"), String(r.certified));
  put(cell("peers"), `${r.connected} of ${r.peers}`);
  put(cell("root"), r.root.slice(0, 10));
  put(cell("up"), duration(r.up));
  put(cell("version"), r.version);
}

// What follows says things as portico/web/dashboard does.

function headline(b: Beat): [string, string] {
  const n = b.replicas.length;
  const away = n - b.alive;
  if (b.alive === 0) return ["No replica answers.", "bad"];
  if (away === 0) return [n === 1 ? "The replica runs." : `All ${n} replicas run.`, "good"];
  const some = `${b.alive} of ${n} replicas run. `;
  if (away <= Math.floor((n - 1) / 3)) return [`${some}The network goes on without the others.`, "warn"];
  return [`${some}That is too few: nothing is agreed on until others are back.`, "bad"];
}

const rate = (v: number): string => v.toFixed(v >= 100 ? 0 : 1);

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

function curve(rates: number[]): string {
  const top = Math.max(1, ...rates);
  return rates
    .map((v, i) => `${(120 - ((rates.length - 1 - i) * 120) / (points - 1)).toFixed(1)},${(29 - (v / top) * 28).toFixed(1)}`)
    .join(" ");
}

/** Shows the state of the feed; it is announced only when it breaks and when it is back. */
function feedIs(text: string, kind: "good" | "warn" | ""): void {
  const badge = place("live");
  put(badge, text);
  if (badge) badge.className = `badge ${kind}`;
}

let pauseMs = firstPauseMs;
let lost = false;

function connect(): void {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${feedPath}`);
  let quiet = 0;
  const listen = () => {
    clearTimeout(quiet);
    quiet = setTimeout(() => socket.close(), silenceMs);
  };
  listen();
  socket.onmessage = (e: MessageEvent<string>) => {
    listen();
    pauseMs = firstPauseMs;
    if (lost) announce("The connection is back.");
    lost = false;
    feedIs("live", "good");
    const b = JSON.parse(e.data) as Beat;
    show(b);
    noticeCanisters(b.canisters);
  };
  socket.onclose = () => {
    clearTimeout(quiet);
    if (!lost) announce("The connection to the gateway is lost; figures stand still.");
    lost = true;
    wait(pauseMs * (0.75 + Math.random() / 2));
    pauseMs = Math.min(2 * pauseMs, longestPauseMs);
  };
}

/** Counts down to the next attempt. */
function wait(ms: number): void {
  const until = Date.now() + ms;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left <= 0) {
      feedIs("connecting", "warn");
      connect();
      return;
    }
    feedIs(`no connection, next attempt in ${left} s`, "warn");
    setTimeout(tick, Math.min(1000, until - Date.now()));
  };
  tick();
}

function announce(text: string): void {
  let region = place("announcements");
  if (!region) {
    region = document.createElement("p");
    region.id = "announcements";
    region.className = "unseen";
    region.setAttribute("role", "status");
    document.body.append(region);
  }
  put(region, text);
}

let canisters = Number(place("count")?.textContent ?? 0);
let listed = Date.now();
let listing = false;

/** Loads the list of canisters anew if there are others, and now and then for what they have. */
function noticeCanisters(n: number): void {
  const due = n !== canisters || Date.now() - listed > listMs;
  if (!due || listing || document.hidden || place("canisters")?.contains(document.activeElement)) return;
  canisters = n;
  listing = true;
  void list().finally(() => {
    listing = false;
    listed = Date.now();
  });
}

async function list(): Promise<void> {
  const response = await fetch(location.href).catch(() => undefined);
  if (!response?.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("canisters");
  const old = place("canisters");
  if (fresh && old && !old.contains(document.activeElement) && fresh.innerHTML !== old.innerHTML) old.replaceWith(fresh);
}

function offerCopying(): void {
  if (!navigator.clipboard) return; // only secure origins have one, localhost among them
  for (const button of document.querySelectorAll<HTMLButtonElement>("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = place(button.dataset.copy ?? "")?.textContent ?? "";
      const copied = await navigator.clipboard.writeText(text).then(() => true, () => false);
      announce(copied ? "Copied." : "The browser did not let it be copied.");
      button.textContent = copied ? "Copied" : "Not copied";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  }
}

offerCopying();
connect();

export {};
