// Recovery phrases are those of other front ends, and whoever mistypes one is told where.

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { entropyToMnemonic, mnemonicToSeedSync } from "@scure/bip39";
import { wordlist } from "@scure/bip39/wordlists/english.js";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const { outputFiles } = await build({ entryPoints: [join(here, "phrase.ts")], bundle: true, format: "esm", write: false });
const { childKey, newPhrase, phraseIdentity, readPhrase, toWords } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);

const hex = (bytes) => Buffer.from(bytes).toString("hex");

test("the words of 32 bytes are those of BIP-39", async () => {
  assert.equal((await toWords(new Uint8Array(32))).join(" "), `${"abandon ".repeat(23)}art`);
  assert.equal((await toWords(new Uint8Array(32).fill(255))).join(" "), `${"zoo ".repeat(23)}vote`);
  for (let i = 0; i < 50; i++) {
    const entropy = crypto.getRandomValues(new Uint8Array(32));
    const words = await toWords(entropy);
    assert.equal(words.join(" "), entropyToMnemonic(entropy, wordlist));
    assert.deepEqual(await readPhrase(words.join(" ")), words);
  }
});

test("keys below a seed are those of SLIP-10, test vector 1 for ed25519", async () => {
  const seed = Uint8Array.from(Buffer.from("000102030405060708090a0b0c0d0e0f", "hex"));
  for (const [path, key] of [
    [[], "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7"],
    [[0], "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3"],
    [[0, 1, 2, 2, 1_000_000_000], "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793"],
  ]) assert.equal(hex(await childKey(seed, path)), key);
});

test("a phrase's key is at m/44'/223'/0'/0'/0' below its seed, however it is typed", async () => {
  const words = await newPhrase();
  const identity = await phraseIdentity(`10000, ${words.join("\n  ").toUpperCase()} `);
  const expected = await childKey(new Uint8Array(mnemonicToSeedSync(words.join(" "))), [44, 223, 0, 0, 0]);
  assert.equal(hex(identity.getKeyPair().secretKey), hex(expected));
});

test("what is no phrase is refused with the word that is wrong", async () => {
  const words = `${"abandon ".repeat(23)}art`;
  for (const [text, complaint] of [
    ["", /has 24 words. These are 0/],
    [words.replace("art", ""), /These are 23/],
    [`${words} art`, /These are 25/],
    [words.replace("abandon", "abondon"), /Word 1, “abondon”/],
    [words.replace("art", "zoo"), /do not belong together/],
  ]) await assert.rejects(readPhrase(text), complaint);
});
