// Recovery phrases: 24 English words of BIP-39, whose key is the Ed25519 key at
// m/44'/223'/0'/0'/0' of SLIP-10, as other front ends of Internet Identity derive it.

import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import { wordlist } from "@scure/bip39/wordlists/english.js";
import type { Method } from "./interface.ts";
import { Problem } from "./problem.ts";

export const phraseWords = 24;
const entropyBytes = 32;
const bitsPerWord = 11;
/** Every step of the path is hardened: Ed25519 has no other. */
const path = [44, 223, 0, 0, 0];
const hardened = 0x8000_0000;
const seedRounds = 2048;

/** Makes a phrase of 256 random bits. */
export async function newPhrase(): Promise<string[]> {
  return toWords(crypto.getRandomValues(new Uint8Array(entropyBytes)));
}

/** The words of 32 bytes: with the first byte of their SHA-256 behind them, eleven bits each. */
export async function toWords(entropy: Uint8Array<ArrayBuffer>): Promise<string[]> {
  const bits = [...entropy, await checksum(entropy)].map((b) => b.toString(2).padStart(8, "0")).join("");
  return Array.from({ length: phraseWords }, (_, i) => wordlist[parseInt(bits.slice(i * bitsPerWord, (i + 1) * bitsPerWord), 2)] ?? "");
}

async function checksum(entropy: Uint8Array<ArrayBuffer>): Promise<number> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", entropy))[0] ?? 0;
}

/**
 * Reads what somebody typed: any case, any space between the words, and before them
 * perhaps a number of an identity, which older front ends showed with the words. Throws
 * a Problem that says which word is wrong.
 */
export async function readPhrase(text: string): Promise<string[]> {
  const words = text.normalize("NFKD").toLowerCase().split(/[\s,;]+/).filter(Boolean);
  if (/^\d+$/.test(words[0] ?? "")) words.shift();
  if (words.length !== phraseWords) throw new Problem("unknown", `A recovery phrase has ${phraseWords} words. These are ${words.length}.`);
  const numbers = words.map((word) => wordlist.indexOf(word));
  const wrong = numbers.indexOf(-1);
  if (wrong >= 0) throw new Problem("unknown", `Word ${wrong + 1}, “${(words[wrong] ?? "").slice(0, 20)}”, is not a word of recovery phrases. Check how it is written.`);
  const bits = numbers.map((n) => n.toString(2).padStart(bitsPerWord, "0")).join("");
  const bytes = Uint8Array.from({ length: entropyBytes + 1 }, (_, i) => parseInt(bits.slice(8 * i, 8 * i + 8), 2));
  if ((await checksum(bytes.slice(0, entropyBytes))) !== bytes[entropyBytes]) {
    throw new Problem("unknown", "These words do not belong together: one of them is wrong, or two have changed places.");
  }
  return words;
}

/** The key of a phrase that somebody typed. */
export async function phraseIdentity(text: string): Promise<Ed25519KeyIdentity> {
  const words = await readPhrase(text);
  return Ed25519KeyIdentity.generate(await derive(words));
}

/** The 32 bytes from which Ed25519 makes the key. */
async function derive(words: readonly string[]): Promise<Uint8Array> {
  const encoder = new TextEncoder();
  const password = await crypto.subtle.importKey("raw", encoder.encode(words.join(" ")), "PBKDF2", false, ["deriveBits"]);
  const seed = await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-512", salt: encoder.encode("mnemonic"), iterations: seedRounds }, password, 512);
  return childKey(new Uint8Array(seed), path);
}

/** The private key of SLIP-10 at a path below the master key of a seed. */
export async function childKey(seed: Uint8Array<ArrayBuffer>, steps: readonly number[]): Promise<Uint8Array> {
  let node = await hmac(new TextEncoder().encode("ed25519 seed"), seed);
  for (const step of steps) {
    const data = new Uint8Array(1 + 32 + 4);
    data.set(node.slice(0, 32), 1);
    new DataView(data.buffer).setUint32(33, hardened + step);
    node = await hmac(node.slice(32), data);
  }
  return node.slice(0, 32);
}

async function hmac(key: Uint8Array<ArrayBuffer>, data: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-512" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, data));
}

/** The phrase's key as the canister stores it. */
export function phraseMethod(identity: Ed25519KeyIdentity): Method {
  return {
    authn_method: { PubKey: { pubkey: identity.getPublicKey().toDer() } },
    security_settings: { protection: { Unprotected: null }, purpose: { Recovery: null } },
    metadata: [
      ["alias", { String: "Recovery phrase" }],
      ["usage", { String: "recovery_phrase" }],
    ],
    last_authentication: [],
  };
}
