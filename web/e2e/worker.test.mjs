// The service worker in a real browser: pages come through it, verified, and
// nothing that was changed on the way is shown.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, skip, startSite, stopWorkers } from "./browser.mjs";

describe("service worker", { skip }, () => {
  let site, browser;

  before(async () => {
    site = await startSite();
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await site?.stop();
  });

  /** A page in a browser that was never here. */
  async function visitor(t) {
    const context = await browser.newContext();
    t.after(() => context.close());
    const page = await context.newPage();
    page.on("pageerror", (e) => t.diagnostic(`page: ${e}`));
    return page;
  }

  /** Opens a page and waits until it came through the worker. */
  async function open(page, url, heading) {
    await page.goto(url);
    await page.getByRole("heading", { level: 1, name: heading }).waitFor();
  }

  test("the first visit installs it and shows the page", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/`, "A certified page");
    const navigation = page.waitForResponse((r) => r.url() === `${site.origin}/`);
    await page.reload();
    const response = await navigation;
    assert.ok(response.fromServiceWorker());
    assert.equal(response.headers()["x-motto"], "certified too");
    assert.equal(await page.locator("h1").evaluate((h) => getComputedStyle(h).color), "rgb(1, 2, 3)");
    await page.getByText(/^[1-9]\d*$/).first().waitFor(); // the counter, by an update call
    await page.getByText("1048576").waitFor(); // the large body, in parts
    assert.match(await page.evaluate(() => document.cookie), /flavour=plain/);
  });

  test("the verification page tells what was verified", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/`, "A certified page");
    await page.getByText("1048576").waitFor();
    await page.goto(`${site.origin}/_portico/verify`);
    await page.getByText(/^Verified: all of the last \d+ loads\.$/).waitFor();
    await page.getByText("Verified GET /", { exact: true }).click();
    const text = await page.locator("main").innerText();
    for (const expected of [site.web, "308182301d060d2b", "version 2", "the response", "http_expr", "x-motto", "default_certification("]) {
      assert.ok(text.includes(expected), `${expected} is missing in\n${text}`);
    }
  });

  test("an alias and a compressed page work", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.alias}/zipped`, "Unzipped");
    await page.goto(`${site.alias}/_portico/verify`);
    await page.getByText(/^Verified: /).waitFor();
    assert.ok((await page.locator("#facts").innerText()).includes(site.web));
  });

  test("a page that the canister does not certify needs a node's signature", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/open`, "An open page");
    await page.goto(`${site.origin}/_portico/verify`);
    await page.getByText("Not certified GET /open").waitFor();
    await page.getByText(/the canister had opted out of certification/).waitFor();
    await site.flip("An open p");
    t.after(() => site.flip());
    assert.equal((await page.goto(`${site.origin}/open`)).status(), 503);
    assert.match(await page.locator(".reason").innerText(), /signature by its node/);
  });

  for (const [what, mark, path, reason] of [
    ["the body", "A certified p", "/", /body|response/],
    ["a header", "certified t", "/", /headers/],
    ["the certificate", "certificate=:2dn3o2R0cmV", "/", /certificat/],
    ["a late part of a streamed body", "89abcdef0123456789abcdef", "/large", /body|response/],
  ]) {
    test(`a flipped bit in ${what} is refused with the reason`, async (t) => {
      const page = await visitor(t);
      await open(page, `${site.origin}/`, "A certified page");
      await site.flip(mark);
      t.after(() => site.flip());
      const response = await page.goto(site.origin + path);
      assert.equal(response.status(), 503);
      assert.ok(response.fromServiceWorker());
      await page.getByRole("heading", { name: "Verification failed" }).waitFor();
      assert.match(await page.locator(".reason").innerText(), reason);
      assert.ok(!(await page.content()).includes("A certified page"));
      await page.getByRole("link", { name: "What was verified on this site" }).click();
      await page.getByText(/could not be verified/).waitFor();
      await page.getByText(`Verification failed GET ${path}`).first().waitFor();
      await site.flip();
      await open(page, `${site.origin}/`, "A certified page");
    });
  }

  test("a flipped bit in a script keeps the script out of the page", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/`, "A certified page");
    await page.getByText("1048576").waitFor();
    await site.flip("(async () =");
    t.after(() => site.flip());
    const script = page.waitForResponse((r) => r.url().endsWith("/script.js"));
    await page.reload();
    assert.equal((await script).status(), 503);
    assert.equal(await page.locator("#large").innerText(), "");
  });

  test("a worker that was stopped starts again", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/`, "A certified page");
    await stopWorkers(page);
    const response = await page.goto(`${site.origin}/`);
    assert.ok(response.fromServiceWorker());
    await page.getByRole("heading", { name: "A certified page" }).waitFor();
    await stopWorkers(page);
    await page.goto(`${site.origin}/_portico/verify`);
    await page.getByText(/^Verified: all of the last \d+ loads\.$/).waitFor(); // the journal outlived the worker
  });

  test("a changed program in the cache is not run", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/`, "A certified page");
    await page.evaluate(async () => {
      const cache = await caches.open("portico");
      for (const r of await cache.keys()) {
        if (r.url.endsWith(".wasm")) await cache.put(r, new Response("not the light client"));
      }
    });
    await stopWorkers(page);
    await open(page, `${site.origin}/`, "A certified page");
  });

  test("problems are explained by the worker", async (t) => {
    for (const [id, heading, status] of [[site.stopped, "Canister stopped", 503], [site.missing, "No such canister", 404]]) {
      const page = await visitor(t);
      await open(page, `${site.at(id)}/`, heading);
      const response = await page.reload();
      assert.equal(response.status(), status);
    }
  });

  test("whoever wants it gets pages verified by the gateway", async (t) => {
    const page = await visitor(t);
    const response = await page.goto(`${site.origin}/?_portico=off`);
    assert.ok(!response.fromServiceWorker());
    await page.getByRole("heading", { name: "A certified page" }).waitFor();
    const again = await page.goto(`${site.origin}/`);
    assert.ok(!again.fromServiceWorker());
  });

  test("a forced reload comes back through the worker", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/`, "A certified page");
    const session = await page.context().newCDPSession(page);
    await session.send("Page.reload", { ignoreCache: true });
    await page.getByRole("heading", { name: "Opening this site" }).or(page.getByRole("heading", { name: "A certified page" })).waitFor();
    await page.getByRole("heading", { name: "A certified page" }).waitFor();
    assert.ok(await page.evaluate(() => navigator.serviceWorker.controller !== null));
  });

  test("a site cannot replace the light client by a worker of its own", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/`, "A certified page");
    const outcome = await page.evaluate(() => navigator.serviceWorker.register("/script.js").then(() => "registered", (e) => e.name));
    assert.notEqual(outcome, "registered");
  });

  test("a network that was set up anew is refused until the browser has its key", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/`, "A certified page");
    await page.addInitScript(() => {
      navigator.serviceWorker?.addEventListener("controllerchange", () => (globalThis.workerChanged = true));
    });
    await site.renew("another");
    t.after(() => site.renew("test"));
    await page.goto(`${site.origin}/`);
    await page.getByRole("heading", { name: "Verification failed" }).waitFor();
    assert.match(await page.locator(".reason").innerText(), /not signed by the network/);
    await page.waitForFunction(() => globalThis.workerChanged);
    await page.getByRole("link", { name: "Try again" }).click();
    await page.getByRole("heading", { name: "A certified page" }).waitFor();
  });
});
