// Builds the service worker, the script of the gateway's pages and the light
// client into one folder, which the gateway serves:
//
//   node web/ts/build.mjs [--quick] [--root-key HEX] [folder]        (default: bin/worker)
//
// The folder then has sw.js, page.js, panel.js, network.js, client.wasm and client.wasm.br, and in package/
// the npm package of web/ts/client. Worker and package carry the hash of client.wasm
// and run no other; with --root-key the worker believes no other network either.
//
// The same commit, Go and esbuild give the same bytes, in whatever folder. SHA256SUMS
// (for sha256sum -c) and hashes.json have the hash of each file, and are printed.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false }, "root-key": { type: "string", default: "" } },
});
const out = resolve(positionals[0] ?? join(root, "bin/worker"));
mkdirSync(out, { recursive: true });

const wasm = join(out, "client.wasm");
const built = join(out, "built.wasm");
const go = (args, env = {}) =>
  execFileSync("go", args, { cwd: root, env: { ...process.env, ...env }, stdio: ["ignore", "inherit", "inherit"] });
function lightClient(file, ...tags) {
  go(["build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", ...tags, "-o", built, "portico/lightclient/wasm"], { GOOS: "js", GOARCH: "wasm" });
  go(["run", "portico/lightclient/wasm/trim", built, file]);
  rmSync(built);
  return readFileSync(file);
}
const before = existsSync(wasm) ? readFileSync(wasm) : undefined;
const plain = lightClient(wasm);

// The scripts come after the light client, whose hash they carry.
const goroot = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
// Go's glue under a name of its own: that of its file would tell where Go is installed.
const glue = {
  name: "wasm_exec",
  setup(b) {
    b.onResolve({ filter: /^wasm_exec$/ }, () => ({ path: "wasm_exec.js", namespace: "go" }));
    b.onLoad({ filter: /.*/, namespace: "go" }, () => ({ contents: readFileSync(join(goroot, "lib/wasm/wasm_exec.js"), "utf8") }));
  },
};
const common = {
  bundle: true,
  minify: true,
  target: "es2022",
  legalComments: "none",
  loader: { ".css": "text" },
  plugins: [glue],
  absWorkingDir: here,
  logLevel: "warning",
};
const sha256 = (bytes) => JSON.stringify(createHash("sha256").update(bytes).digest("hex"));
await build({
  ...common,
  format: "iife",
  entryPoints: ["worker/sw.ts"],
  outfile: join(out, "sw.js"),
  define: { LIGHT_CLIENT: sha256(plain), ROOT_KEY: JSON.stringify(flags["root-key"].toLowerCase()) },
});
for (const page of ["page", "panel", "network"]) {
  await build({ ...common, format: "iife", entryPoints: [`page/${page}.ts`], outfile: join(out, `${page}.js`) });
}

// The package, with its types and a light client that can do more.
const pack = join(out, "package");
mkdirSync(pack, { recursive: true });
const program = lightClient(join(pack, "client.wasm"), "-tags", "package");
await build({ ...common, format: "esm", minify: false, entryPoints: ["client/index.ts"], outfile: join(pack, "index.js"), define: { LIGHT_CLIENT: sha256(program) } });
execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "client", "--noEmit", "false", "--emitDeclarationOnly", "--outDir", join(pack, "types")], {
  cwd: here,
  stdio: ["ignore", "inherit", "inherit"],
});
// Readers of the types have neither Go's glue nor the sources.
for (const name of readdirSync(join(pack, "types"), { recursive: true })) {
  if (!name.endsWith(".d.ts")) continue;
  const file = join(pack, "types", name);
  writeFileSync(file, readFileSync(file, "utf8").replace(/^import "wasm_exec";\n/m, "").replaceAll(/(from|import\() ?"(\.[^"]*)\.ts"/g, '$1 "$2.js"'));
}
for (const name of ["package.json", "README.md"]) copyFileSync(join(here, "client", name), join(pack, name));

// The best compression takes half a minute, a quick one is enough for tests.
const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN, BROTLI_PARAM_SIZE_HINT } = constants;
const compressed = wasm + ".br";
if (!before?.equals(plain) || !existsSync(compressed)) {
  const params = { [BROTLI_PARAM_QUALITY]: flags.quick ? 5 : 11, [BROTLI_PARAM_LGWIN]: 22, [BROTLI_PARAM_SIZE_HINT]: plain.length };
  writeFileSync(compressed, brotliCompressSync(plain, { params }));
}

const names = readdirSync(out, { recursive: true, withFileTypes: true })
  .filter((e) => e.isFile())
  .map((e) => relative(out, join(e.parentPath, e.name)).replaceAll("\\", "/"))
  .filter((name) => /^([a-z]+\.js|client\.wasm(\.br)?|package\/.*)$/.test(name))
  .sort();
const hashes = Object.fromEntries(names.map((name) => [name, createHash("sha256").update(readFileSync(join(out, name))).digest("hex")]));
const sums = names.map((name) => `${hashes[name]}  ${name}\n`).join("");
writeFileSync(join(out, "SHA256SUMS"), sums);
writeFileSync(join(out, "hashes.json"), JSON.stringify(hashes, null, 1) + "\n");
if (!flags.quick) process.stdout.write(sums);
