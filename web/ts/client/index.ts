/**
 * Verified calls, queries, state and HTTP responses of the Internet Computer.
 *
 * Everything is checked against the public key that the caller names, by the light
 * client of this package (Go, compiled to WebAssembly), the same in browsers and Node. Nothing is believed
 * because of who sent it. Arguments and replies are bytes in Candid; @icp-sdk/core's IDL encodes and decodes them.
 */

import { PorticoError, errorOf } from "./errors.ts";
import { type Agent, op, type ProgramSource, program } from "./program.ts";
import type { Identity } from "./identity.ts";
import { parsePrincipal } from "../shared/principal.ts";

export { type Check, PorticoError, type Reject } from "./errors.ts";
export { type Algorithm, createIdentity, type Delegation, delegated, type Delegations, forgetIdentity, type Identity, KeyIdentity, storedIdentity } from "./identity.ts";
export type { ProgramSource } from "./program.ts";
export { parsePrincipal, principalText } from "../shared/principal.ts";

export interface ConnectOptions {
  /** Origin of a gateway or replica, such as "https://icp-api.io"; may have a path. On pages the default is the page's own origin. */
  host?: string;
  /** The network's public key, DER or its hex. It is never asked for: whoever answers could name their own. */
  rootKey: Uint8Array | string;
  /** Who makes calls and queries; nobody (anonymous) if absent. */
  identity?: Identity;
  /** Bounds every operation, a call's polling included; two minutes if absent. */
  timeoutMs?: number;
  /** Where the light client is, if not in a file client.wasm beside this module. */
  program?: ProgramSource;
}

/** A method of a canister and its argument. */
export interface Message {
  /** In text form. */
  canister: string;
  method: string;
  /** Candid; no arguments if absent. */
  arg?: Uint8Array;
  /** The canister whose subnet gets the message, for the management canister only. */
  effective?: string;
}

/** A label of a path: text or bytes. */
export type Label = string | Uint8Array;

/** What a certificate shows at a path. */
export type Lookup =
  | { status: "found"; value: Uint8Array<ArrayBuffer> }
  /** absent: proven not to be there; unknown: not shown; inner: there are labels below it. */
  | { status: "absent" | "unknown" | "inner" };

/** What a verified certificate says. */
export interface State {
  /** When the subnet made it. */
  time: Date;
  /** In the order of the paths. */
  values: Lookup[];
}

export interface HTTPRequest {
  method: string;
  /** Path and query. */
  url: string;
  headers: [string, string][];
  body?: Uint8Array;
}

export interface HTTPResponse {
  status: number;
  headers: [string, string][];
  /** As the canister gave it, encoded if it was. */
  body: Uint8Array;
}

/** What of a response a canister certified. */
export interface Verified {
  /** Those that may be believed. */
  headers: [string, string][];
  report: {
    canister: string;
    subnet?: string;
    /** Of the certificate, milliseconds since 1970. */
    time?: number;
    version: number;
    /** False if the canister opted out of certification: then nothing is known of the response. */
    certified: boolean;
    scope: string;
    certifiedHeaders: string[];
    droppedHeaders: string[];
  };
}

/** A network, seen by one identity. */
export interface Connection {
  /** The principal that calls and queries are made as, in text form. */
  readonly sender: string;
  /** The reply to a query. A node of the canister's subnet has signed it: one dishonest node can forge it. */
  query(m: Message): Promise<Uint8Array<ArrayBuffer>>;
  /** Makes an update call and waits for its certified reply. After an error other than `reject` or `argument` it may have happened all the same. */
  update(m: Message): Promise<Uint8Array<ArrayBuffer>>;
  /** Reads values of the certified state of the subnet that hosts a canister. */
  readState(canister: string, paths: Label[][]): Promise<State>;
  /** Verifies a certificate that came otherwise, such as one that a canister gave to a query, and looks paths up. */
  verifyCertificate(certificate: Uint8Array, canister: string, paths: Label[][]): Promise<State>;
  /** Checks a canister's certified data: the certificate must show exactly this value of at most 32 bytes. */
  verifyCertifiedData(certificate: Uint8Array, canister: string, data: Uint8Array): Promise<Date>;
  /** Checks that a canister certified this response to this request (HTTP gateway protocol), now or at another time. */
  verifyResponse(canister: string, request: HTTPRequest, response: HTTPResponse, at?: Date): Promise<Verified>;
}

/** Starts the light client, if it does not run yet, and makes a connection. Sends nothing. */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const c = new Client(options);
  await c.agent();
  return c;
}

class Client implements Connection {
  sender = "";
  private readonly settings: unknown[];
  private readonly source: ProgramSource | undefined;
  private current: { agent: Agent; ended: Promise<never> } | undefined;

  constructor(o: ConnectOptions) {
    const host = o.host ?? (typeof location === "undefined" ? undefined : location.origin);
    if (!host) throw new PorticoError("argument", "a connection needs a host");
    const rootKey = typeof o.rootKey === "string" ? unhex(o.rootKey) : o.rootKey;
    if (!(rootKey instanceof Uint8Array) || rootKey.length === 0) throw new PorticoError("argument", "a connection needs the network's root key");
    this.source = o.program;
    this.settings = [host.replace(/\/+$/, ""), rootKey, Math.min(o.timeoutMs ?? defaultTimeoutMs, maxTimeoutMs), ...flat(o.identity)];
  }

  /** The connection's part of the light client, anew if that has ended. */
  async agent(): Promise<{ agent: Agent; ended: Promise<never> }> {
    if (this.current) return this.current;
    try {
      const { connect, ended } = await program(this.source);
      const made = connect(...this.settings);
      if (typeof made === "string") throw new PorticoError("argument", made);
      const [sender, run] = made;
      const agent: Agent = { sender, run };
      this.sender = sender;
      const current = { agent, ended };
      ended.catch(() => {
        if (this.current === current) this.current = undefined;
      });
      return (this.current = current);
    } catch (e) {
      throw errorOf(e);
    }
  }

  private async run<T>(operation: number, canister: string, ...rest: unknown[]): Promise<T> {
    const { agent, ended } = await this.agent();
    const busy = setInterval(() => {}, 1 << 30); // keeps Node running
    try {
      return (await Promise.race([agent.run(operation, canister, ...rest), ended])) as T;
    } catch (e) {
      throw errorOf(e);
    } finally {
      clearInterval(busy);
    }
  }

  query(m: Message) {
    return this.run<Uint8Array<ArrayBuffer>>(op.query, m.canister, m.method, m.arg ?? noArguments, m.effective ?? "");
  }

  update(m: Message) {
    return this.run<Uint8Array<ArrayBuffer>>(op.call, m.canister, m.method, m.arg ?? noArguments, m.effective ?? "");
  }

  async readState(canister: string, paths: Label[][]) {
    return stateOf(await this.run<FlatState>(op.readState, canister, paths.map(labels)));
  }

  async verifyCertificate(certificate: Uint8Array, canister: string, paths: Label[][]) {
    return stateOf(await this.run<FlatState>(op.verifyCertificate, canister, paths.map(labels), certificate));
  }

  async verifyCertifiedData(certificate: Uint8Array, canister: string, data: Uint8Array) {
    const id = parsePrincipal(canister);
    if (!id) throw new PorticoError("argument", `${canister} is no canister`);
    const { time, values } = await this.verifyCertificate(certificate, canister, [["canister", id, "certified_data"]]);
    const [shown] = values;
    if (shown?.status !== "found" || shown.value.length !== data.length || shown.value.some((b, i) => b !== data[i])) {
      throw new PorticoError("tree", `this is not the certified data of ${canister}`);
    }
    return time;
  }

  async verifyResponse(canister: string, request: HTTPRequest, { status, headers, body }: HTTPResponse, at?: Date) {
    if (!Number.isInteger(status) || status < 100 || status > 999) throw new PorticoError("argument", `a response has no status ${status}`);
    const r = { body: null, ...request };
    const [believed, report] = await this.run<[Verified["headers"], Verified["report"]]>(op.verifyResponse, canister, r, status, headers, body, at?.getTime() ?? null);
    return { headers: believed, report };
  }
}

const defaultTimeoutMs = 120_000;
/** What a timer can hold. */
const maxTimeoutMs = 0x7fffffff;

/** A time, and for each path the number of a status and a value. */
type FlatState = [time: number, ...(number | Uint8Array<ArrayBuffer>)[]];

const statuses = ["unknown", "absent", "found", "inner"] as const;

function stateOf([time, ...flat]: FlatState): State {
  const values: Lookup[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const status = statuses[flat[i] as number]!;
    values.push(status === "found" ? { status, value: flat[i + 1] as Uint8Array<ArrayBuffer> } : { status });
  }
  return { time: new Date(time), values };
}

const utf8 = new TextEncoder();
const labels = (path: Label[]): Uint8Array[] => path.map((l) => (typeof l === "string" ? utf8.encode(l) : l));

const noArguments = Uint8Array.of(0x44, 0x49, 0x44, 0x4c, 0, 0);

/** An identity in the form that the light client takes. */
function flat(i: Identity | undefined): unknown[] {
  if (!i) return [null, null, null, []];
  const chain = (i.delegations?.chain ?? []).map((d) => {
    const expiration = BigInt(d.expiration);
    return [d.publicKey, Number(expiration >> 32n), Number(expiration & 0xffffffffn), d.permissions ?? "", d.signature, d.targets ?? null];
  });
  return [i.publicKey, (m: Uint8Array<ArrayBuffer>) => i.sign(m), i.delegations?.owner ?? null, chain];
}

function unhex(s: string): Uint8Array {
  if (!/^([0-9a-f]{2})+$/i.test(s)) throw new PorticoError("argument", "the root key is not hex");
  return Uint8Array.from(s.match(/../g)!, (x) => parseInt(x, 16));
}
