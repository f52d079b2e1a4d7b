// The sample dapp of "make run": people log in to it with a passkey and are greeted by
// their principal, which stays the same while replicas are killed and the canister is upgraded.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { Network } from "../../node/e2e/network.mjs";
import { launch, root, skip } from "../../web/e2e/browser.mjs";
import { Authenticator, Person } from "./person.mjs";

const sample = path.join(root, "build", "sample");
const pictures = path.join(root, "build", "screenshots");
const patience = { timeout: 60_000 };

describe("the sample dapp with Internet Identity", { skip }, () => {
  let network, browser, person, phone, page, principal;

  before(async () => {
    mkdirSync(pictures, { recursive: true });
    network = await Network.start("--ii", "--sample", sample);
    browser = await launch();
    person = await Person.start(browser, network);
    phone = new Authenticator();
    await (await person.create("Ada", phone)).close();
    page = await person.context.newPage();
    await page.goto(/sample dapp is at +(\S+)/.exec(network.output)[1]);
  });
  after(async () => {
    await browser?.close();
    await network?.remove();
  });

  const is = (id, text) => page.waitForFunction(([i, t]) => document.getElementById(i)?.textContent === t, [id, text], patience);
  const caller = () => page.locator("#caller").textContent();

  async function logIn() {
    await page.locator("#login:enabled").waitFor(patience);
    await person.proceed(await person.press(page, "login", phone));
    await is("greeting", "Hello,");
    await page.locator("#logout:enabled").waitFor(patience);
    return caller();
  }

  async function logOut() {
    await page.click("#logout:enabled", patience);
    await is("greeting", "You are");
  }

  const picture = async (name) => {
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      for (const [wide, width] of [["wide", 1280], ["narrow", 360]]) {
        await page.setViewportSize({ width, height: 800 });
        await page.screenshot({ path: path.join(pictures, `${name}-${colorScheme}-${wide}.png`) });
      }
    }
  };

  test("who logs in is greeted by their principal, and the backend knows them by it", async () => {
    await page.locator("#login:enabled").waitFor(patience);
    const before = await caller();
    await is("mine", "0 times");
    await picture("sample-nobody");
    principal = await logIn();
    assert.notEqual(principal, before);
    assert.match(principal, /^[a-z0-9]{5}(-[a-z0-9]{1,5}){10}$/);
    await page.click("#increment:enabled", patience);
    await is("mine", "once");
    await picture("sample-somebody");
    await page.reload();
    await is("caller", principal); // still logged in
    await is("mine", "once");
    await logOut();
    assert.equal(await caller(), before);
    await is("mine", "0 times");
  });

  test("after a replica is killed the same person is greeted", async () => {
    process.kill((await network.replicas())[1], "SIGKILL");
    assert.equal(await logIn(), principal);
    await is("mine", "once");
    await logOut();
  });

  test("after an upgrade of the canister the same person is greeted", async () => {
    const changed = path.join(network.folder, "changed.wasm");
    // a section that means nothing makes another module of it
    await writeFile(changed, Buffer.concat([await readFile(path.join(root, "build", "identity.wasm")), Buffer.from([0, 4, 3]), Buffer.from("e2e")]));
    network.flags.push("--gateway-port", String(network.status.gateway_port), "--ii-wasm", changed); // another port would be another origin
    assert.equal(await network.stop(), 0);
    await network.up();
    await page.reload();
    assert.equal(await logIn(), principal);
    await is("mine", "once");
  });
});
