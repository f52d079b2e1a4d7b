// The signer's side of ICRC-29 (a channel between windows, kept alive by status requests) with the methods of
// ICRC-25 (standards and permissions), ICRC-27 (accounts), ICRC-34 (delegations, with ICRC-95 derivation origins) and
// `ii-icrc3-attributes`, as @icp-sdk/signer speaks them: JSON-RPC 2.0 whose messages are objects.

import { Principal } from "@icp-sdk/core/principal";
import { givenUp, ProtocolError } from "./errors.ts";
import type { Dapp } from "./host.ts";
import { checkSessionKey, maxKeyBytes } from "./keys.ts";
import { derivationOrigin, type Where } from "./origins.ts";
import type { AttributesAsked, Grant, Granted, Refusal, SignInRequest } from "./request.ts";
import { duration, fromBase64, isRecord, toBase64 } from "./values.ts";

/** Errors of ICRC-25 and JSON-RPC 2.0. */
const errors = { generic: 1000, notSupported: 2000, aborted: 3001, invalidRequest: -32600, invalidParams: -32602 } as const;

const maxWaiting = 8;
const maxRequests = 100;
const maxIdLength = 128;
const maxScopes = 100;
const maxTargets = 1000;
const maxKeys = 20;
const maxKeyLength = 200;
const nonceBytes = 32;
/** Dapps that ask for attributes and a sign-in ask for both at once. */
const loneAttributesMs = 3000;
/** How long requests for the status gather: the first ones, which the dapp waits for, and later ones, which it sends every 300 ms. */
const establishMs = 20;
const statusMs = 250;
/** How long the dapp may take to ask once it has found the page. */
const askMs = 120_000;

const topics = "https://github.com/dfinity/wg-identity-authentication/blob/main/topics/";
const supportedStandards = [
  { name: "ICRC-25", url: `${topics}icrc_25_signer_interaction_standard.md` },
  { name: "ICRC-27", url: `${topics}icrc_27_accounts.md` },
  { name: "ICRC-29", url: `${topics}icrc_29_window_post_message_transport.md` },
  { name: "ICRC-34", url: `${topics}icrc_34_delegation.md` },
  { name: "ICRC-95", url: `${topics}icrc_95_derivationorigin.md` },
];
const signInMethods = ["icrc27_accounts", "icrc34_delegation"];

type Id = string | number;
interface Call {
  readonly id: Id | undefined;
  readonly method: string;
  readonly params: Record<string, unknown>;
}
interface RpcError {
  readonly code: number;
  readonly message: string;
}
interface Attributes {
  readonly id: Id;
  readonly asked: AttributesAsked;
  readonly derivationOrigin: unknown;
}

/** Reads a message; undefined if it is no request. An id that can not be answered counts as none. */
function callOf(data: unknown): Call | undefined {
  if (!isRecord(data) || data["jsonrpc"] !== "2.0" || typeof data["method"] !== "string") return undefined;
  const { id, method, params } = data as { id: unknown; method: string; params: unknown };
  const known = typeof id === "number" || (typeof id === "string" && id.length <= maxIdLength);
  return { id: known ? id : undefined, method, params: isRecord(params) ? params : {} };
}

export function isIcrcMessage(data: unknown): boolean {
  return callOf(data) !== undefined;
}

/** A dapp's channel. It answers what needs no person at once and hands on what does, one after the other. */
export class IcrcChannel {
  readonly #dapp: Dapp;
  readonly #where: Where;
  /** Sign-ins that were not answered. */
  #waiting = new Set<Id>();
  #arrived: Promise<SignInRequest>[] = [];
  #takers: ((request: Promise<SignInRequest>) => void)[] = [];
  #attributes: Attributes[] = [];
  /** How attributes are answered since the last sign-in. */
  #granted: { readonly derivationOrigin: string; readonly attributes: Grant["attributes"] } | undefined;
  #requests = 0;
  /** The last request for the status that was not answered. */
  #status: Id | undefined;
  #established = false;

  constructor(dapp: Dapp, where: Where) {
    this.#dapp = dapp;
    this.#where = where;
    dapp.listen((data) => this.receive(data));
    dapp.onLeave(() => this.#leave());
  }

  /** The first sign-in that the dapp asks for and that was not handed on yet. */
  next(): Promise<SignInRequest> {
    const arrived = this.#arrived.shift();
    if (arrived) return arrived;
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** The first sign-in; rejects if the dapp does not ask in time. */
  first(): Promise<SignInRequest> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new ProtocolError("timeout", "The app opened this page but did not ask to sign in.")), askMs);
      this.#where.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(givenUp());
      });
      void this.next().then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  /** Takes one message of the dapp. */
  receive(data: unknown): void {
    const call = callOf(data);
    if (call?.id === undefined) return;
    const { id, method, params } = call;
    if (method === "icrc29_status") return this.#alive(id);
    if (++this.#requests > maxRequests) return this.#error(id, errors.invalidRequest, "Too many requests.");
    switch (method) {
      case "icrc25_supported_standards":
        return this.#result(id, { supportedStandards });
      case "icrc25_permissions":
        return this.#result(id, { scopes: signInMethods.map(permitted) });
      case "icrc25_request_permissions":
        return this.#permissions(id, params["scopes"]);
      case "icrc27_accounts":
      case "icrc34_delegation":
        return this.#signIn(id, method, params);
      case "ii-icrc3-attributes":
        return this.#askAttributes(id, params);
      default:
        return this.#error(id, errors.notSupported, `This signer has no method ${JSON.stringify(method.slice(0, 100))}.`);
    }
  }

  /**
   * Says that the page is there: to the last of the requests that come close together. @icp-sdk/signer asks anew after each
   * answer and forgets what it asked before. If all were answered that it sent while the page loaded, it would go on asking
   * as often at once, on a slow computer believe none of the answers, and give the page up after five seconds.
   */
  #alive(id: Id): void {
    const waiting = this.#status !== undefined;
    this.#status = id;
    if (waiting) return;
    setTimeout(() => {
      this.#result(this.#status!, "ready");
      this.#status = undefined;
    }, this.#established ? statusMs : establishMs);
    this.#established = true;
  }

  /** The person is asked at each sign-in, so that permissions hold nothing back; unknown scopes are left out as ICRC-25 wants it. */
  #permissions(id: Id, scopes: unknown): void {
    if (!Array.isArray(scopes) || scopes.length > maxScopes) return this.#error(id, errors.invalidParams, `scopes is not a list of at most ${maxScopes}.`);
    const methods = new Set(scopes.map((scope: unknown) => (isRecord(scope) ? scope["method"] : undefined)));
    this.#result(id, { scopes: signInMethods.filter((method) => methods.has(method)).map(permitted) });
  }

  #signIn(id: Id, method: string, params: Record<string, unknown>): void {
    if (this.#waiting.has(id)) return this.#error(id, errors.invalidRequest, "A request with this id is waiting.");
    if (this.#waiting.size >= maxWaiting) return this.#error(id, errors.invalidRequest, `At most ${maxWaiting} requests can wait.`);
    this.#waiting.add(id);
    const request = this.#request(id, method, params);
    request.catch((e: ProtocolError) => e.onTell(() => this.#answer(id, { error: { code: errors.invalidParams, message: e.message } })));
    const taker = this.#takers.shift();
    if (taker) taker(request);
    else this.#arrived.push(request);
  }

  async #request(id: Id, method: string, params: Record<string, unknown>): Promise<SignInRequest> {
    const accounts = method === "icrc27_accounts";
    const { sessionKey, maxTimeToLive } = accounts ? await keyOfNobody() : delegationParams(params);
    const origin = await derivationOrigin(params["icrc95DerivationOrigin"], this.#dapp.origin, this.#where);
    return {
      origin: this.#dapp.origin,
      derivationOrigin: origin,
      sessionKey,
      maxTimeToLive,
      purpose: accounts ? "accounts" : "delegation",
      grant: (granted, more) => {
        this.#answer(id, { result: accounts ? accountsOf(granted) : delegationOf(granted) });
        this.#granted = { derivationOrigin: origin, attributes: more?.attributes };
        for (const attributes of this.#attributes.splice(0)) void this.#answerAttributes(attributes);
      },
      refuse: (reason) => {
        this.#answer(id, { error: errorOf(reason) });
        for (const attributes of this.#attributes.splice(0)) this.#error(attributes.id, errorOf(reason).code, reason.message);
      },
      next: () => this.next(),
    };
  }

  #askAttributes(id: Id, params: Record<string, unknown>): void {
    const asked = attributesParams(params);
    if (typeof asked === "string") return this.#error(id, errors.invalidParams, asked);
    const attributes = { id, asked, derivationOrigin: params["icrc95DerivationOrigin"] };
    if (this.#granted && this.#waiting.size === 0) return void this.#answerAttributes(attributes);
    if (this.#attributes.length >= maxWaiting) return this.#error(id, errors.invalidRequest, `At most ${maxWaiting} requests can wait.`);
    this.#attributes.push(attributes);
    setTimeout(() => {
      const at = this.#attributes.indexOf(attributes);
      if (at < 0 || this.#waiting.size > 0) return;
      this.#attributes.splice(at, 1);
      this.#error(id, errors.generic, "Ask for attributes together with a sign-in.");
    }, loneAttributesMs);
  }

  async #answerAttributes({ id, asked, derivationOrigin }: Attributes): Promise<void> {
    const granted = this.#granted;
    if (!granted?.attributes) return this.#error(id, errors.notSupported, "This signer has no attributes to give.");
    if ((derivationOrigin ?? this.#dapp.origin) !== granted.derivationOrigin) return this.#error(id, errors.invalidParams, "The sign-in was for another derivation origin.");
    try {
      const { data, signature } = await granted.attributes(asked);
      this.#result(id, { data: toBase64(data), signature: toBase64(signature) });
    } catch (e) {
      this.#error(id, errors.generic, e instanceof Error ? e.message : "The attributes could not be had.");
    }
  }

  /** A window that is closed or left can not be asked again: whoever waits is told at once. */
  #leave(): void {
    const error = errorOf({ kind: "cancelled", message: "The window was closed." });
    for (const id of [...this.#waiting]) this.#answer(id, { error });
    for (const { id } of this.#attributes.splice(0)) this.#error(id, error.code, error.message);
  }

  #answer(id: Id, answer: { result: unknown } | { error: RpcError }): void {
    if (this.#waiting.delete(id)) this.#dapp.post({ jsonrpc: "2.0", id, ...answer });
  }

  #result(id: Id, result: unknown): void {
    this.#dapp.post({ jsonrpc: "2.0", id, result });
  }

  #error(id: Id, code: number, message: string): void {
    this.#dapp.post({ jsonrpc: "2.0", id, error: { code, message } });
  }
}

const permitted = (method: string) => ({ scope: { method }, state: "granted" });

function errorOf(reason: Refusal): RpcError {
  return { code: reason.kind === "cancelled" ? errors.aborted : errors.generic, message: reason.message };
}

function delegationParams(params: Record<string, unknown>): { sessionKey: Uint8Array; maxTimeToLive: bigint | undefined } {
  const sessionKey = fromBase64(params["publicKey"], maxKeyBytes);
  if (!sessionKey) throw new ProtocolError("malformed", "The app did not bring a session key.");
  checkSessionKey(sessionKey);
  const asked = params["maxTimeToLive"];
  const maxTimeToLive = duration(asked);
  if (asked !== undefined && maxTimeToLive === undefined) throw new ProtocolError("malformed", "The app asked for a session of a length that is no number of nanoseconds.");
  // A signer may answer with a delegation for all canisters where the dapp asked for some (ICRC-34, relying-party delegations).
  const targets = params["targets"];
  if (targets !== undefined && !(Array.isArray(targets) && targets.length <= maxTargets && targets.every((t) => typeof t === "string"))) {
    throw new ProtocolError("malformed", "The app's list of canisters is not of the right form.");
  }
  return { sessionKey, maxTimeToLive };
}

/** Accounts are learnt from a delegation that nobody gets, to a key that nobody keeps. */
async function keyOfNobody(): Promise<{ sessionKey: Uint8Array; maxTimeToLive: bigint }> {
  const { publicKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
  return { sessionKey: new Uint8Array(await crypto.subtle.exportKey("spki", publicKey)), maxTimeToLive: 60_000_000_000n };
}

/** The question, or what is wrong with it. */
function attributesParams(params: Record<string, unknown>): AttributesAsked | string {
  const { keys, nonce } = params;
  if (!Array.isArray(keys) || keys.length > maxKeys || !keys.every((key) => typeof key === "string" && key.length <= maxKeyLength)) {
    return `keys is not a list of at most ${maxKeys} texts of at most ${maxKeyLength} characters.`;
  }
  const bytes = fromBase64(nonce, nonceBytes);
  return bytes?.length === nonceBytes ? { keys: keys as string[], nonce: bytes } : `nonce is not ${nonceBytes} bytes in base64.`;
}

function accountsOf({ userKey }: Granted): unknown {
  return { accounts: [{ owner: Principal.selfAuthenticating(userKey).toText() }] };
}

function delegationOf({ userKey, delegations }: Granted): unknown {
  return {
    publicKey: toBase64(userKey),
    signerDelegation: delegations.map(({ delegation: { pubkey, expiration, targets }, signature }) => ({
      delegation: { pubkey: toBase64(pubkey), expiration: expiration.toString(), ...(targets && { targets: targets.map((t) => t.toText()) }) },
      signature: toBase64(signature),
    })),
  };
}
