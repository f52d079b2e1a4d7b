// The files of a gateway's light client come from the gateway: they may be anything.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const { outputFiles } = await build({
  entryPoints: [join(here, "src/gatewayfiles.ts")], bundle: true, format: "esm", platform: "node", write: false,
  define: { HASHES: "{}" }, alias: { wasm_exec: "node:process" },
});
const { lightClientOf } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);

/** A gateway that answers with what is written to each response. */
async function gateway(t, answer) {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  t.after(() => (server.closeAllConnections(), server.close()));
  return `http://127.0.0.1:${server.address().port}`;
}

for (const line of ["self.PORTICO=null;", "self.PORTICO={};", 'self.PORTICO={"wasm":1};', 'self.PORTICO={"wasm":["/_portico/x"]};', 'self.PORTICO={"wasm":{"startsWith":1}};', "alert(1)", ""]) {
  test(`a worker that begins with ${JSON.stringify(line)} is not the known one`, async (t) => {
    const origin = await gateway(t, (_, res) => res.end(`${line}\nrest`));
    const found = await lightClientOf(origin, "00");
    assert.equal(found.verdict, "unknown");
    assert.equal(found.reason, "its configuration cannot be read");
  });
}

test("a worker without end is given up, and is not the known one", { timeout: 30_000 }, async (t) => {
  let sent = 0;
  const origin = await gateway(t, (_, res) => {
    const more = () => {
      while (!res.destroyed && sent < 256 << 20) {
        sent += 1 << 20;
        if (!res.write(Buffer.alloc(1 << 20))) return res.once("drain", more);
      }
      res.end();
    };
    more();
  });
  const found = await lightClientOf(origin, "00");
  assert.equal(found.verdict, "unknown");
  assert.match(found.reason, /longer than 8 MiB/);
  assert.ok(sent < 64 << 20, `${sent} bytes were taken`);
});
