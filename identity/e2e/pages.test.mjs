// The pages of Internet Identity on a network of one replica, with people who have
// passkeys: virtual authenticators of Chromium.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { IDL } from "@icp-sdk/core/candid";
import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import decodeQR from "qr/decode.js";
import { gzip, Network } from "../../node/e2e/network.mjs";
import { launch, root, skip } from "../../web/e2e/browser.mjs";
import { authenticator, createIdentity, identityNumber, person } from "./passkeys.mjs";

const firstPageBytes = 120_000;

describe("the pages of Internet Identity", { skip }, () => {
  let network, browser, origin;

  before(async () => {
    network = await Network.start("--nodes", "1", "--ii");
    origin = `http://id.ai.localhost:${network.status.gateway_port}`;
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await network?.remove();
  });

  const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
  const heading = (page, name) => page.getByRole("heading", { level: 1, name }).waitFor();
  const said = (page, text) => page.getByRole("status").filter({ hasText: text }).first().waitFor();
  async function problem(page, text) {
    const alert = page.getByRole("alert");
    await alert.filter({ hasText: text }).waitFor().catch(async (cause) => assert.fail(`the page says “${await alert.innerText()}”, not “${text}”`, { cause }));
  }
  const names = (page) => page.locator(".method .name").allInnerTexts();

  test("a person creates an identity, signs out, comes back and gives the passkey a name", async (t) => {
    const page = await person(t, browser);
    const number = await createIdentity(page, origin, "Anna");
    await heading(page, "Anna");
    assert.match(number, /^\d{5,}$/);
    await press(page, "Sign out");
    await press(page, "Continue as Anna");
    assert.equal(await identityNumber(page), number);
    await page.getByRole("button", { name: /^Rename:/ }).click();
    await page.getByLabel("Name", { exact: true }).fill("Anna’s phone");
    await press(page, "Save");
    await said(page, "It is called Anna’s phone now.");
    await page.reload();
    await press(page, "Continue as Anna");
    await identityNumber(page);
    assert.deepEqual(await names(page), ["Anna’s phone"]);
    assert.deepEqual(page.complaints, []);
  });

  test("a browser that knows nothing finds the identity by the passkey alone", async (t) => {
    const page = await person(t, browser);
    const number = await createIdentity(page, origin, "Ben");
    await page.evaluate(() => localStorage.clear());
    await page.goto(origin);
    await press(page, "Continue with a passkey");
    assert.equal(await identityNumber(page), number);
  });

  test("a second passkey needs a second authenticator, and either one opens the identity", async (t) => {
    const page = await person(t, browser);
    const number = await createIdentity(page, origin, "Cleo");
    await press(page, "Add a passkey on this device");
    await problem(page, "This device already has a passkey for your identity.");
    const first = await page.passkeys.credentials();
    await page.passkeys.lose();
    await authenticator(page);
    await press(page, "Add a passkey on this device");
    await said(page, "was added.");
    assert.equal((await names(page)).length, 2);
    await press(page, "Sign out");
    await press(page, "Continue as Cleo");
    assert.equal(await identityNumber(page), number);

    // The passkey of the first authenticator is removed, and opens nothing any more.
    await page.getByRole("button", { name: /^Remove:/ }).first().click();
    await press(page, "Remove");
    await said(page, "was removed.");
    assert.equal((await names(page)).length, 1);
    const other = await person(t, browser);
    await other.goto(origin);
    for (const credential of first) await other.passkeys.add(credential);
    await press(other, "Continue with a passkey");
    await problem(other, "No identity has this passkey any more");
  });

  /** Makes a recovery phrase; returns its words. */
  async function makePhrase(page) {
    await press(page, "Create a recovery phrase");
    await heading(page, "Your recovery phrase");
    const words = await page.locator("#words li").allInnerTexts();
    assert.equal(words.length, 24);
    await press(page, "I wrote them down");
    const answer = async (change) => {
      for (const label of await page.locator("#asked label").allInnerTexts()) {
        await page.getByLabel(label, { exact: true }).fill(change(words[Number(label.replace("Word ", "")) - 1]));
      }
      await press(page, "Save the recovery phrase");
    };
    await answer(() => "wrong");
    await problem(page, "Not as it was shown");
    await answer((word) => ` ${word.toUpperCase()} `);
    await said(page, "The recovery phrase opens your identity");
    assert.equal(await page.locator("#words li").count(), 0, "the words are still on the page");
    return words;
  }

  async function recover(page, text) {
    await page.goto(`${origin}/recover`);
    await page.getByRole("textbox", { name: "Recovery phrase" }).fill(text);
    await press(page, "Continue with the phrase");
  }

  test("who has lost every passkey comes back with the recovery phrase", async (t) => {
    const page = await person(t, browser);
    const number = await createIdentity(page, origin, "Dora");
    const words = await makePhrase(page);
    await page.passkeys.lose();

    const elsewhere = await person(t, browser);
    await recover(elsewhere, words.slice(0, 23).join(" "));
    await problem(elsewhere, "A recovery phrase has 24 words. These are 23.");
    await recover(elsewhere, [...words.slice(0, 23), "portico"].join(" "));
    await problem(elsewhere, "Word 24, “portico”, is not a word of recovery phrases.");
    await recover(elsewhere, `${number}\n${words.join("\n").toUpperCase()}`);
    assert.equal(await identityNumber(elsewhere), number);
    await press(elsewhere, "Add a passkey on this device");
    await said(elsewhere, "was added.");
    await press(elsewhere, "Sign out");
    await elsewhere.getByRole("button", { name: /^Continue as/ }).click();
    assert.equal(await identityNumber(elsewhere), number);
  });

  test("a protected phrase is removed by whoever has its words alone", async (t) => {
    const page = await person(t, browser);
    await createIdentity(page, origin, "Emil");
    const words = await makePhrase(page);
    const deed = (name) => page.getByRole("button", { name: `${name}: Recovery phrase` });
    await deed("Protect").click();
    await said(page, "From now on the phrase can be changed or removed only by somebody who signs in with it.");
    await deed("Remove").click();
    await press(page, "Remove");
    await problem(page, "");
    assert.ok((await names(page)).includes("Recovery phrase"));
    await recover(page, words.join(" "));
    await identityNumber(page);
    await deed("Unprotect").click();
    await said(page, "The phrase is no longer protected.");
    await deed("Remove").click();
    await press(page, "Remove");
    await problem(page, "Recovery phrase was removed, with which you were signed in.");
  });

  /** A picture of the code that is drawn by a path of squares, dark on light. */
  function pixels(path, viewBox) {
    const scale = 6;
    const width = Number(viewBox.split(" ")[2]) * scale;
    const data = new Uint8Array(4 * width * width).fill(255);
    for (const [, x, y] of path.matchAll(/M(\d+) (\d+)h1v1h-1z/g)) {
      for (let i = 0; i < scale; i++) for (let j = 0; j < scale; j++) data.fill(0, 4 * ((y * scale + i) * width + x * scale + j), 4 * ((y * scale + i) * width + x * scale + j) + 3);
    }
    return { width, height: width, data };
  }

  test("a second device comes in by the code that it shows", async (t) => {
    const page = await person(t, browser);
    const number = await createIdentity(page, origin, "Finn");
    await press(page, "Add another device");
    await heading(page, "Add another device");
    const address = await page.locator("#device-link").innerText();
    assert.equal(decodeQR(pixels(await page.locator("#qr path").getAttribute("d"), await page.locator("#qr svg").getAttribute("viewBox"))), address);
    const phone = await person(t, browser);
    await phone.goto(address);
    await phone.getByText(`identity ${number}`).waitFor();
    await press(phone, "Show the code");
    await heading(phone, "Type this code on your other device");
    const code = await phone.locator("#code").innerText();
    await page.getByLabel("The code that it then shows").fill(code.replace(/\d(?=\D*$)/, (d) => (Number(d) + 1) % 10));
    await press(page, "Let the device in");
    await problem(page, "This is not the code. You can try 4 more times.");
    await page.getByLabel("The code that it then shows").fill(code);
    await press(page, "Let the device in");
    await heading(page, "Finish on the other device");
    await heading(phone, "Create this device’s passkey");
    await press(phone, "Create a passkey");
    await heading(phone, "This device was added");
    await said(page, "The other device was added.");
    assert.equal((await names(page)).length, 2);
    await phone.getByRole("link", { name: "Go to your identity" }).click();
    await press(phone, "Continue as Finn");
    assert.equal(await identityNumber(phone), number);
  });

  test("a network that asks for captchas gets one, and shows another after a wrong answer", async (t) => {
    const wasm = await readFile(join(root, "build/identity.wasm"));
    const captcha = IDL.Record({
      max_unsolved_captchas: IDL.Nat64,
      captcha_trigger: IDL.Variant({ Static: IDL.Variant({ CaptchaEnabled: IDL.Null, CaptchaDisabled: IDL.Null }) }),
    });
    const arg = IDL.encode([IDL.Opt(IDL.Record({ captcha_config: IDL.Opt(captcha) }))], [
      [{ captcha_config: [{ max_unsolved_captchas: 50n, captcha_trigger: { Static: { CaptchaEnabled: null } } }] }],
    ]);
    const canister = await network.install(network.agent(Ed25519KeyIdentity.generate()), gzip(wasm), arg);
    const page = await person(t, browser);
    await page.goto(`http://${canister}.localhost:${network.status.gateway_port}/`);
    await press(page, "Create an identity");
    await page.getByLabel("Your name").fill("Ines");
    await press(page, "Create a passkey");
    await heading(page, "Show that you are a person");
    const picture = page.locator("#captcha");
    await page.waitForFunction(() => document.querySelector("#captcha").naturalWidth === 220);
    const first = await picture.getAttribute("src");
    await page.getByLabel("The characters").fill("?????");
    await press(page, "Continue");
    await problem(page, "These were not the characters.");
    assert.notEqual(await picture.getAttribute("src"), first);
    assert.deepEqual(page.complaints, []);
  });

  test("characters that no identity waits with are told as such", async (t) => {
    const page = await person(t, browser);
    await page.goto(`${origin}/device`);
    await page.getByLabel("Five characters").fill("aaaaa");
    await press(page, "Continue");
    await problem(page, "No identity is waiting for a device with these characters.");
  });

  test("a recovery device opens the identity from the page for recovery", async (t) => {
    const page = await person(t, browser);
    const number = await createIdentity(page, origin, "Gwen");
    await page.passkeys.lose();
    await authenticator(page, { transport: "usb" });
    await press(page, "Add a recovery device");
    await said(page, "Recovery device was added.");
    await page.goto(`${origin}/recover`);
    await press(page, "Use a recovery device");
    assert.equal(await identityNumber(page), number);
  });

  test("a person who is not recognised, and a network that is away, are told in plain words", async (t) => {
    const page = await person(t, browser);
    await createIdentity(page, origin, "Hugo");
    await press(page, "Sign out");
    await page.passkeys.recognise(false);
    await press(page, "Continue as Hugo");
    await problem(page, "No passkey was used: the request was cancelled or it took too long.");
    await page.passkeys.recognise(true);
    await page.route("**/api/**", (route) => route.abort());
    await press(page, "Continue as Hugo");
    await problem(page, "The network does not answer. Check your connection and try again.");
    await page.unroute("**/api/**");
    await press(page, "Continue as Hugo");
    await identityNumber(page);
  });

  test("a browser without passkeys is told what it lacks", async (t) => {
    const page = await person(t, browser);
    await page.addInitScript(() => delete window.PublicKeyCredential);
    await page.goto(origin);
    await press(page, "Continue with a passkey");
    await problem(page, "This browser has no passkeys.");
  });

  test("an app gets attributes together with the sign-in, signed for its nonce, and words for those that there are not", async (t) => {
    const page = await person(t, browser);
    await createIdentity(page, origin, "Jana");
    await page.goto(network.host.replace("127.0.0.1", "localhost"));
    const opened = page.waitForEvent("popup");
    await page.evaluate(async (url) => {
      const { publicKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]);
      const key = btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.exportKey("spki", publicKey))));
      const nonce = btoa(String.fromCharCode(...new Uint8Array(32).fill(7)));
      const signer = open(url);
      const ask = (id, method, params) => signer.postMessage({ jsonrpc: "2.0", id, method, params }, "*");
      const beat = setInterval(() => ask("status", "icrc29_status"), 100);
      window.answers = {};
      addEventListener("message", ({ source, data }) => {
        if (source !== signer) return;
        window.answers[data.id] = data.result ?? data.error;
        if (data.id !== "status" || data.result !== "ready" || window.asked) return;
        window.asked = true;
        clearInterval(beat);
        ask("sign-in", "icrc34_delegation", { publicKey: key, maxTimeToLive: "60000000000" });
        ask("nonce", "ii-icrc3-attributes", { keys: [], nonce });
        ask("email", "ii-icrc3-attributes", { keys: ["email"], nonce });
      });
    }, `${origin}/authorize`);
    const popup = await opened;
    await popup.getByText("It can act as you there for 1 minute.").waitFor();
    const keys = await authenticator(popup);
    for (const credential of await page.passkeys.credentials()) await keys.add(credential);
    await press(popup, "Continue as Jana");
    await page.waitForFunction(() => ["sign-in", "nonce", "email"].every((id) => window.answers[id]));
    const { "sign-in": signIn, nonce, email } = await page.evaluate(() => window.answers);
    assert.equal(signIn.signerDelegation.length, 1);
    assert.ok(Buffer.from(nonce.data, "base64").includes(Buffer.alloc(32, 7)), "the message lacks the nonce");
    assert.ok(nonce.signature.length > 100);
    assert.match(email.message, /email/);
  });

  test("who opens the pages for apps and tools by hand is told what they are for", async (t) => {
    const page = await person(t, browser);
    await page.goto(`${origin}/authorize`);
    await heading(page, "This did not work");
    await page.getByText("allow pop-ups for the app").waitFor();
    await page.goto(`${origin}/cli`);
    await page.getByText("Start the tool again.").waitFor();
    await page.goto(`${origin}/nothing/here`);
    await heading(page, "There is no such page");
  });

  test(`the first page transfers at most ${firstPageBytes} bytes, everything that it loads included`, async (t) => {
    for (const path of ["/", "/authorize"]) {
      const page = await person(t, browser);
      const session = await page.context().newCDPSession(page);
      await session.send("Network.enable");
      let bytes = 0;
      session.on("Network.loadingFinished", (e) => (bytes += e.encodedDataLength));
      // From the gateway itself: what a worker fetches for a page is not counted.
      await page.goto(`${origin}${path}?_portico=off`, { waitUntil: "networkidle" });
      t.diagnostic(`${path}: ${bytes} bytes`);
      assert.ok(bytes > 60_000 && bytes <= firstPageBytes, `${path} transferred ${bytes} bytes`);
    }
  });

  test("every page is certified, forbids frames and anything inline, and compressed as the browser likes", async () => {
    for (const path of ["/", "/authorize", "/cli", "/device", "/manage", "/recover", "/no/such/page"]) {
      const response = await fetch(`${network.host}${path}?canisterId=uqzsh-gqaaa-aaaaq-qaada-cai`);
      assert.equal(response.status, path.startsWith("/no") ? 404 : 200, path);
      const policy = response.headers.get("content-security-policy");
      for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) assert.ok(policy.includes(part), `${path}: ${policy}`);
      assert.equal(response.headers.get("x-frame-options"), "DENY");
      assert.equal(response.headers.get("x-content-type-options"), "nosniff");
      assert.match(response.headers.get("permissions-policy"), /publickey-credentials-get=\(self\)/);
      const html = await response.text();
      assert.doesNotMatch(html, /<style|<script(?! type="module" src="\/assets\/)|\son[a-z]+=|style="/, path);
      const head = await fetch(`${network.host}${path}?canisterId=uqzsh-gqaaa-aaaaq-qaada-cai`, { method: "HEAD" });
      assert.equal(head.status, response.status);
      assert.equal(head.headers.get("content-type"), "text/html; charset=utf-8");
      for (const [, asset] of html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)) {
        for (const encoding of ["br", "gzip", "identity"]) {
          const file = await fetch(`${network.host}${asset}?canisterId=uqzsh-gqaaa-aaaaq-qaada-cai`, { headers: { "accept-encoding": encoding } });
          assert.equal(file.status, 200, asset);
          assert.equal(file.headers.get("content-encoding") ?? "identity", encoding);
          assert.match(file.headers.get("cache-control"), /max-age=31536000, immutable/);
          await file.arrayBuffer();
        }
      }
    }
  });

  test("the canister that serves pages alone refuses everything else, and the other one serves them, too", async () => {
    const { Actor } = await import("@icp-sdk/core/agent");
    const interfaceFactory = ({ IDL }) => IDL.Service({ stats: IDL.Func([], [IDL.Record({ users_registered: IDL.Nat64 })], ["query"]) });
    const actor = (canisterId) => Actor.createActor(interfaceFactory, { agent: network.agent(), canisterId });
    await assert.rejects(actor("uqzsh-gqaaa-aaaaq-qaada-cai").stats(), /this canister only serves pages: the identities are at rdmx6-jaaaa-aaaaa-aaadq-cai/);
    await actor("rdmx6-jaaaa-aaaaa-aaadq-cai").stats();
    const response = await fetch(`${network.host}/?canisterId=rdmx6-jaaaa-aaaaa-aaadq-cai`);
    assert.match(await response.text(), /content="\{&#34;root_key&#34;:&#34;308182[0-9a-f]+&#34;,&#34;backend&#34;:&#34;rdmx6-jaaaa-aaaaa-aaadq-cai&#34;\}"/);
  });

  test("another site cannot show a page in a frame", async (t) => {
    const page = await person(t, browser);
    await page.goto(network.host);
    await page.setContent(`<iframe src="${origin}/authorize"></iframe>`);
    await page.waitForFunction(() => true);
    const frame = page.frames()[1];
    await frame.waitForLoadState().catch(() => {});
    assert.equal(await frame.locator("main").count(), 0);
  });
});
