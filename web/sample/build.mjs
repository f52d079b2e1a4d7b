// Builds the sample dapp into a folder that "portico up --sample" deploys:
// backend.wasm (Motoko, compiled as moc does by default), assets.wasm.gz, and site/
// with the light client of @portico/client, as web/ts/build.mjs built it into PACKAGE, and
// @icp-sdk/auth, which logs people in with Internet Identity.
//
//   node web/sample/build.mjs OUTPUT ASSETS_WASM PACKAGE
import { mkdir, copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const [output, assetsWasm, packageFolder] = process.argv.slice(2);
if (!output || !assetsWasm || !packageFolder) {
  console.error('usage: node web/sample/build.mjs OUTPUT ASSETS_WASM PACKAGE');
  process.exit(2);
}
const here = path.dirname(fileURLToPath(import.meta.url));
const motoko = createRequire(import.meta.url)('motoko').default;

await rm(output, { recursive: true, force: true });
await mkdir(path.join(output, 'site'), { recursive: true });

motoko.write('main.mo', await readFile(path.join(here, 'main.mo'), 'utf8'));
const compiled = motoko.wasm('main.mo', 'ic');
await writeFile(path.join(output, 'backend.wasm'), compiled.wasm);
// compressed it fits into one message
await writeFile(path.join(output, 'assets.wasm.gz'), gzipSync(await readFile(assetsWasm), { level: 9 }));

for (const name of ['index.html', 'style.css']) {
  await copyFile(path.join(here, 'site', name), path.join(output, 'site', name));
}
// A file *.gz is the gzip encoding of the asset without that ending.
await writeFile(path.join(output, 'site', 'client.wasm.gz'), gzipSync(await readFile(path.join(packageFolder, 'client.wasm')), { level: 9 }));
await build({
  entryPoints: [path.join(here, 'site', 'app.ts')],
  outfile: path.join(output, 'site', 'app.js'),
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  alias: { '@portico/client': path.resolve(packageFolder, 'index.js') },
  // @icp-sdk/auth wants an older @icp-sdk/core than everything else here: both are in this workspace
  nodePaths: [path.join(here, '..', '..', 'identity', 'e2e', 'dapp', 'node_modules')],
  logLevel: 'warning',
});
