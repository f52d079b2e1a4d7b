// How long a Chromium worker takes to verify one certificate from its bytes: the
// light client beside Certificate.create of @icp-sdk/core, on the same distinct
// certificates, in turn.
//
//   node web/e2e/bench-certificate.mjs [number of certificates]

import { inWorker, median, row } from "./bench.mjs";
import { skip } from "./browser.mjs";

if (skip) {
  console.log(`skipped: ${skip}`);
  process.exit(0);
}
const count = Number(process.argv[2] ?? 60);
const warmUp = 20;
const peer = "@icp-sdk/core";

await inWorker("bench-worker.mjs", {}, async (site, run) => {
  const certificates = await (await fetch(`http://127.0.0.1:${site.port}/certificates?n=${count + warmUp}`)).json();
  for (const [kind, title] of [["root", "one signature"], ["delegated", "one signature under a delegation, the same for all"]]) {
    const result = await run({ rootKey: certificates.rootKey, canister: certificates.canister, certificates: certificates[kind], warmUp });
    console.log(`${title}, ${count} distinct certificates, medians in ms`);
    row("distinct", median(result.ours), median(result.peer), peer);
    row("the same again", median(result.oursAgain), median(result.peerAgain), peer);
    console.log(`  first            portico ${result.firstOurs.toFixed(1)}   ${peer} ${result.firstPeer.toFixed(1)}`);
  }
});
