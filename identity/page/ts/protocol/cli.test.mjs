// /cli answers the tool that asked, on this computer, and reads nothing but what icp-cli sends.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DelegationChain } from "@icp-sdk/core/identity";
import { granted, modules, sessionKey } from "./fixtures.mjs";

const { readCli, delegationJSON } = modules;
const key = sessionKey("ec", { namedCurve: "P-256" });
const base64url = (bytes) => Buffer.from(bytes).toString("base64url");
const good = { public_key: base64url(key), callback: "http://127.0.0.1:4711/", nonce: base64url(new Uint8Array(32)) };
const read = (more) => readCli("#" + new URLSearchParams(Object.entries({ ...good, ...more }).filter(([, value]) => value !== undefined)));
const refused = (more, why, kind = "malformed") => assert.throws(() => read(more), (e) => e.kind === kind && why.test(e.message));

test("a tool's request is for eight hours and the tool's own principal, unless it says otherwise", () => {
  const { kind, request } = read({});
  assert.equal(kind, "request");
  assert.deepEqual(request.sessionKey, key);
  assert.deepEqual([request.maxTimeToLive, request.derivationOrigin, request.app, request.mismatch], [480n * 60_000_000_000n, "https://cli.id.ai", undefined, false]);
  const other = read({ ttl: "30", domain: "shop.example", status: "identity-mismatch" }).request;
  assert.deepEqual([other.maxTimeToLive, other.derivationOrigin, other.app, other.mismatch], [30n * 60_000_000_000n, "https://shop.example", "https://shop.example", true]);
  assert.equal(read({ domain: "http://shop.localhost:8000" }).request.app, "http://shop.localhost:8000");
  assert.equal(read({ domain: "" }).request.app, undefined);
  assert.equal(read({ ttl: "999999" }).request.maxTimeToLive, 30n * 24n * 60n * 60_000_000_000n); // what it gets at most
});

test("how an earlier request ended is read", () => {
  for (const status of ["success", "error", "identity-mismatch"]) assert.deepEqual(readCli(`#status=${status}`), { kind: "status", status });
  assert.throws(() => readCli("#status=odd"), (e) => e.kind === "malformed");
});

test("a page that no tool opened says so", () => {
  for (const fragment of ["", "#"]) assert.throws(() => readCli(fragment), (e) => e.kind === "no-opener" && /Start from the tool/.test(e.message));
});

test("a delegation goes to an address on this computer alone", () => {
  for (const callback of [
    undefined, "", "here", "https://127.0.0.1:4711/", "http://localhost:4711/", "http://[::1]:4711/", "http://127.0.0.1/", "http://127.0.0.2:4711/", "http://192.168.1.2:4711/",
    "http://127.0.0.1.evil.example:4711/", "http://127.0.0.1:4711@evil.example/", "http://evil@127.0.0.1:4711/", "http://:evil@127.0.0.1:4711/", "http://127.0.0.1:4711/#x", "javascript:alert(1)",
  ]) {
    refused({ callback }, /127\.0\.0\.1 with a port/);
  }
});

test("keys, nonces, times and apps of other forms are refused", () => {
  refused({ public_key: undefined }, /no session key/);
  refused({ public_key: Buffer.from(key).toString("base64") }, /no session key/);
  refused({ public_key: base64url(key.subarray(1)) }, /not a DER-encoded/, "key");
  for (const nonce of [undefined, "", base64url(new Uint8Array(15)), base64url(new Uint8Array(65)), "a b".padEnd(43, "c"), "A".repeat(42) + "B"]) refused({ nonce }, /nonce/);
  for (const ttl of ["", "0", "-1", "1.5", "1e3", "1000000", "NaN"]) refused({ ttl }, /minutes/);
  for (const domain of ["http://shop.example", "https://shop.example/x", "https://shop.example?x", "https://shop.example#x", "https://a@shop.example", "https://:a@shop.example", "ftp://shop.example", "a b"]) {
    refused({ domain }, /no address with https/);
  }
});

test("the delegation is written as the tool's library reads it", () => {
  const chain = DelegationChain.fromJSON(delegationJSON(granted));
  assert.deepEqual(new Uint8Array(chain.publicKey), granted.userKey);
  assert.equal(chain.delegations[0].delegation.expiration, granted.delegations[0].delegation.expiration);
  assert.deepEqual(JSON.parse(delegationJSON(granted)), JSON.parse(JSON.stringify(chain.toJSON())));
});
