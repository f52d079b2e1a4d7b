// What the benchmarks in a Chromium worker share.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { build } from "esbuild";
import { launch, root, startSite } from "./browser.mjs";

/**
 * Starts the test site and a browser, and gives them to measure with run(input): it starts a
 * worker of the entry point, sends it the input and returns its answer. more has further
 * files by path: type and content.
 */
export async function inWorker(entry, more, measure) {
  const goroot = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
  const { outputFiles } = await build({
    entryPoints: [join(root, "web/e2e", entry)],
    bundle: true,
    minify: true,
    format: "iife",
    write: false,
    define: { "import.meta.url": "location.href" },
    alias: { wasm_exec: join(goroot, "lib/wasm/wasm_exec.js") },
  });
  const site = await startSite();
  const files = {
    "/": ["text/html", "<!doctype html><title>Benchmark</title>"],
    "/worker.js": ["text/javascript", outputFiles[0].contents],
    "/client.wasm": ["application/wasm", readFileSync(join(site.folder, "client.wasm"))],
    ...more,
  };
  const server = createServer((request, response) => {
    const [type, content] = files[request.url] ?? [];
    // Isolated origins have clocks of 5 µs instead of 100.
    const headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
    response.writeHead(type ? 200 : 404, { ...headers, "content-type": type ?? "text/plain", "cache-control": "max-age=600" }).end(content);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    const run = async (input) => {
      const result = await page.evaluate((input) => new Promise((resolve, reject) => {
        const worker = new Worker("/worker.js");
        worker.onmessage = (e) => (resolve(e.data), worker.terminate());
        worker.onerror = (e) => reject(new Error(e.message));
        if (input.remembered) input.remembered = Uint8Array.from(input.remembered);
        worker.postMessage(input);
      }), input);
      if (result.error) throw new Error(result.error);
      return result;
    };
    await measure(site, run);
  } finally {
    await browser.close();
    server.close();
    await site.stop();
  }
}

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** Prints the medians of both sides, and how many times as fast ours is. */
export function row(what, ours, peer, name) {
  console.log(`  ${what.padEnd(16)} portico ${ours.toFixed(3)}   ${name} ${peer.toFixed(3)}   ratio ${(peer / ours).toFixed(2)}`);
}
