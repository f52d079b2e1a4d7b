// Every page and view of Internet Identity, light and dark, wide and narrow, by keyboard.
// Pictures of all of them are left in build/screenshots.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Network } from "../../node/e2e/network.mjs";
import { launch, root, skip } from "../../web/e2e/browser.mjs";
import { checkKeyboard } from "../../web/e2e/keyboard.mjs";
import { authenticator, createIdentity, person } from "./passkeys.mjs";

const pictures = join(root, "build/screenshots");
const looks = [
  ["light", "wide", { width: 1440, height: 900 }],
  ["light", "narrow", { width: 360, height: 740 }],
  ["dark", "wide", { width: 1440, height: 900 }],
  ["dark", "narrow", { width: 360, height: 740 }],
];

describe("the looks of Internet Identity", { skip }, () => {
  let network, browser, origin;

  before(async () => {
    mkdirSync(pictures, { recursive: true });
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

  /** Opens the authorize page as an app does that speaks the older protocol; returns its window. */
  async function openAsApp(page) {
    await page.goto(network.host.replace("127.0.0.1", "localhost"));
    const popup = page.waitForEvent("popup");
    await page.evaluate(async (url) => {
      const { publicKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]);
      const sessionPublicKey = new Uint8Array(await crypto.subtle.exportKey("spki", publicKey));
      const idp = open(url);
      addEventListener("message", (event) => {
        if (event.source !== idp || event.data.kind !== "authorize-ready") return;
        idp.postMessage({ kind: "authorize-client", sessionPublicKey, maxTimeToLive: 8n * 3_600_000_000_000n }, event.origin);
      });
    }, `${origin}/authorize`);
    return popup;
  }

  for (const [colorScheme, width, viewport] of looks) {
    test(`${colorScheme}, ${width}`, async (t) => {
      const page = await person(t, browser, { colorScheme, viewport });
      async function look(name, at = page) {
        await at.evaluate(() => document.fonts.ready);
        await at.screenshot({ path: join(pictures, `identity-${name}-${colorScheme}-${width}.png`), fullPage: true });
        const overflow = await at.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(overflow, 0, `${name} is wider than the window`);
        if (colorScheme === "light" && width === "narrow") await checkKeyboard(at); // colours and widths change nothing about it
      }

      await page.goto(origin);
      await page.getByRole("button", { name: "Create an identity" }).waitFor();
      await look("start");
      await press(page, "Create an identity");
      await look("create");
      await createIdentity(page, origin, "Anna Amsel");
      await look("manage-new");
      await page.getByRole("button", { name: /^Rename:/ }).click();
      await look("rename");
      await press(page, "Cancel");
      await page.getByRole("button", { name: /^Remove:/ }).click();
      await look("remove");
      await press(page, "Cancel");

      await press(page, "Create a recovery phrase");
      await heading(page, "Your recovery phrase");
      await look("phrase");
      const words = await page.locator("#words li").allInnerTexts();
      await press(page, "I wrote them down");
      await look("check");
      for (const label of await page.locator("#asked label").allInnerTexts()) {
        await page.getByLabel(label, { exact: true }).fill(words[Number(label.replace("Word ", "")) - 1]);
      }
      await press(page, "Save the recovery phrase");
      await page.getByText("The recovery phrase opens your identity").waitFor();
      await page.getByRole("button", { name: "Protect: Recovery phrase" }).click();
      await page.getByText("From now on the phrase").waitFor();

      await press(page, "Add another device");
      await heading(page, "Add another device");
      await look("add");
      const phone = await person(t, browser, { colorScheme, viewport });
      await phone.goto(await page.locator("#device-link").innerText());
      await heading(phone, "Add this device");
      await look("device-join", phone);
      await press(phone, "Show the code");
      await heading(phone, "Type this code on your other device");
      await look("device-code", phone);
      await page.getByLabel("The code that it then shows").fill(await phone.locator("#code").innerText());
      await press(page, "Let the device in");
      await heading(page, "Finish on the other device");
      await look("added");
      await heading(phone, "Create this device’s passkey");
      await look("device-make", phone);
      await press(phone, "Create a passkey");
      await heading(phone, "This device was added");
      await look("device-done", phone);
      await page.getByText("The other device was added.").waitFor();
      await look("manage");

      await press(page, "Sign out");
      await look("start-known");
      await page.passkeys.recognise(false);
      await press(page, "Continue as Anna Amsel");
      await page.getByText("No passkey was used").waitFor();
      await look("cancelled");
      await page.passkeys.recognise(true);
      await press(page, "I lost my passkeys");
      await look("recover");
      await phone.goto(`${origin}/device`);
      await phone.getByLabel("Five characters").waitFor();
      await look("device-find", phone);
      await phone.goto(`${origin}/authorize`);
      await heading(phone, "This did not work");
      await look("authorize-alone", phone);
      await phone.goto(`${origin}/nothing`);
      await look("missing", phone);
      await phone.goto(`${origin}/cli`);
      await heading(phone, "This did not work");
      await look("cli-alone", phone);

      const popup = await openAsApp(page);
      await popup.setViewportSize(viewport);
      await popup.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await popup.getByText("wants you to sign in.").waitFor();
      await look("authorize", popup);
      const keys = await authenticator(popup);
      for (const credential of await page.passkeys.credentials()) await keys.add(credential);
      await press(popup, "Choose an account");
      await heading(popup, "Choose an account");
      await popup.getByText("Create another account").click();
      await look("accounts", popup);
      await popup.getByLabel("Its name").fill("Work");
      await press(popup, "Create and continue");
      await heading(popup, "You are signed in");
      await look("signed-in", popup);
      const again = await openAsApp(page);
      await again.setViewportSize(viewport);
      await again.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      const same = await authenticator(again);
      for (const credential of await page.passkeys.credentials()) await same.add(credential);
      await press(again, "Choose an account");
      await press(again, "Rename: Work");
      await again.getByLabel("Name", { exact: true }).fill("Work, where nobody is to know who I am");
      await look("account-rename", again);
      await press(again, "Save");
      await press(again, "Make it the usual one: Work, where nobody is to know who I am");
      await again.getByText("From now on you get Work").waitFor();
      await look("accounts-usual", again);
      assert.deepEqual(page.complaints, []);
      assert.deepEqual(phone.complaints.filter((c) => !/status of 404/.test(c)), []);
    });
  }
});
