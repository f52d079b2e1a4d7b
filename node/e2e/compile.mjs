// Canisters that tests compile: Motoko and TypeScript with the compilers that npm
// packages ship, Go with the project's own linker. Compiling takes seconds, so modules
// are kept in build/modules under a hash of all that they are made of.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

const repository = path.join(import.meta.dirname, '..', '..');
const sources = path.join(import.meta.dirname, 'testdata');
const kept = path.join(repository, 'build', 'modules');
const require = createRequire(import.meta.url);

/** Runs at most as many of these at a time as there are processors. */
const waiting = [];
let free = os.availableParallelism();
async function turn(work) {
  if (free === 0) await new Promise((resolve) => waiting.push(resolve));
  else free -= 1;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  }
}

/** Runs a program; resolves to what it printed. */
async function run(program, args, options) {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const printed = [];
  let complaints = '';
  child.stdout.on('data', (data) => printed.push(data));
  child.stderr.on('data', (data) => (complaints += data));
  await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`${program} ${args.join(' ')}: ${complaints}`))));
  });
  return Buffer.concat(printed);
}

/** What make() makes, or has made before from the same things. */
async function once(things, make) {
  const file = path.join(kept, createHash('sha256').update(JSON.stringify(things)).digest('hex').slice(0, 32) + '.wasm');
  return readFile(file).catch(() => turn(async () => {
    const module = await make();
    await mkdir(kept, { recursive: true });
    const draft = await mkdtemp(path.join(kept, 'draft-'));
    await writeFile(path.join(draft, 'module'), module);
    await rename(path.join(draft, 'module'), file);
    await rm(draft, { recursive: true });
    return module;
  }));
}

/** Compiles a Motoko actor of testdata; persistence as gcFlags takes it, or none for moc's default. */
export async function motokoProgram(name, persistence) {
  const files = (await readdir(sources)).filter((file) => file.endsWith('.mo'));
  const texts = await Promise.all(files.map((file) => readFile(path.join(sources, file), 'utf8')));
  const used = files.map((file, i) => [file, texts[i]]).filter(([file]) => file === name || file === 'child.mo');
  const script = `const m = require('motoko').default;
    m.loadPackage(require('motoko/packages/latest/core.json'));
    const [name, persistence, used] = process.argv.slice(1);
    if (persistence) m.compiler.gcFlags(persistence);
    for (const [file, text] of JSON.parse(used)) m.write(file, text);
    process.stdout.write(m.wasm(name, 'ic').wasm);`;
  return once([require('motoko/package.json').version, script, name, persistence, used], () =>
    run(process.execPath, ['-e', script, name, persistence ?? '', JSON.stringify(used)], { cwd: repository }));
}

/** Compiles a TypeScript class of testdata with azle. */
export async function azleProgram(name) {
  const text = await readFile(path.join(sources, name), 'utf8');
  const version = JSON.parse(await readFile(path.join(repository, 'node_modules', 'azle', 'package.json'), 'utf8')).version;
  return once(['azle', version, text], async () => {
    await mkdir(kept, { recursive: true });
    const folder = await mkdtemp(path.join(kept, 'azle-')); // inside the repository, so that packages resolve
    try {
      await writeFile(path.join(folder, 'main.ts'), text);
      await writeFile(path.join(folder, 'dfx.json'), JSON.stringify({ canisters: { program: { type: 'azle', main: 'main.ts' } } }));
      const packages = path.join(repository, 'node_modules');
      await run(process.execPath, [path.join(packages, 'tsx', 'dist', 'cli.mjs'), path.join(packages, 'azle', 'src', 'build.ts'), 'build', 'program'], {
        cwd: folder,
        env: { ...process.env, CANISTER_CANDID_PATH: path.join(folder, 'program.did') },
      });
      return await readFile(path.join(folder, '.azle', 'program', 'program.wasm'));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}

/** Builds a Go canister in a folder of testdata; Go has a cache of its own. */
export async function goProgram(name) {
  return turn(async () => {
    await mkdir(kept, { recursive: true });
    const folder = await mkdtemp(path.join(kept, 'go-'));
    try {
      const file = path.join(folder, 'module.wasm');
      await run('go', ['run', './node/cdk/canister-link', '-o', file, `./node/e2e/testdata/${name}`], { cwd: repository });
      return await readFile(file);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}
