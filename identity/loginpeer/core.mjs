// A log-in checked with nothing but @icp-sdk/core, and loginpeer at the other side.
// The package verifies certificates but has no function for canister signatures: what
// the interface specification says about them is spelled out here with its parts.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash, webcrypto } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Cbor, Certificate, IC_REQUEST_AUTH_DELEGATION_DOMAIN_SEPARATOR, lookup_path, LookupPathStatus, reconstruct, requestIdOf, unwrapDER } from "@icp-sdk/core/agent";
import { DelegationChain, Ed25519KeyIdentity, isDelegationValid } from "@icp-sdk/core/identity";
import { Principal } from "@icp-sdk/core/principal";

/** The origin of loginpeer. */
const peerOrigin = "http://localhost:9000";
const internetIdentity = "rdmx6-jaaaa-aaaaa-aaadq-cai";

const hex = (b) => Buffer.from(b).toString("hex");
export const unhex = (s) => new Uint8Array(Buffer.from(s, "hex"));
const sha256 = (b) => new Uint8Array(createHash("sha256").update(b).digest());

/** Builds loginpeer and starts it. */
export function startPeer() {
  const folder = mkdtempSync(join(tmpdir(), "loginpeer-"));
  const program = join(folder, "loginpeer");
  execFileSync("go", ["build", "-o", program, "."], { cwd: dirname(fileURLToPath(import.meta.url)), stdio: "inherit" });
  const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
  const waiting = [];
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift().resolve(line));
  child.on("exit", (code) => waiting.forEach((w) => w.reject(new Error(`loginpeer ended with ${code}`))));
  return {
    ask: (...words) =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        child.stdin.write(words.join(" ") + "\n");
      }),
    end() {
      child.stdin.end();
      rmSync(folder, { recursive: true });
    },
  };
}

/** What a session key signs; identity.Message in Go. */
const message = (challenge, origin) => new Uint8Array(Buffer.concat([Buffer.from("\x0Eportico-log-in"), challenge, Buffer.from(origin)]));

/** The body of a log-in. */
export async function logIn(chain, identity, challenge) {
  return JSON.stringify({ challenge: hex(challenge), chain, signature: hex(await identity.sign(message(challenge, peerOrigin))) });
}

// 1.3.6.1.4.1.56387.1.2, 1.3.101.112 and 1.2.840.10045.2.1 with P-256.
const canisterOID = unhex("300c060a2b0601040183b8430102");
const ed25519OID = unhex("300506032b6570");
const p256OID = unhex("301306072a8648ce3d020106082a8648ce3d030107");

function unwrapped(der, oid) {
  try {
    return unwrapDER(der, oid);
  } catch {
    return undefined;
  }
}

async function checkSignature(rootKey, der, signed, signature) {
  let key;
  if ((key = unwrapped(der, ed25519OID))) {
    assert(Ed25519KeyIdentity.verify(signature, signed, key), "Ed25519 signature");
  } else if ((key = unwrapped(der, p256OID))) {
    const imported = await webcrypto.subtle.importKey("spki", der, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
    assert(await webcrypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, imported, signature, signed), "P-256 signature");
  } else if ((key = unwrapped(der, canisterOID))) {
    await checkCanisterSignature(rootKey, key, signed, signature);
  } else {
    throw new Error("a key of another scheme");
  }
}

async function checkCanisterSignature(rootKey, key, signed, signature) {
  const canisterId = Principal.fromUint8Array(key.slice(1, 1 + key[0]));
  assert.equal(canisterId.toText(), internetIdentity, "trusted canister");
  const seed = key.slice(1 + key[0]);
  const parts = Cbor.decode(signature);
  // Signatures of canisters have no age; whoever uses a delegation checks its expiry.
  const certificate = await Certificate.create({ certificate: parts.certificate, rootKey, principal: { canisterId }, disableTimeVerification: true });
  const certified = certificate.lookup_path(["canister", canisterId.toUint8Array(), "certified_data"]);
  assert.equal(certified.status, LookupPathStatus.Found);
  assert.equal(hex(certified.value), hex(await reconstruct(parts.tree)), "certified data");
  const leaf = lookup_path(["sig", sha256(seed), sha256(signed)], parts.tree);
  assert.equal(leaf.status, LookupPathStatus.Found);
  assert.equal(leaf.value.length, 0);
}

/** Returns the principal of a log-in at an origin, or throws. */
export async function verifyWithCore(rootKey, body, origin = peerOrigin) {
  const { challenge, chain, signature } = JSON.parse(body);
  const parsed = DelegationChain.fromJSON(chain);
  assert(isDelegationValid(parsed), "expired");
  assert(parsed.delegations.length > 0);
  let key = parsed.publicKey;
  for (const { delegation, signature } of parsed.delegations) {
    const signed = new Uint8Array([...IC_REQUEST_AUTH_DELEGATION_DOMAIN_SEPARATOR, ...requestIdOf({ ...delegation })]);
    await checkSignature(rootKey, key, signed, signature);
    key = delegation.pubkey;
  }
  await checkSignature(rootKey, key, message(unhex(challenge), origin), unhex(signature));
  return Principal.selfAuthenticating(parsed.publicKey).toText();
}
