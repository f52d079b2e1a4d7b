// Session keys are of the forms that the replica accepts, byte by byte, or refused with what is wrong.

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { modules, sessionKey } from "./fixtures.mjs";

const { checkSessionKey } = modules;
const refused = (der, why) => assert.throws(() => checkSessionKey(Uint8Array.from(der)), (e) => e.kind === "key" && why.test(e.message));
const changed = (der, at, value) => Uint8Array.from(der).fill(value, at, at + 1);

const der = (oid, key) => {
  const length = (n) => (n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255]);
  const algorithm = [0x30, oid.length, ...oid];
  const bits = [0x03, ...length(key.length + 1), 0, ...key];
  return Uint8Array.from([0x30, ...length(algorithm.length + bits.length), ...algorithm, ...bits]);
};
const coseOID = [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xb8, 0x43, 0x01, 0x01];
const canisterOID = [...coseOID.slice(0, -1), 0x02];
const cose = (entries) => {
  const head = (major, n) => (n < 24 ? [(major << 5) | n] : n < 256 ? [(major << 5) | 24, n] : [(major << 5) | 25, n >> 8, n & 255]);
  const item = (v) => (v instanceof Uint8Array ? [...head(2, v.length), ...v] : v < 0 ? head(1, -1 - v) : head(0, v));
  return [...head(5, entries.length), ...entries.flatMap(([k, v]) => [...item(k), ...item(v)])];
};
const jwk = (type, options, ...names) => {
  const key = generateKeyPairSync(type, options).publicKey.export({ format: "jwk" });
  return names.map((name) => new Uint8Array(Buffer.from(key[name], "base64url")));
};
const [x, y] = jwk("ec", { namedCurve: "P-256" }, "x", "y");
const [edwards] = jwk("ed25519", undefined, "x");
const [n, e] = jwk("rsa", { modulusLength: 2048 }, "n", "e");
const p256 = [[1, 2], [3, -7], [-1, 1], [-2, x], [-3, y]];

const curves = ["P-256", "secp256k1"];

test("keys of every scheme that signs requests are taken", () => {
  checkSessionKey(sessionKey());
  for (const namedCurve of curves) checkSessionKey(sessionKey("ec", { namedCurve }));
  checkSessionKey(der(coseOID, cose(p256)));
  checkSessionKey(der(coseOID, cose([[1, 1], [3, -8], [-1, 6], [-2, edwards]])));
  checkSessionKey(der(coseOID, cose([[1, 3], [3, -257], [-1, n], [-2, e]])));
  checkSessionKey(der(canisterOID, [2, 1, 1, 9, 9]));
});

test("keys of other algorithms are refused", () => {
  refused(sessionKey("rsa", { modulusLength: 2048 }), /algorithm is unknown/);
  refused(sessionKey("ec", { namedCurve: "P-384" }), /algorithm is unknown/);
  refused(sessionKey("x25519"), /algorithm is unknown/);
  refused(der(coseOID, cose([[1, 2], [3, -35], [-1, 2], [-2, x], [-3, y]])), /COSE algorithm is unknown/);
  refused(der(coseOID, cose([[1, 2], [3, -7], [-1, 2], [-2, x], [-3, y]])), /not a key on P-256/);
  refused(der(coseOID, cose([[1, 3], [3, -257], [-1, n.subarray(1)], [-2, e]])), /not an RSA key/);
  refused(der(coseOID, cose([[1, 1], [3, -8], [-1, 4], [-2, edwards]])), /not an Ed25519 key/);
});

test("keys with anything before, after or missing are refused", () => {
  const key = sessionKey();
  refused([], /not a DER-encoded public key/);
  refused(key.subarray(12), /not a DER-encoded public key/);
  refused([...key, 0], /not a DER-encoded public key/);
  refused(key.subarray(0, -1), /not a DER-encoded public key/);
  refused(der([0x06, 0x03, 0x2b, 0x65, 0x70], [...key.subarray(12), 0]), /Ed25519 key has 32 bytes/);
  refused(changed(key, 11, 1), /not a DER-encoded public key/); // unused bits
  refused([0x30, 0x81, key.length - 2, ...key.subarray(2)], /not a DER-encoded public key/); // a length in more bytes than it needs
  refused([0x30, 0x82, 0, key.length - 2, ...key.subarray(2)], /not a DER-encoded public key/);
  const inner = key.subarray(2);
  refused([0x30, inner.length + 2, ...inner, 5, 0], /not a DER-encoded public key/); // a third element
  refused(new Uint8Array(2049), /more than 2048 bytes/);
});

test("points that are compressed or not on their curve are refused", () => {
  for (const namedCurve of curves) {
    const key = sessionKey("ec", { namedCurve });
    const at = key.length - 65;
    refused(changed(key, key.length - 1, key.at(-1) ^ 1), /not on the curve/);
    refused(changed(key, at, 2), /not an uncompressed point/);
    const oid = key.subarray(4, 4 + key[3]);
    refused(der(oid, [2 + (key.at(-1) & 1), ...key.subarray(at + 1, at + 33)]), /not an uncompressed point/);
    refused(der(oid, [4, ...new Uint8Array(64).fill(255)]), /not on the curve/);
  }
  refused(der(coseOID, cose([...p256.slice(0, 4), [-3, changed(y, 31, y[31] ^ 1)]])), /not on the curve/);
});

test("COSE keys are maps with each parameter once and nothing after them", () => {
  refused(der(coseOID, [...cose(p256), 0]), /not a COSE key/);
  refused(der(coseOID, cose([...p256, [-3, y]])), /not a COSE key/);
  refused(der(coseOID, cose(p256).slice(0, -1)), /not a COSE key/);
  refused(der(coseOID, [0x80]), /not a COSE key/);
  refused(der(coseOID, [0xa1, 0x1b, ...new Uint8Array(8), 0]), /not a COSE key/);
});

test("a canister's key has a canister's id in front", () => {
  refused(der(canisterOID, []), /begins with its id/);
  refused(der(canisterOID, [30, ...new Uint8Array(30)]), /begins with its id/);
  refused(der(canisterOID, [10, 1, 1]), /begins with its id/);
});
