// What the tests of the protocols share: the modules, built, and a page with a dapp at the other end of postMessage.

import { generateKeyPairSync } from "node:crypto";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const { outputFiles } = await build({
  stdin: {
    contents: ["cli", "keys", "origins", "request", "values"].map((name) => `export * from "./${name}.ts";`).join("\n"),
    resolveDir: dirname(fileURLToPath(import.meta.url)),
    loader: "ts",
  },
  bundle: true,
  format: "esm",
  write: false,
});
export const modules = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);

export const pageOrigin = "http://id.ai.localhost:8000";
export const dappOrigin = "https://dapp.example";

/** A page that dappOrigin opened. Events are real; windows are event targets, as Node has none. */
export class Opened {
  constructor({ opener = true, origin = pageOrigin } = {}) {
    this.aborting = new AbortController();
    /** What the page sent, and to which origin. */
    this.sent = [];
    this.page = new EventTarget();
    this.page.location = new URL(origin);
    this.dapp = { postMessage: (data, target) => this.#receive(structuredClone(data), target) };
    this.page.opener = opener ? this.dapp : null;
    this.#waiting = [];
  }

  #waiting;

  #receive(data, target) {
    this.sent.push({ data, target });
    for (const look of [...this.#waiting]) look();
  }

  /** The page receives a message: the dapp's, unless another source or origin is given. */
  say(data, { origin = dappOrigin, source = this.dapp } = {}) {
    const event = new MessageEvent("message", { data: structuredClone(data), origin });
    Object.defineProperty(event, "source", { value: source });
    this.page.dispatchEvent(event);
  }

  leave() {
    this.page.dispatchEvent(new Event("pagehide"));
  }

  await() {
    return modules.awaitRequest({ signal: this.aborting.signal, window: this.page });
  }

  /** The first message of the page that holds, once it is sent. */
  heard(holds) {
    return new Promise((resolve) => {
      const look = () => {
        const message = this.sent.find(({ data }) => holds(data));
        if (!message) return;
        this.#waiting = this.#waiting.filter((other) => other !== look);
        resolve(message);
      };
      this.#waiting.push(look);
      look();
    });
  }

  /** The page's answer to a request of JSON-RPC. */
  async answer(id) {
    return (await this.heard((data) => data.id === id)).data;
  }

  /** Sends a request of JSON-RPC and waits for its answer. */
  call(id, method, params) {
    this.say({ jsonrpc: "2.0", id, method, params });
    return this.answer(id);
  }
}

/** A key that requests may be signed with. */
export function sessionKey(type = "ed25519", options = undefined) {
  const { publicKey } = generateKeyPairSync(type, options);
  return new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
}

export const base64 = (bytes) => Buffer.from(bytes).toString("base64");

/** A chain as the canister gives it: the protocols do not look into it. */
export const granted = {
  userKey: sessionKey(),
  delegations: [{ delegation: { pubkey: sessionKey(), expiration: 1_800_000_000_000_000_000n }, signature: new Uint8Array(64).fill(6) }],
};
