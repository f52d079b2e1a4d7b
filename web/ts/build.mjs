// Builds the service worker, the script of the gateway's pages and the light
// client into one folder, which the gateway serves:
//
//   node web/ts/build.mjs [--quick] [folder]        (default: bin/worker)
//
// The folder then has sw.js, page.js, panel.js, network.js, client.wasm and client.wasm.br.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const quick = process.argv.includes("--quick");
const out = resolve(process.argv.slice(2).find((a) => a !== "--quick") ?? join(root, "bin/worker"));
mkdirSync(out, { recursive: true });

const goroot = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
const common = {
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  legalComments: "none",
  loader: { ".css": "text" },
  alias: { wasm_exec: join(goroot, "lib/wasm/wasm_exec.js") },
  absWorkingDir: here,
  logLevel: "warning",
};
await build({ ...common, entryPoints: ["worker/sw.ts"], outfile: join(out, "sw.js") });
for (const page of ["page", "panel", "network"]) {
  await build({ ...common, entryPoints: [`page/${page}.ts`], outfile: join(out, `${page}.js`) });
}

const wasm = join(out, "client.wasm");
const built = join(out, "built.wasm");
const go = (args, env = {}) =>
  execFileSync("go", args, { cwd: root, env: { ...process.env, ...env }, stdio: ["ignore", "inherit", "inherit"] });
const before = existsSync(wasm) ? readFileSync(wasm) : undefined;
go(["build", "-trimpath", "-ldflags", "-s -w", "-o", built, "portico/lightclient/wasm"], { GOOS: "js", GOARCH: "wasm" });
go(["run", "portico/lightclient/wasm/trim", built, wasm]);
rmSync(built);
// The best compression takes half a minute, a quick one is enough for tests.
const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN, BROTLI_PARAM_SIZE_HINT } = constants;
const plain = readFileSync(wasm);
const compressed = wasm + ".br";
if (!before?.equals(plain) || !existsSync(compressed)) {
  const params = { [BROTLI_PARAM_QUALITY]: quick ? 5 : 11, [BROTLI_PARAM_LGWIN]: 22, [BROTLI_PARAM_SIZE_HINT]: plain.length };
  writeFileSync(compressed, brotliCompressSync(plain, { params }));
}
