// How long a person waits for a small verified page in Chromium: on the first
// visit, with a running worker, and after the browser stopped the worker.
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
const figures = { first: [], running: [], stopped: [], gateway: [], boot: [] };
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
    figures.first.push(await open());
    await open();
    figures.running.push(await open());
    await stopWorkers(page);
    figures.stopped.push(await open());
    figures.boot.push(await bootOfLastLoad(page));
    figures.gateway.push(await open("?_portico=off"));
    await context.close();
  }
} finally {
  await browser.close();
  await site.stop();
}
for (const [what, values] of [
  ["first visit: install, start, verify, show", figures.first],
  ["worker running", figures.running],
  ["worker was stopped", figures.stopped],
  ["  of which starting the light client", figures.boot],
  ["verified by the gateway instead", figures.gateway],
]) {
  const sorted = values.toSorted((a, b) => a - b);
  console.log(`${what.padEnd(44)} median ${sorted[sorted.length >> 1].toFixed(0).padStart(5)} ms   least ${sorted[0].toFixed(0).padStart(5)} ms`);
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
