// The light client: Go, compiled to WebAssembly, the same for browsers and Node.

import "wasm_exec";
import { PorticoError } from "./errors.ts";

/** Where the light client comes from; what arrives must have the hash that this package was built with. */
export type ProgramSource = URL | string | Response | BufferSource;

/** What a connection does, as portico/lightclient/wasm numbers it. */
export const op = { query: 0, call: 1, readState: 2, verifyCertificate: 3, verifyResponse: 4 } as const;

/** A connection's part of the light client. */
export interface Agent {
  sender: string;
  run(operation: number, canister: string, ...rest: unknown[]): Promise<unknown>;
}

type Connect = (...settings: unknown[]) => string | [sender: string, run: Agent["run"]];

/** The running light client. */
export interface Program {
  connect: Connect;
  /** Is never done; fails once the program has ended. */
  ended: Promise<never>;
}

interface GoRuntime {
  importObject: { gojs: Record<string, (sp: number) => void> };
  _scheduledTimeouts: Map<number, { unref?(): void }>;
  run(instance: WebAssembly.Instance): Promise<void>;
}

type Scope = typeof globalThis & {
  Go: new () => GoRuntime;
  portico?: { connect: Connect } | undefined;
  porticoReady?: (() => void) | undefined;
};

declare const LIGHT_CLIENT: string;

let running: Promise<Program> | undefined;

/** The program, started by the first call; a later source does not matter while it runs. */
export function program(source?: ProgramSource): Promise<Program> {
  if (!running) {
    const starting = start(source);
    const forget = () => {
      if (running === starting) running = undefined;
    };
    starting.then((p) => p.ended.catch(forget), forget);
    running = starting;
  }
  return running;
}

async function start(source?: ProgramSource): Promise<Program> {
  const scope = globalThis as Scope;
  const bytes = await load(source ?? new URL("client.wasm", import.meta.url));
  const module = WebAssembly.compile(bytes);
  module.catch(() => {});
  if (globalThis.crypto?.subtle === undefined) throw new PorticoError("program", "there is no WebCrypto here: pages need https or localhost");
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hash = Array.from(sum, (b) => b.toString(16).padStart(2, "0")).join("");
  if (hash !== LIGHT_CLIENT) throw new PorticoError("program", `the light client has the hash ${hash}; this package was built with ${LIGHT_CLIENT}`);
  const go = new scope.Go();
  leaveTimers(go);
  const ready = new Promise<void>((resolve) => (scope.porticoReady = resolve));
  const ended = go.run(await WebAssembly.instantiate(await module, go.importObject)).then((): never => {
    throw new PorticoError("program", "the light client ended unexpectedly");
  });
  ended.catch(() => {});
  await Promise.race([ready, ended]);
  const { connect } = scope.portico!;
  delete scope.portico;
  delete scope.porticoReady;
  return { connect, ended };
}

// Timers that are left over must not keep Node running; operations do that themselves.
function leaveTimers(go: GoRuntime): void {
  const { gojs } = go.importObject;
  const schedule = gojs["runtime.scheduleTimeoutEvent"]!;
  gojs["runtime.scheduleTimeoutEvent"] = (sp) => {
    schedule(sp);
    for (const timer of go._scheduledTimeouts.values()) timer.unref?.();
  };
}

// Node alone reads files. An import would make bundlers look for them.
function readFile(url: URL): Promise<BufferSource> {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): { readFile(path: URL): Promise<BufferSource> } } };
  const files = process?.getBuiltinModule?.("node:fs/promises");
  if (!files) throw new PorticoError("program", `nothing here reads the file ${url}`);
  return files.readFile(url);
}

async function load(source: ProgramSource): Promise<BufferSource> {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return source;
  if (!(source instanceof Response)) {
    const base = typeof location === "undefined" ? import.meta.url : location.href;
    const url = new URL(source, base);
    if (url.protocol === "file:") return readFile(url);
    source = await fetch(url);
  }
  if (!source.ok) throw new PorticoError("program", `loading the light client from ${source.url}: status ${source.status}`);
  return source.arrayBuffer();
}
