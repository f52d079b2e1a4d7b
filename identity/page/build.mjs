// Builds the pages of Internet Identity into the folder that the identity canister embeds:
//
//   node identity/page/build.mjs [--quick] [folder]        (default: identity/canister/site)
//
// In the folder are then the documents, and in assets/ the scripts, the style sheet and
// the icon, each under a name with the hash of its content and beside it compressed as
// .br and .gz. The same commit, Go and esbuild give the same bytes.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const { values: flags, positionals } = parseArgs({ allowPositionals: true, options: { quick: { type: "boolean", default: false } } });
const out = resolve(positionals[0] ?? join(root, "identity/canister/site"));
const assets = join(out, "assets");

// What an earlier build left would be served, too.
mkdirSync(out, { recursive: true });
for (const name of readdirSync(out)) if (name !== ".gitignore") rmSync(join(out, name), { recursive: true });
mkdirSync(assets);

execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", join(here, "ts")], { stdio: "inherit" });

const scripts = ["home", "authorize", "cli", "device"];
const { metafile } = await build({
  bundle: true,
  minify: true,
  format: "esm",
  splitting: true,
  target: "es2022",
  legalComments: "none",
  absWorkingDir: root,
  entryPoints: scripts.map((name) => `identity/page/ts/${name}.ts`),
  outdir: assets,
  entryNames: "[name]-[hash]",
  chunkNames: "part-[hash]",
  metafile: true,
  logLevel: "warning",
});

const served = (file) => `/assets/${basename(file)}`;
const { outputs } = metafile;

/** An output and what it imports at once, and what these import. */
function withImports(file, seen = []) {
  if (seen.includes(file)) return seen;
  seen.push(file);
  for (const { path, kind } of outputs[file].imports) if (kind === "import-statement") withImports(path, seen);
  return seen;
}

function hashed(name, text) {
  const [stem, ending] = name.split(".");
  const file = `${stem}-${createHash("sha256").update(text).digest("hex").slice(0, 8)}.${ending}`;
  writeFileSync(join(assets, file), text);
  return served(file);
}

const style = (await build({ entryPoints: [join(here, "style.css")], minify: true, write: false, logLevel: "warning" })).outputFiles[0].text;
const files = {
  style: hashed("style.css", style),
  icon: hashed("icon.svg", readFileSync(join(here, "icon.svg"))),
  scripts: Object.fromEntries(
    scripts.map((name) => {
      const own = Object.keys(outputs).find((file) => outputs[file].entryPoint === `identity/page/ts/${name}.ts`);
      return [name, withImports(own).map(served)];
    }),
  ),
};

const folder = mkdtempSync(join(tmpdir(), "portico-page-"));
try {
  const names = join(folder, "files.json");
  writeFileSync(names, JSON.stringify(files));
  execFileSync("go", ["run", "./identity/page/render", names, out], { cwd: root, stdio: "inherit" });
} finally {
  rmSync(folder, { recursive: true });
}

for (const name of readdirSync(assets)) {
  const file = join(assets, name);
  const content = readFileSync(file);
  const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_SIZE_HINT } = constants;
  writeFileSync(`${file}.br`, brotliCompressSync(content, { params: { [BROTLI_PARAM_QUALITY]: flags.quick ? 5 : 11, [BROTLI_PARAM_SIZE_HINT]: content.length } }));
  writeFileSync(`${file}.gz`, gzipSync(content, { level: 9 }));
}
