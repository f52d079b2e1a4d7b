// A web server off the network: people log in to identity/example with a passkey, at the
// Internet Identity of a network whose root key is all that the server knows. Pictures of its page
// are left in build/screenshots.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { launch, root, skip } from "../../web/e2e/browser.mjs";
import { checkKeyboard } from "../../web/e2e/keyboard.mjs";
import { Network } from "../../node/e2e/network.mjs";
import { verifyWithCore } from "../loginpeer/core.mjs";
import { Authenticator, Person } from "./person.mjs";

/** Starts the example and waits until it listens. */
async function start(folder, provider, rootKey) {
  const child = spawn(
    join(folder, "example"),
    ["-identity", provider, "-root-key", rootKey, "-listen", "127.0.0.1:0", "-script", join(folder, "page.js")],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const line = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("exit", (code) => reject(new Error(`the example ended with ${code}`)));
  });
  return {
    origin: /^(http:\/\/localhost:\d+): /.exec(line)[1],
    async stop() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      return ended;
    },
  };
}

describe("a web server off the network", { skip, timeout: 600_000 }, () => {
  const pictures = join(root, "build/screenshots");
  let folder, network, example, browser, person, passkey;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "portico-example-"));
    execFileSync("node", ["identity/example/build.mjs", folder], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
    execFileSync("go", ["build", "-o", join(folder, "example"), "./identity/example"], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
    [network, browser] = await Promise.all([Network.start("--nodes", "1", "--ii"), launch()]);
    const key = join(folder, "root-key.hex");
    writeFileSync(key, network.status.root_key + "\n");
    example = await start(folder, `http://id.ai.localhost:${network.status.gateway_port}/authorize`, key);
    person = await Person.start(browser, network, undefined);
    passkey = new Authenticator();
    await person.create("Ada", passkey);
  });
  after(async () => {
    await browser?.close();
    await example?.stop();
    await network?.remove();
    rmSync(folder, { recursive: true });
  });

  async function open(server = example) {
    const page = await person.context.newPage();
    page.on("pageerror", (error) => assert.fail(error));
    await page.goto(server.origin);
    return page;
  }

  /** Logs in, until the server has answered. */
  async function logIn(page) {
    for (let tries = 3; ; tries--) {
      const popup = await person.press(page, "log-in", passkey);
      const gone = await person.proceed(popup).then(() => undefined, (error) => error);
      await page.locator("#principal, #status.bad").waitFor({ timeout: 90_000 });
      // A window that does not answer for two seconds is given up by the package: a busy machine has such.
      const given = (await page.locator("#status.bad").allTextContents()).some((text) => text.startsWith("Channel was closed"));
      if (!given || tries === 1) {
        if (gone) throw gone;
        return;
      }
      if (!popup.isClosed()) await popup.close();
    }
  }

  /** Pictures of a page as it is, light and dark, wide and narrow. */
  async function picture(page, name) {
    mkdirSync(pictures, { recursive: true });
    for (const colorScheme of ["light", "dark"]) {
      for (const width of [1200, 390]) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 800 });
        await page.screenshot({ path: join(pictures, `example-${name}-${colorScheme}-${width}.png`), fullPage: true });
      }
    }
  }

  let principal;

  test("a person logs in with a passkey, keeps a note and logs out", async () => {
    const page = await open();
    await checkKeyboard(page);
    await picture(page, "out");
    const sent = page.waitForRequest((request) => request.url().endsWith("/log-in"), { timeout: 90_000 });
    await logIn(page);
    principal = await page.locator("#principal").textContent({ timeout: 90_000 });
    assert.match(principal, /^[a-z0-9-]{63}$/);
    const body = (await sent).postData();
    assert.equal(await verifyWithCore(network.rootKey, body, example.origin), principal, "@icp-sdk/core finds the same");
    await page.fill("#note", "water the plants");
    await page.click("#save");
    await page.getByText("Saved.").waitFor();
    await checkKeyboard(page);
    await picture(page, "in");
    await page.reload();
    assert.equal(await page.inputValue("#note"), "water the plants");
    await page.click("#log-out");
    await page.locator("#log-in").waitFor();
    assert.equal(await page.locator("#principal").count(), 0);
    await page.close();
  });

  test("and is the same person next time, with the note", async () => {
    const page = await open();
    await logIn(page);
    assert.equal(await page.locator("#principal").textContent({ timeout: 90_000 }), principal);
    assert.equal(await page.inputValue("#note"), "water the plants");
    const [cookie] = (await person.context.cookies(example.origin)).filter((c) => c.name === "identity-session");
    assert(cookie.httpOnly && cookie.sameSite === "Lax");
    assert.equal(await page.evaluate(() => document.cookie), "", "no script sees the session");
    assert.equal(await page.evaluate(() => indexedDB.databases().then((d) => d.length)), 0, "no key is left in the browser");
    await page.close();
  });

  test("a page of another origin can neither log in nor write for the person", async () => {
    const page = await person.context.newPage();
    await page.goto(person.provider);
    for (const [path, type] of [["/_identity/challenge", "text/plain"], ["/_identity/log-out", "text/plain"], ["/note", "text/plain"]]) {
      // The page's own policy would stop it: the request comes from outside, with the cookies and the origin of a page there.
      const answer = await person.context.request.post(example.origin + path, { headers: { Origin: person.provider, "Content-Type": type }, data: "evil" });
      assert.equal(answer.status(), 403, path);
      assert.equal((await answer.json()).code, "origin");
    }
    await page.goto(example.origin);
    assert.equal(await page.inputValue("#note"), "water the plants");
    await page.close();
  });

  test("a server with the root key of another network takes no log-in, and says why", async () => {
    const other = await start(folder, `http://id.ai.localhost:${network.status.gateway_port}/authorize`, await otherKey());
    try {
      const page = await open(other);
      await logIn(page);
      const status = page.locator("#status.bad");
      await status.waitFor({ timeout: 90_000 });
      assert.match(await status.textContent(), /^The network that this server trusts did not sign your log-in\. .*wrong signature/);
      await picture(page, "refused");
      await page.close();
    } finally {
      await other.stop();
    }
  });

  test("who closes the window is told so and may try again", async () => {
    const page = await open();
    await page.click("#log-out");
    await page.locator("#log-in").waitFor();
    const popup = await person.press(page, "log-in", passkey);
    await popup.locator('[data-view="start"]').waitFor({ timeout: 90_000 });
    await popup.close();
    await page.locator("#status.bad").waitFor({ timeout: 90_000 });
    await logIn(page);
    assert.equal(await page.locator("#principal").textContent({ timeout: 90_000 }), principal);
  });
});

/** The key of the main network, which signed nothing here. */
async function otherKey() {
  const { IC_ROOT_KEY } = await import("@icp-sdk/core/agent");
  return IC_ROOT_KEY;
}
