// How long a person waits for a small verified page in Chromium: on the first
// visit, with a running worker, and after the browser stopped the worker; and what the
// worker's own part of it is: from its registration until it controls the page, and
// from a page's request until the verified answer, when the worker has to start.
//
//   node web/e2e/bench-page.mjs [repetitions]

import { launch, skip, startSite, stopWorkers } from "./browser.mjs";

if (skip) {
  console.log(`skipped: ${skip}`);
  process.exit(0);
}
const repetitions = Number(process.argv[2] ?? 7);
const site = await startSite();
const browser = await launch();
const figures = { register: [], first: [], running: [], stopped: [], answer: [], warm: [], gateway: [], boot: [] };
try {
  for (let i = 0; i < repetitions; i++) {
    const context = await browser.newContext();
    const page = await context.newPage();
    const open = async (query = "") => {
      const started = performance.now();
      await page.goto(`${site.origin}/zipped${query}`);
      await page.getByRole("heading", { name: "Unzipped" }).waitFor();
      return performance.now() - started;
    };
    figures.register.push(await registerIn(browser));
    figures.first.push(await open());
    await open();
    figures.running.push(await open());
    await stopWorkers(page);
    figures.stopped.push(await open());
    figures.boot.push(await bootOfLastLoad(page));
    await stopWorkers(page);
    figures.answer.push(await fetchIn(page));
    figures.warm.push(await fetchIn(page));
    figures.gateway.push(await open("?_portico=off"));
    await context.close();
  }
} finally {
  await browser.close();
  await site.stop();
}
for (const [what, values] of [
  ["registered to controlling", figures.register],
  ["first visit: install, start, verify, show", figures.first],
  ["worker running", figures.running],
  ["worker was stopped", figures.stopped],
  ["  of which starting the light client", figures.boot],
  ["worker was stopped: a verified answer", figures.answer],
  ["worker running: a verified answer", figures.warm],
  ["verified by the gateway instead", figures.gateway],
]) {
  const sorted = values.toSorted((a, b) => a - b);
  console.log(`${what.padEnd(44)} median ${sorted[sorted.length >> 1].toFixed(0).padStart(5)} ms   least ${sorted[0].toFixed(0).padStart(5)} ms`);
}

/** From register() until a new worker controls the page that called it. */
async function registerIn(browser) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(`${site.origin}/?_portico=off`);
    return await page.evaluate(async () => {
      const started = performance.now();
      const controlled = new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
      await navigator.serviceWorker.register("/_portico/sw.js", { scope: "/", updateViaCache: "none" });
      await controlled;
      return performance.now() - started;
    });
  } finally {
    await context.close();
  }
}

/** From a page's request until it has the body. */
function fetchIn(page) {
  return page.evaluate(async () => {
    const started = performance.now();
    await (await fetch("/zipped")).text();
    return performance.now() - started;
  });
}

/** What the worker's journal says of the start before the last load of the page. */
async function bootOfLastLoad(page) {
  return page.evaluate(async () => {
    const { active } = await navigator.serviceWorker.ready;
    const { port1, port2 } = new MessageChannel();
    const account = new Promise((resolve) => (port1.onmessage = (e) => resolve(e.data)));
    active.postMessage("portico: what was verified?", [port2]);
    return (await account).loads.find((l) => l.url === "/zipped").bootMs;
  });
}
