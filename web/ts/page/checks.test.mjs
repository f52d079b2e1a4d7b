// The sentences about loads say no more than the light client reported.

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const { outputFiles } = await build({ entryPoints: [join(here, "checks.ts")], bundle: true, format: "esm", write: false });
const { age, checksOf, summaryOf, verdictOf } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);

const report = (more) => ({
  canister: "c", subnet: "s", rootKey: "", time: 1000, version: 2, certified: true, scope: "the response", exprPath: ["http_expr", "", "<$>"],
  expression: "e", certifiedHeaders: ["content-type"], droppedHeaders: [], totalMs: 1, networkMs: 1, ...more,
});
const load = (more) => ({ at: 3000, method: "GET", url: "/", destination: "", bootMs: 0, status: 200, bytes: 1, ...more });
const named = (l, outcome) => checksOf(l).filter((c) => c.outcome === outcome).map((c) => c.name);

test("a certified response was checked but for its request", () => {
  const l = load({ report: report() });
  assert.deepEqual(named(l, "yes"), ["Signature", "Delegation and range", "Time", "Hash tree", "Path", "Rules", "Answer"]);
  assert.deepEqual(named(l, "open"), ["Request"]);
  assert.deepEqual(verdictOf(l), ["Verified", "good"]);
  assert.match(checksOf(l).find((c) => c.name === "Time").text, /certified 2 s before/);
});

test("a request counts as checked only where it is certified", () => {
  assert.deepEqual(named(load({ report: report({ scope: "the request and the response" }) }), "open"), []);
});

test("headers that were left out are named", () => {
  const l = load({ report: report({ droppedHeaders: ["x-odd"] }) });
  assert.match(checksOf(l).find((c) => c.name === "Left out").text, /x-odd/);
});

test("version 1 vouches for the body alone", () => {
  const l = load({ report: report({ version: 1, scope: "the body", certifiedHeaders: [], exprPath: [] }) });
  assert.deepEqual(named(l, "yes"), ["Signature", "Delegation and range", "Time", "Hash tree", "Body"]);
  assert.deepEqual(named(l, "open"), ["Status and headers", "Request"]);
});

test("where the canister opted out, nothing of the answer counts as checked", () => {
  const l = load({ report: report({ certified: false, version: 2 }) });
  assert.deepEqual(named(l, "yes"), ["Node"]);
  assert.deepEqual(named(l, "open"), ["Answer"]);
  assert.equal(verdictOf(l)[1], "bad");
});

test("an answer from before is not called fresh", () => {
  const l = load({ report: report(), keptMs: 3_600_000 });
  assert.ok(!named(l, "yes").includes("Time"));
  assert.match(checksOf(l).find((c) => c.name === "Time").text, /60 min old/);
  assert.equal(summaryOf([l])[1], "warn");
});

test("an answer that is used again was verified, and says how old it is", () => {
  const l = load({ report: report(), heldMs: 3_600_000 });
  assert.match(checksOf(l).find((c) => c.name === "Time").text, /60 min old/);
  assert.deepEqual(verdictOf(l), ["Verified", "good"]);
  assert.ok(!checksOf(l).some((c) => /five minutes/.test(c.text)));
});

test("a refusal names its check and checks nothing else", () => {
  const problem = { status: 503, title: "Verification failed", text: "", reason: "r", check: "body" };
  assert.deepEqual(checksOf(load({ problem })).map((c) => [c.outcome, c.name]), [["no", "Refused"]]);
  assert.deepEqual(named(load({ problem: { ...problem, check: "" } }), "yes"), []);
});

test("one bad load spoils the summary", () => {
  const good = load({ report: report() });
  assert.equal(summaryOf([good, good])[1], "good");
  assert.equal(summaryOf([good, load({ problem: { title: "x" } })])[1], "bad");
  assert.equal(summaryOf([good, load({ report: report({ certified: false }) })])[1], "bad");
  assert.equal(summaryOf([])[1], "");
});

test("ages are never negative", () => {
  assert.deepEqual([-5000, 1400, 180_000, 3 * 3_600_000, 72 * 3_600_000].map(age), ["0 s", "1 s", "3 min", "3 h", "3 days"]);
});
