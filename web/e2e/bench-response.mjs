// How long a Chromium worker takes to check a whole response, from its headers and
// body: the light client beside @dfinity/response-verification, on the same
// responses with distinct certificates, in turn. Then how long a worker takes that has
// just started, as one has after the browser ended it.
//
//   node web/e2e/bench-response.mjs [number of responses] [number of starts]

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { launch, root, skip, startSite } from "./browser.mjs";

if (skip) {
  console.log(`skipped: ${skip}`);
  process.exit(0);
}
const count = Number(process.argv[2] ?? 60);
const starts = Number(process.argv[3] ?? 9);
const warmUp = 30;

const goroot = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
const { outputFiles } = await build({
  entryPoints: [join(dirname(fileURLToPath(import.meta.url)), "bench-response-worker.mjs")],
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
  "/peer.wasm": ["application/wasm", readFileSync(join(root, "node_modules/@dfinity/response-verification/dist/web/web_bg.wasm"))],
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
  const set = await (await fetch(`http://127.0.0.1:${site.port}/responses?n=${count + warmUp}`)).json();
  for (const [kind, title] of [["root", "one signature"], ["delegated", "one signature under a delegation, the same for all"]]) {
    const result = await run({ rootKey: set.rootKey, canister: set.canister, responses: set[kind], warmUp });
    console.log(`a response checked, ${title}, ${count} distinct certificates, medians in ms`);
    row("distinct", median(result.ours), median(result.peer));
    row("the same again", median(result.oursAgain), median(result.peerAgain));
  }

  const input = { cold: true, rootKey: set.rootKey, canister: set.canister, responses: set.delegated.slice(0, 2) };
  const figures = { new: [], remembered: [], peer: [] };
  let remembered;
  for (let i = 0; i < starts; i++) {
    const first = await run({ ...input, who: "ours" });
    remembered ??= Object.values(first.remembered);
    figures.new.push(first);
    figures.remembered.push(await run({ ...input, who: "ours", remembered }));
    figures.peer.push(await run({ ...input, who: "peer" }));
  }
  console.log(`a worker that has just started, a certificate under a delegation, medians of ${starts} in ms`);
  for (const [who, what] of [["portico", "new"], ["portico, remembering", "remembered"], ["response-verification", "peer"]]) {
    const [compile, go, configure, one, two] = ["compile", "run", "configure", "first", "second"].map((k) => median(figures[what].map((f) => f[k])));
    console.log(`  ${who.padEnd(22)} compile ${ms(compile)}  start ${ms(go)}  configure ${ms(configure)}  first response ${ms(one)}  second ${ms(two)}  to the first answer ${ms(compile + go + configure + one)}`);
  }
} finally {
  await browser.close();
  server.close();
  await site.stop();
}

function row(what, ours, peer) {
  console.log(`  ${what.padEnd(16)} portico ${ours.toFixed(3)}   @dfinity/response-verification ${peer.toFixed(3)}   ratio ${(peer / ours).toFixed(2)}`);
}

function ms(value) {
  return value.toFixed(1).padStart(5);
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
