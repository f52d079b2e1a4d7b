// Builds the browser extension into a folder that Chromium loads as it is:
//
//   node web/extension/build.mjs [folder] [folder of web/ts's build]     (default: bin/extension bin/worker)
//
// The light client in it is the one that gateways serve, and so are the hashes that it knows.

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const [out = join(root, "bin/extension"), worker = join(root, "bin/worker")] = process.argv.slice(2).map((a) => resolve(a));
mkdirSync(out, { recursive: true });

const hashes = JSON.parse(readFileSync(join(worker, "hashes.json"), "utf8"));
const goroot = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
await build({
  bundle: true, minify: true, format: "iife", target: "chrome125", legalComments: "none", absWorkingDir: here, logLevel: "warning",
  entryPoints: ["background", "popup", "options", "warning", "opening"].map((name) => `src/${name}.ts`),
  outdir: out,
  alias: { wasm_exec: join(goroot, "lib/wasm/wasm_exec.js") },
  define: { HASHES: JSON.stringify({ "sw.js": hashes["sw.js"], "client.wasm": hashes["client.wasm"] }) },
});
for (const name of ["manifest.json", "popup.html", "options.html", "warning.html", "opening.html"]) copyFileSync(join(here, name), join(out, name));
writeFileSync(join(out, "style.css"), readFileSync(join(root, "gateway/page/style.css"), "utf8") + readFileSync(join(here, "style.css"), "utf8"));
copyFileSync(join(worker, "client.wasm"), join(out, "client.wasm"));
