// The authorize page hears the dapp that opened it, and nobody else, in either protocol.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { base64, dappOrigin, granted, Opened, pageOrigin, sessionKey } from "./fixtures.mjs";

const key = sessionKey();
const legacy = (more) => ({ kind: "authorize-client", sessionPublicKey: key, maxTimeToLive: 3_600_000_000_000n, ...more });
const status = { jsonrpc: "2.0", id: "s", method: "icrc29_status" };
const delegation = (id, more) => ({ jsonrpc: "2.0", id, method: "icrc34_delegation", params: { publicKey: base64(key), maxTimeToLive: "3600000000000", ...more } });
const refused = (promise, kind, why) => assert.rejects(promise, (e) => e.name === "ProtocolError" && e.kind === kind && why.test(e.message));
/** Whether a promise is settled after all that is under way. */
const settled = async (promise) => {
  let done = false;
  promise.then(() => (done = true), () => (done = true));
  await new Promise((resolve) => setImmediate(resolve));
  return done;
};

test("a page that no dapp opened says so", () => refused(new Opened({ opener: false }).await(), "no-opener", /Start from the app/));

test("a sign-in that is given up ends", async () => {
  const w = new Opened();
  const request = w.await();
  w.aborting.abort();
  await refused(request, "aborted", /given up/);
  w.say(legacy());
  await refused(w.await(), "aborted", /given up/);
  assert.deepEqual(w.sent.map(({ data }) => data.kind), ["authorize-ready"]);
});

test("an opener that says nothing for ten seconds, or nothing of the protocols, is given up", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const w = new Opened();
    const request = w.await();
    w.say("hello");
    w.say({ jsonrpc: "1.0", id: 1, method: "icrc29_status" });
    mock.timers.tick(9_999);
    assert.equal(await settled(request), false);
    mock.timers.tick(1);
    await refused(request, "timeout", /did not say/);
  } finally {
    mock.timers.reset();
  }
});

test("a sign-in can be given up after the dapp found the page, too", async () => {
  const w = new Opened();
  const request = w.await();
  w.say(status);
  w.aborting.abort();
  await refused(request, "aborted", /given up/);
  w.say({ ...status, id: "after" });
  assert.ok(!w.sent.some(({ data }) => data.id === "after"));
});

test("a dapp that found the page but asks for nothing for two minutes is given up", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const w = new Opened();
    const request = w.await();
    w.say(status);
    mock.timers.tick(119_999);
    assert.equal(await settled(request), false);
    mock.timers.tick(1);
    await refused(request, "timeout", /did not ask/);
  } finally {
    mock.timers.reset();
  }
});

test("a legacy dapp is told that the page is ready, asks, and gets its delegation at its origin alone", async () => {
  const w = new Opened();
  const waiting = w.await();
  assert.deepEqual(w.sent, [{ data: { kind: "authorize-ready" }, target: "*" }]);
  w.say(legacy());
  const request = await waiting;
  assert.deepEqual([request.origin, request.derivationOrigin, request.maxTimeToLive, request.purpose], [dappOrigin, dappOrigin, 3_600_000_000_000n, "delegation"]);
  assert.deepEqual(request.sessionKey, key);
  request.grant(granted, { method: "recovery" });
  request.refuse({ kind: "cancelled", message: "too late" });
  w.leave();
  assert.deepEqual(w.sent.slice(1), [{
    target: dappOrigin,
    data: { kind: "authorize-client-success", delegations: granted.delegations, userPublicKey: granted.userKey, authnMethod: "recovery" },
  }]);
});

test("a legacy dapp that is refused hears the reason", async () => {
  const w = new Opened();
  const waiting = w.await();
  w.say(legacy({ maxTimeToLive: undefined }));
  const request = await waiting;
  assert.equal(request.maxTimeToLive, undefined);
  request.refuse({ kind: "cancelled", message: "The person did not want it." });
  assert.deepEqual(w.sent.at(-1), { data: { kind: "authorize-client-failure", text: "The person did not want it." }, target: dappOrigin });
});

const malformed = {
  "without a session key": [{ sessionPublicKey: undefined }, "malformed", /session key/],
  "with a session key as text": [{ sessionPublicKey: base64(key) }, "malformed", /session key/],
  "with a session key that signs nothing": [{ sessionPublicKey: key.subarray(12) }, "key", /not a DER-encoded/],
  "for no time": [{ maxTimeToLive: 0n }, "malformed", /nanoseconds/],
  "for less than no time": [{ maxTimeToLive: -1n }, "malformed", /nanoseconds/],
  "for longer than 64 bits": [{ maxTimeToLive: 1n << 64n }, "malformed", /nanoseconds/],
  "for a broken number": [{ maxTimeToLive: 1.5 }, "malformed", /nanoseconds/],
  "for a text": [{ maxTimeToLive: "1 hour" }, "malformed", /nanoseconds/],
  "with a path as derivation origin": [{ derivationOrigin: "https://other.example/" }, "malformed", /not an origin/],
};
for (const [what, [more, kind, why]] of Object.entries(malformed)) {
  test(`a legacy request ${what} is refused; the dapp hears why when it is told`, async () => {
    const w = new Opened();
    const waiting = w.await();
    w.say(legacy(more));
    await refused(waiting, kind, why);
    assert.equal(w.sent.length, 1);
    w.leave();
    await waiting.catch((e) => e.tell());
    assert.equal(w.sent.length, 2);
    assert.match(w.sent.at(-1).data.text, why);
  });
}

for (const [protocol, message] of [["legacy", legacy()], ["ICRC-29", status]]) {
  test(`${protocol} messages of other windows, of the page itself and of nobody's origin are ignored`, async () => {
    const w = new Opened();
    const waiting = w.await();
    w.say(message, { source: { postMessage: () => assert.fail("answered another window") } });
    w.say(message, { origin: pageOrigin });
    w.say(message, { origin: "null" });
    assert.equal(await settled(waiting), false);
    assert.equal(w.sent.length, 1);
    w.aborting.abort();
    await refused(waiting, "aborted", /given up/);
  });
}

test("messages of other origins and windows than the one established are ignored", async () => {
  const w = new Opened();
  const waiting = w.await();
  w.say(status);
  assert.equal((await w.answer("s")).result, "ready");
  w.say(delegation("evil"), { origin: "https://evil.example" });
  w.say(legacy(), { origin: "https://evil.example" });
  w.say(delegation("frame"), { source: {} });
  assert.equal(await settled(waiting), false);
  w.say(delegation("d"));
  assert.equal((await waiting).origin, dappOrigin);
  assert.deepEqual(w.sent.slice(1).map(({ data, target }) => [data.id, target]), [["s", dappOrigin]]);
});

test("a signer keeps answering that it is ready, and gives the delegation in ICRC-34's form", async () => {
  const w = new Opened();
  const waiting = w.await();
  w.say(status);
  w.say(delegation("d"));
  const request = await waiting;
  assert.deepEqual([request.origin, request.derivationOrigin, request.maxTimeToLive, request.purpose], [dappOrigin, dappOrigin, 3_600_000_000_000n, "delegation"]);
  assert.deepEqual(request.sessionKey, key);
  assert.equal((await w.call("s2", "icrc29_status")).result, "ready");
  request.grant(granted);
  request.grant(granted);
  assert.deepEqual(w.sent.at(-1), {
    target: dappOrigin,
    data: { jsonrpc: "2.0", id: "d", result: { publicKey: base64(granted.userKey), signerDelegation: [{ delegation: { pubkey: base64(granted.delegations[0].delegation.pubkey), expiration: "1800000000000000000" }, signature: base64(granted.delegations[0].signature) }] } },
  });
  assert.equal(w.sent.filter(({ data }) => data.id === "d").length, 1);
  assert.equal((await w.call("s3", "icrc29_status")).result, "ready");
});

test("of status requests that come close together the last is answered, so that @icp-sdk/signer does not multiply them", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const w = new Opened();
    void w.await().catch(() => {});
    const answered = () => w.sent.slice(1).map(({ data }) => data.id);
    for (const id of [1, 2, 3]) w.say({ ...status, id });
    mock.timers.tick(20);
    assert.deepEqual(answered(), [3]);
    w.say({ ...status, id: 4 });
    mock.timers.tick(200);
    w.say({ ...status, id: 5 });
    mock.timers.tick(50);
    assert.deepEqual(answered(), [3, 5]);
    w.aborting.abort();
  } finally {
    mock.timers.reset();
  }
});

test("a signer says its standards, and that permissions hold nothing back", async () => {
  const w = new Opened();
  void w.await().catch(() => {});
  w.say(status);
  const { result } = await w.call(1, "icrc25_supported_standards");
  assert.deepEqual(result.supportedStandards.map(({ name }) => name), ["ICRC-25", "ICRC-27", "ICRC-29", "ICRC-34", "ICRC-95"]);
  const granted = (method) => ({ scope: { method }, state: "granted" });
  assert.deepEqual((await w.call(2, "icrc25_permissions")).result, { scopes: [granted("icrc27_accounts"), granted("icrc34_delegation")] });
  const scopes = [{ method: "icrc34_delegation" }, { method: "icrc49_call_canister" }];
  assert.deepEqual((await w.call(3, "icrc25_request_permissions", { scopes })).result, { scopes: [granted("icrc34_delegation")] });
  assert.equal((await w.call(4, "icrc25_request_permissions", { scopes: "all" })).error.code, -32602);
  assert.equal((await w.call(5, "icrc25_request_permissions", { scopes: new Array(101).fill(scopes[0]) })).error.code, -32602);
  assert.equal((await w.call(6, "icrc49_call_canister", {})).error.code, 2000);
  w.aborting.abort();
});

test("accounts are the principal of the key, and no delegation is handed on", async () => {
  const w = new Opened();
  const waiting = w.await();
  w.say({ jsonrpc: "2.0", id: 7, method: "icrc27_accounts" });
  const request = await waiting;
  assert.equal(request.purpose, "accounts");
  assert.equal(request.sessionKey.length, 91);
  request.grant({ ...granted, userKey: key });
  const { result } = await w.answer(7);
  assert.equal(result.accounts.length, 1);
  assert.match(result.accounts[0].owner, /^([a-z2-7]{5}-){10}[a-z2-7]{3}$/);
  assert.deepEqual(Object.keys(result), ["accounts"]);
});

const badParams = {
  "without a key": [{ publicKey: undefined }, "malformed", /session key/],
  "with a key in base64url": [{ publicKey: base64(Uint8Array.of(255, 239)).replace("/", "_") }, "malformed", /session key/],
  "with base64 that ends in stray bits": [{ publicKey: "AB==" }, "malformed", /session key/],
  "with a key that is too long": [{ publicKey: base64(new Uint8Array(2049)) }, "malformed", /session key/],
  "with a key that signs nothing": [{ publicKey: base64(key.subarray(1)) }, "key", /not a DER-encoded/],
  "for no number of nanoseconds": [{ maxTimeToLive: "0x10" }, "malformed", /nanoseconds/],
  "with targets that are no list": [{ targets: "aaaaa-aa" }, "malformed", /list of canisters/],
  "with too many targets": [{ targets: new Array(1001).fill("aaaaa-aa") }, "malformed", /list of canisters/],
  "with a derivation origin that is none": [{ icrc95DerivationOrigin: "other.example" }, "malformed", /not an origin/],
};
for (const [what, [more, kind, why]] of Object.entries(badParams)) {
  test(`a delegation ${what} is refused; the dapp hears why when it is told`, async () => {
    const w = new Opened();
    const waiting = w.await();
    w.say(delegation("d", more));
    await refused(waiting, kind, why);
    assert.equal(w.sent.length, 1);
    await waiting.catch((e) => e.tell());
    const { error } = await w.answer("d");
    assert.equal(error.code, -32602);
    assert.match(error.message, why);
  });
}

test("a dapp whose window is closed hears at once that it was", async () => {
  const w = new Opened();
  const waiting = w.await();
  w.say(delegation("d"));
  w.say({ jsonrpc: "2.0", id: "a", method: "ii-icrc3-attributes", params: { keys: [], nonce: base64(new Uint8Array(32)) } });
  const request = await waiting;
  w.leave();
  assert.deepEqual((await w.answer("d")).error, { code: 3001, message: "The window was closed." });
  assert.equal((await w.answer("a")).error.code, 3001);
  request.grant(granted);
  assert.equal(w.sent.filter(({ data }) => data.id === "d").length, 1);
});

test("a person's no is an aborted action, a failure is a generic error", async () => {
  const w = new Opened();
  const waiting = w.await();
  w.say(delegation(1));
  w.say(delegation(2));
  const first = await waiting;
  first.refuse({ kind: "cancelled", message: "no" });
  assert.deepEqual((await w.answer(1)).error, { code: 3001, message: "no" });
  (await first.next()).refuse({ kind: "failed", message: "broken" });
  assert.deepEqual((await w.answer(2)).error, { code: 1000, message: "broken" });
});

test("requests are answered in their order, each once, also after the first", async () => {
  const w = new Opened();
  const waiting = w.await();
  w.say(delegation(1));
  const first = await waiting;
  const next = first.next();
  first.grant(granted);
  assert.equal(await settled(next), false);
  w.say({ jsonrpc: "2.0", id: 2, method: "icrc27_accounts" });
  assert.equal((await next).purpose, "accounts");
});

test("at most eight requests wait, each with an id of its own, and at most a hundred are taken", async () => {
  const w = new Opened();
  const waiting = w.await();
  w.say(delegation(0));
  await waiting;
  assert.match((await w.call(0, "icrc34_delegation", delegation(0).params)).error.message, /this id/);
  for (let id = 1; id < 8; id++) w.say(delegation(id));
  assert.match((await w.call(8, "icrc34_delegation", delegation(8).params)).error.message, /At most 8/);
  // So do questions for attributes, which wait for a sign-in.
  const question = { keys: ["name"], nonce };
  for (let id = 10; id < 18; id++) w.say({ jsonrpc: "2.0", id, method: "ii-icrc3-attributes", params: question });
  assert.match((await w.call(18, "ii-icrc3-attributes", question)).error.message, /At most 8/);
  for (let id = 100; id < 181; id++) assert.ok((await w.call(id, "icrc25_permissions")).result);
  assert.match((await w.call(999, "icrc25_permissions")).error.message, /Too many/);
  assert.equal((await w.call("still", "icrc29_status")).result, "ready");
});

test("what has no id, an id of another type or a long one is not answered", async () => {
  const w = new Opened();
  void w.await().catch(() => {});
  for (const id of [undefined, null, {}, true, "x".repeat(129)]) w.say({ jsonrpc: "2.0", id, method: "icrc25_permissions" });
  w.say(status);
  await w.answer("s");
  assert.equal(w.sent.length, 2);
  w.aborting.abort();
});

const nonce = base64(new Uint8Array(32).fill(9));

test("attributes are answered after the sign-in, for the same derivation origin, with what the canister signed", async () => {
  const w = new Opened();
  const waiting = w.await();
  w.say({ jsonrpc: "2.0", id: "a", method: "ii-icrc3-attributes", params: { keys: ["name"], nonce } });
  w.say({ jsonrpc: "2.0", id: "b", method: "ii-icrc3-attributes", params: { keys: ["name"], nonce, icrc95DerivationOrigin: "https://other.example" } });
  w.say(delegation("d"));
  const request = await waiting;
  assert.equal(w.sent.length, 1);
  const asked = [];
  request.grant(granted, { attributes: async (question) => (asked.push(question), { data: Uint8Array.of(1), signature: Uint8Array.of(2) }) });
  assert.deepEqual((await w.answer("a")).result, { data: "AQ==", signature: "Ag==" });
  assert.equal((await w.answer("b")).error.code, -32602);
  assert.deepEqual(asked, [{ keys: ["name"], nonce: new Uint8Array(32).fill(9) }]);
  assert.deepEqual((await w.call("c", "ii-icrc3-attributes", { keys: [], nonce })).result, { data: "AQ==", signature: "Ag==" });
});

test("attributes that the canister does not give, or fails to, are an error and no silence", async () => {
  const w = new Opened();
  const waiting = w.await();
  w.say(delegation(1));
  w.say({ jsonrpc: "2.0", id: "a", method: "ii-icrc3-attributes", params: { keys: ["name"], nonce } });
  const first = await waiting;
  first.grant(granted);
  assert.equal((await w.answer("a")).error.code, 2000);
  w.say(delegation(2));
  (await first.next()).grant(granted, { attributes: () => Promise.reject(new Error("no such attribute")) });
  assert.deepEqual((await w.call("b", "ii-icrc3-attributes", { keys: ["name"], nonce })).error, { code: 1000, message: "no such attribute" });
});

test("attributes with a wrong nonce or too many keys are refused, and those without a sign-in after three seconds", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const w = new Opened();
    void w.await().catch(() => {});
    w.say(status);
    const code = async (id, params) => (await w.call(id, "ii-icrc3-attributes", params)).error.code;
    assert.equal(await code(1, { keys: ["name"], nonce: base64(new Uint8Array(31)) }), -32602);
    assert.equal(await code(2, { keys: new Array(21).fill("name"), nonce }), -32602);
    assert.equal(await code(3, { keys: ["x".repeat(201)], nonce }), -32602);
    w.say({ jsonrpc: "2.0", id: 4, method: "ii-icrc3-attributes", params: { keys: ["name"], nonce } });
    mock.timers.tick(2_999);
    assert.ok(!w.sent.some(({ data }) => data.id === 4));
    mock.timers.tick(1);
    assert.match((await w.answer(4)).error.message, /together with a sign-in/);
  } finally {
    mock.timers.reset();
  }
});
