// A local network for tests: bin/portico up in a folder of its own, on a free port.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { watch } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { Actor, HttpAgent } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { Principal } from '@icp-sdk/core/principal';

const repository = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const program = path.join(repository, 'bin', 'portico');
const startMillis = 300_000; // installing Internet Identity on a busy computer takes its time

/** Resolves when file exists. */
async function appears(file, child) {
  const folder = path.dirname(file);
  const watcher = watch(folder);
  try {
    await new Promise((resolve, reject) => {
      const look = () => existsSync(file) && resolve();
      watcher.on('change', look);
      child.once('exit', (code) => reject(new Error(`portico up ended with ${code}`)));
      setTimeout(() => reject(new Error('the network did not start in time')), startMillis).unref();
      look();
    });
  } finally {
    watcher.close();
  }
}

export class Network {
  /** Starts a network in a new folder. */
  static async start(...flags) {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'portico-'));
    const network = new Network();
    network.folder = folder;
    network.flags = flags;
    await network.up();
    return network;
  }

  /** Starts the network on its folder, again or for the first time. */
  async up() {
    this.starts = (this.starts ?? 0) + 1;
    const statusDir = await mkdtemp(path.join(this.folder, 'status-'));
    this.child = spawn(program, ['up', '--state-dir', path.join(this.folder, 'state'), '--gateway-port', '0', '--status-dir', statusDir, ...this.flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.output = '';
    this.errors = '';
    this.child.stdout.on('data', (text) => (this.output += text));
    this.child.stderr.on('data', (text) => {
      this.errors += text;
      process.stderr.write(text);
    });
    const file = path.join(statusDir, 'status.json');
    try {
      await appears(file, this.child);
    } catch (error) {
      this.child.kill('SIGKILL'); // its replicas end with it
      throw error;
    }
    this.status = JSON.parse(await readFile(file, 'utf8'));
    this.rootKey = Uint8Array.from(Buffer.from(this.status.root_key, 'hex'));
    this.host = `http://127.0.0.1:${this.status.gateway_port}`;
  }

  /** The folder of one replica. */
  node(index) {
    return path.join(this.folder, 'state', 'network', `node-${index}`);
  }

  /** The processes of the replicas, by their numbers. */
  async replicas() {
    const found = {};
    for (const pid of await children(this.child.pid)) {
      const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
      const index = words[3]?.match(/node-(\d+)/)?.[1];
      if (index !== undefined) found[index] = pid;
    }
    return found;
  }

  /** The addresses of the replicas' APIs, as the network prints them. */
  apis() {
    return [...this.output.matchAll(/node \d+ .*API (http:\S+)/g)].map((match) => match[1]);
  }

  /** Waits until the network has printed what a pattern matches, from a place in its output on. */
  async says(pattern, from = 0) {
    await this.until(() => pattern.test(this.output.slice(from)), `it did not say ${pattern}:\n${this.output}`);
  }

  /** Waits until something holds. */
  async until(holds, complaint = 'it did not become so in time') {
    const end = Date.now() + startMillis;
    while (!(await holds())) {
      if (Date.now() > end) throw new Error(complaint);
      await sleep(50);
    }
  }

  /** Kills every process of the network as a power failure would. */
  async kill() {
    const ended = once(this.child, 'exit');
    for (const child of await children(this.child.pid)) process.kill(child, 'SIGKILL');
    this.child.kill('SIGKILL');
    await ended;
  }

  /** Stops the network in order; returns the exit code. */
  async stop() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGINT');
    const [code] = await ended;
    return code;
  }

  async remove() {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  agent(identity, options = {}) {
    return HttpAgent.createSync({ host: this.host, rootKey: this.rootKey, identity, ...options });
  }

  management(agent) {
    return Actor.createActor(managementInterface, {
      agent,
      canisterId: Principal.managementCanister(),
      callTransform: (_method, args) => ({
        effectiveCanisterId: args[0].canister_id ?? args[0].target_canister ?? Principal.fromText(this.status.default_effective_canister_id),
      }),
    });
  }

  /** Makes a canister and installs a module into it. */
  async install(agent, module, arg = IDL.encode([], [])) {
    const management = this.management(agent);
    const { canister_id } = await management.provisional_create_canister_with_cycles({ amount: [], specified_id: [] });
    await management.install_code({ mode: { install: null }, canister_id, wasm_module: module, arg });
    return canister_id;
  }
}

/** The child processes of a process, whichever of its threads started them. */
export async function children(pid) {
  const threads = await readdir(`/proc/${pid}/task`);
  const lists = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')));
  return lists.join(' ').split(' ').filter(Boolean).map(Number);
}

function managementInterface({ IDL }) {
  const id = IDL.Record({ canister_id: IDL.Principal });
  const upgrade = IDL.Opt(IDL.Record({
    skip_pre_upgrade: IDL.Opt(IDL.Bool),
    wasm_memory_persistence: IDL.Opt(IDL.Variant({ keep: IDL.Null, replace: IDL.Null })),
  }));
  const mode = IDL.Variant({ install: IDL.Null, reinstall: IDL.Null, upgrade });
  const chunk = IDL.Record({ hash: IDL.Vec(IDL.Nat8) });
  const variable = IDL.Record({ name: IDL.Text, value: IDL.Text });
  const settings = IDL.Record({ controllers: IDL.Opt(IDL.Vec(IDL.Principal)), environment_variables: IDL.Opt(IDL.Vec(variable)), compute_allocation: IDL.Opt(IDL.Nat) });
  return IDL.Service({
    provisional_create_canister_with_cycles: IDL.Func([IDL.Record({ amount: IDL.Opt(IDL.Nat), specified_id: IDL.Opt(IDL.Principal) })], [id], []),
    provisional_top_up_canister: IDL.Func([IDL.Record({ canister_id: IDL.Principal, amount: IDL.Nat })], [], []),
    install_code: IDL.Func([IDL.Record({ mode, canister_id: IDL.Principal, wasm_module: IDL.Vec(IDL.Nat8), arg: IDL.Vec(IDL.Nat8) })], [], []),
    upload_chunk: IDL.Func([IDL.Record({ canister_id: IDL.Principal, chunk: IDL.Vec(IDL.Nat8) })], [chunk], []),
    stored_chunks: IDL.Func([id], [IDL.Vec(chunk)], []),
    clear_chunk_store: IDL.Func([id], [], []),
    install_chunked_code: IDL.Func([IDL.Record({
      mode, target_canister: IDL.Principal, store_canister: IDL.Opt(IDL.Principal), chunk_hashes_list: IDL.Vec(chunk),
      wasm_module_hash: IDL.Vec(IDL.Nat8), arg: IDL.Vec(IDL.Nat8),
    })], [], []),
    uninstall_code: IDL.Func([id], [], []),
    start_canister: IDL.Func([id], [], []),
    stop_canister: IDL.Func([id], [], []),
    delete_canister: IDL.Func([id], [], []),
    take_canister_snapshot: IDL.Func(
      [IDL.Record({ canister_id: IDL.Principal, replace_snapshot: IDL.Opt(IDL.Vec(IDL.Nat8)) })],
      [IDL.Record({ id: IDL.Vec(IDL.Nat8), total_size: IDL.Nat64 })], [],
    ),
    load_canister_snapshot: IDL.Func([IDL.Record({ canister_id: IDL.Principal, snapshot_id: IDL.Vec(IDL.Nat8) })], [], []),
    update_settings: IDL.Func([IDL.Record({ canister_id: IDL.Principal, settings })], [], []),
    canister_status: IDL.Func([id], [IDL.Record({
      status: IDL.Variant({ running: IDL.Null, stopping: IDL.Null, stopped: IDL.Null }),
      module_hash: IDL.Opt(IDL.Vec(IDL.Nat8)), cycles: IDL.Nat, version: IDL.Nat64,
      settings: IDL.Record({ controllers: IDL.Vec(IDL.Principal), minimum_incoming_canister_call_cycles: IDL.Nat }),
    })], []),
  });
}

/** Compiles a Motoko actor; persistence as gcFlags takes it, or none for moc's default. */
export function motoko(source, persistence) {
  const script = `const m = require('motoko').default; if (process.argv[1]) m.compiler.gcFlags(process.argv[1]);
    m.write('main.mo', require('fs').readFileSync(0, 'utf8')); process.stdout.write(m.wasm('main.mo', 'ic').wasm);`;
  const done = spawnSync(process.execPath, ['-e', script, ...(persistence ? [persistence] : [])], { cwd: repository, input: source, maxBuffer: 1 << 28 });
  if (done.status !== 0) throw new Error(`motoko: ${done.stderr}`);
  return done.stdout;
}

export const gzip = (bytes) => gzipSync(bytes);

export const counterSource = `
persistent actor {
  var count : Nat = 0;
  public func increment() : async Nat { count += 1; count };
  public query func value() : async Nat { count };
  public shared query ({ caller }) func whoami() : async Principal { caller };
  public shared ({ caller }) func whoamiUpdate() : async Principal { caller };
};
`;

export const counterInterface = ({ IDL }) => IDL.Service({
  increment: IDL.Func([], [IDL.Nat], []),
  value: IDL.Func([], [IDL.Nat], ['query']),
  whoami: IDL.Func([], [IDL.Principal], ['query']),
  whoamiUpdate: IDL.Func([], [IDL.Principal], []),
});
