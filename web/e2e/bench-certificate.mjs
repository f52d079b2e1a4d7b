// How long a Chromium worker takes to verify one certificate from its bytes: the
// light client beside Certificate.create of @icp-sdk/core, on the same distinct
// certificates, in turn.
//
//   node web/e2e/bench-certificate.mjs [number of certificates]

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { launch, skip, startSite } from "./browser.mjs";

if (skip) {
  console.log(`skipped: ${skip}`);
  process.exit(0);
}
const count = Number(process.argv[2] ?? 60);
const warmUp = 20;

const goroot = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
const { outputFiles } = await build({
  entryPoints: [join(dirname(fileURLToPath(import.meta.url)), "bench-worker.mjs")],
  bundle: true,
  minify: true,
  format: "iife",
  write: false,
  alias: { wasm_exec: join(goroot, "lib/wasm/wasm_exec.js") },
});

const site = await startSite();
const files = {
  "/": ["text/html", "<!doctype html><title>Benchmark</title>"],
  "/worker.js": ["text/javascript", outputFiles[0].contents],
  "/client.wasm": ["application/wasm", readFileSync(join(site.folder, "client.wasm"))],
};
const server = createServer((request, response) => {
  const [type, content] = files[request.url] ?? [];
  // Isolated origins have clocks of 5 µs instead of 100.
  const headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
  response.writeHead(type ? 200 : 404, { ...headers, "content-type": type ?? "text/plain" }).end(content);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const browser = await launch();
try {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const certificates = await (await fetch(`http://127.0.0.1:${site.port}/certificates?n=${count + warmUp}`)).json();
  for (const [kind, title] of [["root", "one signature"], ["delegated", "one signature under a delegation, the same for all"]]) {
    const input = { rootKey: certificates.rootKey, canister: certificates.canister, certificates: certificates[kind], warmUp };
    const result = await page.evaluate((input) => new Promise((resolve, reject) => {
      const worker = new Worker("/worker.js");
      worker.onmessage = (e) => resolve(e.data);
      worker.onerror = (e) => reject(new Error(e.message));
      worker.postMessage(input);
    }), input);
    if (result.error) throw new Error(result.error);
    console.log(`${title}, ${count} distinct certificates, medians in ms`);
    for (const [what, ours, peer] of [
      ["distinct", median(result.ours), median(result.peer)],
      ["the same again", median(result.oursAgain), median(result.peerAgain)],
    ]) {
      console.log(`  ${what.padEnd(16)} portico ${ours.toFixed(3)}   @icp-sdk/core ${peer.toFixed(3)}   ratio ${(peer / ours).toFixed(2)}`);
    }
    console.log(`  first            portico ${result.firstOurs.toFixed(1)}   @icp-sdk/core ${result.firstPeer.toFixed(1)}`);
  }
} finally {
  await browser.close();
  server.close();
  await site.stop();
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
