// How things are named in words.

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const { outputFiles } = await build({ entryPoints: [join(here, "words.ts")], bundle: true, format: "esm", write: false });
const { deviceName, duration, host } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);

test("devices are called as people call them", () => {
  for (const [agent, name] of [
    ["Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome on Android"],
    ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows"],
    ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", "Safari on iPhone"],
    ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Mac"],
    ["something else", "Browser"],
  ]) assert.equal(deviceName(agent), name);
});

test("durations are told in the largest unit that fits", () => {
  const minute = 60_000_000_000n;
  for (const [nanoseconds, words] of [
    [1n, "less than a minute"], [minute, "1 minute"], [30n * minute, "30 minutes"], [60n * minute, "1 hour"], [480n * minute, "8 hours"],
    [90n * minute, "about 2 hours"], [24n * 60n * minute, "1 day"], [30n * 24n * 60n * minute, "30 days"],
  ]) assert.equal(duration(nanoseconds), words);
});

test("an origin is shown whole, but for https", () => {
  assert.equal(host("https://dapp.example"), "dapp.example");
  assert.equal(host("http://dapp.example:8080"), "http://dapp.example:8080");
});
