// Log-ins that this repository and @icp-sdk/core both believe, and damaged ones that
// both refuse. Run by `node --test identity/loginpeer/`.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DelegationChain, ECDSAKeyIdentity, Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import { logIn, startPeer, unhex, verifyWithCore } from "./core.mjs";

let peer, rootKey;
before(async () => {
  peer = startPeer();
  rootKey = unhex(await peer.ask("root"));
});
after(() => peer.end());

const keys = { Ed25519: () => Ed25519KeyIdentity.generate(), "P-256 of WebCrypto": () => ECDSAKeyIdentity.generate() };
const der = (identity) => Buffer.from(identity.getPublicKey().toDer()).toString("hex");

/** A chain of a user to a session key, through a middle key or not, and a log-in with it. */
async function made(seed, session, { minutes = 30, middle } = {}) {
  let chain = JSON.parse(await peer.ask("chain", seed, der(middle ?? session), minutes));
  if (middle) {
    const previous = DelegationChain.fromJSON(chain);
    chain = (await DelegationChain.create(middle, session.getPublicKey(), new Date(Date.now() + 60_000), { previous })).toJSON();
  }
  return logIn(chain, session, unhex(await peer.ask("challenge")));
}

async function core(body) {
  try {
    return await verifyWithCore(rootKey, body);
  } catch {
    return "refused";
  }
}

test("the same log-ins are believed, as the same principals", async () => {
  for (const [name, generate] of Object.entries(keys)) {
    for (const middle of [undefined, Ed25519KeyIdentity.generate()]) {
      const body = await made("anna", await generate(), { middle });
      const want = await verifyWithCore(rootKey, body);
      assert.equal(await peer.ask("verify", body), want, name);
      assert.equal(await peer.ask("verify", body), "refused challenge_used", "and only once");
    }
  }
});

test("two users have two principals", async () => {
  const session = Ed25519KeyIdentity.generate();
  const [anna, ben] = [await made("anna", session), await made("ben", session)];
  assert.notEqual(await peer.ask("verify", anna), await peer.ask("verify", ben));
});

test("expired chains are refused by both", async () => {
  const body = await made("anna", Ed25519KeyIdentity.generate(), { minutes: -1 });
  assert.equal(await core(body), "refused");
  assert.equal(await peer.ask("verify", body), "refused expired");
});

// Each byte of every field in turn would take long; the stride is odd so that all
// positions of the encodings inside are met.
test("whatever byte of a log-in is changed, both refuse it", async () => {
  const good = JSON.parse(await made("anna", await ECDSAKeyIdentity.generate(), { middle: Ed25519KeyIdentity.generate() }));
  const fields = {
    publicKey: (l, f) => (l.chain.publicKey = f(l.chain.publicKey)),
    "first signature": (l, f) => (l.chain.delegations[0].signature = f(l.chain.delegations[0].signature)),
    "first key": (l, f) => (l.chain.delegations[0].delegation.pubkey = f(l.chain.delegations[0].delegation.pubkey)),
    "first expiration": (l, f) => (l.chain.delegations[0].delegation.expiration = f(l.chain.delegations[0].delegation.expiration)),
    "second signature": (l, f) => (l.chain.delegations[1].signature = f(l.chain.delegations[1].signature)),
    "session key": (l, f) => (l.chain.delegations[1].delegation.pubkey = f(l.chain.delegations[1].delegation.pubkey)),
    signature: (l, f) => (l.signature = f(l.signature)),
  };
  let tried = 0;
  for (const [name, change] of Object.entries(fields)) {
    for (let at = 0, length = 1; at < length; at += name === "first signature" ? 43 : 23) {
      const damaged = structuredClone(good);
      change(damaged, (text) => {
        length = text.length;
        const digit = (parseInt(text[at], 16) ^ (at % 2 ? 1 : 4)).toString(16);
        return text.slice(0, at) + digit + text.slice(at + 1);
      });
      const body = JSON.stringify(damaged);
      assert.match(await peer.ask("verify", body), /^refused /, `${name}, digit ${at}`);
      assert.equal(await core(body), "refused", `${name}, digit ${at}`);
      tried++;
    }
  }
  assert(tried > 60, `${tried} tried`);
  // Nothing of that used the challenge up.
  assert.equal(await peer.ask("verify", JSON.stringify(good)), await verifyWithCore(rootKey, JSON.stringify(good)));
});

test("fields that change what a delegation allows are refused by both", async () => {
  const good = await made("anna", Ed25519KeyIdentity.generate());
  for (const more of [{ targets: [] }, { targets: ["00000000000000070101"] }, { permissions: "queries" }, { permissions: "all" }]) {
    const damaged = JSON.parse(good);
    Object.assign(damaged.chain.delegations[0].delegation, more);
    const body = JSON.stringify(damaged);
    assert.match(await peer.ask("verify", body), /^refused /, JSON.stringify(more));
    assert.equal(await core(body), "refused", JSON.stringify(more));
  }
});
