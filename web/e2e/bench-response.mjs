// How long a Chromium worker takes to check a whole response, from its headers and
// body: the light client beside @dfinity/response-verification, on the same
// responses with distinct certificates, in turn. Then how long a worker takes that has
// just started, as one has after the browser ended it.
//
//   node web/e2e/bench-response.mjs [number of responses] [number of starts]

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inWorker, median, row } from "./bench.mjs";
import { root, skip } from "./browser.mjs";

if (skip) {
  console.log(`skipped: ${skip}`);
  process.exit(0);
}
const count = Number(process.argv[2] ?? 60);
const starts = Number(process.argv[3] ?? 9);
const warmUp = 30;
const peer = "@dfinity/response-verification";
const peerWasm = readFileSync(join(root, "node_modules/@dfinity/response-verification/dist/web/web_bg.wasm"));

await inWorker("bench-response-worker.mjs", { "/peer.wasm": ["application/wasm", peerWasm] }, async (site, run) => {
  const set = await (await fetch(`http://127.0.0.1:${site.port}/responses?n=${count + warmUp}`)).json();
  for (const [kind, title] of [["root", "one signature"], ["delegated", "one signature under a delegation, the same for all"]]) {
    const result = await run({ rootKey: set.rootKey, canister: set.canister, responses: set[kind], warmUp });
    console.log(`a response checked, ${title}, ${count} distinct certificates, medians in ms`);
    row("distinct", median(result.ours), median(result.peer), peer);
    row("the same again", median(result.oursAgain), median(result.peerAgain), peer);
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
});

function ms(value) {
  return value.toFixed(1).padStart(5);
}
