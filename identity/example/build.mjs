// Checks and bundles the script of the example's page:
//
//   node identity/example/build.mjs [folder]        (default: build/example)

import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const out = resolve(process.argv[2] ?? join(root, "build/example"));
mkdirSync(out, { recursive: true });
execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "ts"], { cwd: here, stdio: ["ignore", "inherit", "inherit"] });
await build({
  entryPoints: [join(here, "ts/page.ts")],
  outfile: join(out, "page.js"),
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  legalComments: "none",
  // @icp-sdk/auth wants an older @icp-sdk/core than everything else here: both are in this workspace
  nodePaths: [join(root, "identity/e2e/dapp/node_modules")],
  logLevel: "warning",
});
