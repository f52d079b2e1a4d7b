// The released icp-cli links an identity through the page /cli: `icp identity link web`, with a browser that a script
// stands in for, then calls with the delegation.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, request as ask } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { AnonymousIdentity } from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";
import { launch, root, skip } from "../../web/e2e/browser.mjs";
import { Network, counterSource, motoko } from "../../node/e2e/network.mjs";
import { Authenticator, Person } from "./person.mjs";
import { Site } from "./site.mjs";

const program = join(root, "node_modules/@icp-sdk/icp-cli-linux-x64/bin/icp");
const missing = existsSync(program) ? skip : "there is no icp-cli for this machine";

/**
 * A proxy that finds every name on this computer. Names under localhost mean this computer to browsers; to other
 * programs only where the system's resolver knows that.
 */
async function startProxy() {
  const server = createServer((request, response) => {
    const { port, pathname, search } = new URL(request.url);
    const onward = ask({ host: "127.0.0.1", port, path: pathname + search, method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

describe("icp identity link web", { skip: missing, timeout: 600_000 }, () => {
  let network, site, browser, person, canister, folder, proxy;
  const phone = new Authenticator();

  before(async () => {
    [network, site, browser, proxy, folder] = await Promise.all([Network.start("--nodes", "1", "--ii"), Site.start(), launch(), startProxy(), mkdtemp(join(tmpdir(), "portico-cli-"))]);
    canister = await network.install(network.agent(new AnonymousIdentity()), motoko(counterSource));
    person = await Person.start(browser, network, site);
    await person.create("Ada", phone);
    // What opens browsers on Linux: here it leaves the address for the test.
    await writeFile(join(folder, "xdg-open"), `#!/bin/sh\necho "$1" > "${folder}/new" && mv "${folder}/new" "${folder}/address"\n`);
    await chmod(join(folder, "xdg-open"), 0o755);
  });
  after(async () => {
    await browser?.close();
    site?.stop();
    proxy?.close();
    await network?.remove();
    if (folder) await rm(folder, { recursive: true });
  });

  /** Starts icp; its output gathers in the process's `said`. */
  function icp(...args) {
    const through = `http://127.0.0.1:${proxy.address().port}`;
    const env = { ...process.env, PATH: `${folder}:${process.env.PATH}`, ICP_HOME: join(folder, "home"), DO_NOT_TRACK: "1", HTTP_PROXY: through, http_proxy: through };
    const child = spawn(program, args, { cwd: folder, env, stdio: ["pipe", "pipe", "pipe"] });
    child.said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (child.said += text));
    child.ended = once(child, "exit").then(([code]) => code);
    return child;
  }

  async function run(...args) {
    const child = icp(...args);
    child.stdin.end();
    assert.equal(await child.ended, 0, child.said);
    return child.said.trim();
  }

  /** What icp-cli 1.5.0 now and then panics with when it has got the delegation: its server ends before what it received is read. */
  const race = "receiving server ended unexpectedly";

  /** Links an identity, as a person with the phone does it; again if the tool trips over itself. */
  async function link(name, ...more) {
    for (let left = 5; ; left--) {
      const { asked, child } = await linkOnce(name, more);
      if (left > 0 && child.said.includes(race)) continue;
      assert.equal(child.exitCode, 0, child.said);
      return asked;
    }
  }

  async function linkOnce(name, more) {
    const address = join(folder, "address");
    await rm(address, { force: true });
    const child = icp("identity", "link", "web", name, "--auth", person.provider, "--storage", "plaintext", ...more);
    await network.until(() => child.said.includes("Press Enter"), "icp did not offer to open the browser");
    child.stdin.write("\n");
    await network.until(() => existsSync(address), "icp did not open the browser");
    const page = await person.context.newPage();
    await phone.attach(page);
    await page.goto((await readFile(address, "utf8")).trim());
    const asked = await page.locator('[data-view="start"]').innerText();
    await person.proceed(page);
    await page.locator('[data-view="done"]').waitFor();
    assert.match(page.url(), /\/cli#status=success$/);
    await child.ended;
    await page.close();
    return { asked, child };
  }

  const whoami = (name) =>
    run("canister", "call", canister.toText(), "whoamiUpdate", "()", "--identity", name, "--network", `http://localhost:${network.status.gateway_port}`, "--root-key", network.status.root_key);

  test("the tool gets an identity of its own, with which it calls", async () => {
    const asked = await link("ada");
    assert.match(asked, /command-line tool on this computer/);
    assert.match(asked, /8 hours/);
    const { publicKey } = JSON.parse(await readFile(join(folder, "home/identity/delegations/ada.json"), "utf8"));
    const principal = Principal.selfAuthenticating(Buffer.from(publicKey, "hex")).toText();
    assert.match(await whoami("ada"), new RegExp(`principal "${principal}"`));
  });

  test("a tool that asks for an app's identity gets the principal that the app knows, and the page names the app", async () => {
    const app = site.origin("one");
    const asked = await link("ada-at-one", "--app", app);
    assert.match(asked, /one\.localhost/);
    const dapp = await person.dapp("one", { canister });
    const { principal } = await person.signIn(dapp, "icp-sdk", phone);
    assert.match(await whoami("ada-at-one"), new RegExp(`principal "${principal}"`));
  });

  test("a page that no tool opened, or one that would send the delegation elsewhere, says so", async () => {
    const page = await person.open("/cli");
    await page.locator('[data-view="failed"]').waitFor();
    assert.match(await page.locator("#reason").textContent(), /Start from the tool/);
    const key = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "der" });
    const evil = new URLSearchParams({ public_key: key.toString("base64url"), callback: "http://evil.example:80/", nonce: "A".repeat(43) });
    await page.goto("about:blank");
    await page.goto(`${person.provider}/cli#${evil}`);
    await page.locator('[data-view="failed"]').waitFor();
    assert.match(await page.locator("#reason").textContent(), /127\.0\.0\.1 with a port/);
  });

  describe("asked by a tool of the test's own", () => {
    let tool, got;
    const asking = (more) => new URLSearchParams({ public_key: key.toString("base64url"), callback: `http://127.0.0.1:${tool.address().port}/`, nonce: "A".repeat(43), ...more }).toString();
    const key = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "der" });

    before(async () => {
      tool = createServer((request, response) => {
        if (request.method === "POST") got++;
        request.resume().on("end", () => response.end("got it"));
      });
      tool.listen(0, "127.0.0.1");
      await once(tool, "listening");
    });
    after(() => tool?.close());

    async function open(more) {
      got = 0;
      const page = await person.context.newPage();
      await phone.attach(page);
      await page.goto(`${person.provider}/cli#${asking(more)}`);
      await page.locator('[data-view="start"]').waitFor();
      return page;
    }

    // Whoever opened the window may change what stands after the #, at any moment.
    test("another request in the place of the one that was agreed to has to be agreed to itself", async () => {
      const page = await open();
      const address = `#${asking({ domain: "https://bank.example" })}`;
      // A turn after the click, so that the page has begun to sign in: nothing is waited for.
      await page.evaluate((hash) => document.addEventListener("click", () => setTimeout(() => (location.hash = hash)), { once: true }), address);
      await person.proceed(page);
      await page.locator('[data-view="start"]', { hasText: "bank.example" }).waitFor();
      assert.equal(got, 0);
      await person.proceed(page);
      await page.getByText("got it").waitFor();
      assert.equal(got, 1);
      await page.close();
    });

    test("after the wrong identity, the page says that it was the wrong one", async () => {
      const page = await open({ status: "identity-mismatch" });
      await page.getByRole("alert").filter({ hasText: "linked to another identity" }).waitFor();
      await page.close();
    });
  });
});
