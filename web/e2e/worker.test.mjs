// The service worker in a real browser: pages come through it, verified, and
// nothing that was changed on the way is shown.

import assert from "node:assert/strict";
import { get } from "node:http";
import { text } from "node:stream/consumers";
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

  test("a window that a page elsewhere opened still knows who opened it, and what for, once its worker is installed", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.alias}/zipped`, "Unzipped");
    // the first time the worker is not there yet, the second time it is
    for (const place of ["/?a=b#authorize", "/zipped#public_key=x&nonce=y"]) {
      const [popup] = await Promise.all([
        page.waitForEvent("popup"),
        page.evaluate((url) => {
          window.heard = new Promise((resolve) => addEventListener("message", ({ origin, data, source }) => resolve({ origin, data, same: source === window.popup }), { once: true }));
          window.popup = open(url, "idpWindow");
        }, site.origin + place),
      ]);
      await popup.getByRole("heading", { level: 1, name: place.startsWith("/zipped") ? "Unzipped" : "A certified page" }).waitFor();
      assert.ok(await popup.evaluate(() => navigator.serviceWorker.controller !== null), "the window was not served by a service worker");
      assert.equal(popup.url(), site.origin + place);
      await popup.evaluate(() => window.opener.postMessage("ready", "*"));
      assert.deepEqual(await page.evaluate(() => window.heard), { origin: site.origin, data: "ready", same: true });
      await page.evaluate(() => window.popup.close());
    }
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

  /** Fetches from a page; what the page sees. */
  const fetchIn = (page, url, init) => page.evaluate(async ([url, init]) => {
    const r = await fetch(url, init);
    const body = new Uint8Array(await r.arrayBuffer().catch(() => new ArrayBuffer(0)));
    return { status: r.status, headers: Object.fromEntries(r.headers), length: body.length, text: new TextDecoder().decode(body.slice(0, 200)) };
  }, [url, init]);

  for (const [what, field, mark, reason] of [
    ["the tree", "tree", "", /tree/],
    ["the delegation", "certificate", "certificate", /delegation|malformed|cannot be read/],
    ["the signature", "certificate", "signature\x58\x30", /sign/],
  ]) {
    test(`a flipped bit in ${what} is refused with the reason`, async (t) => {
      const page = await visitor(t);
      await open(page, `${site.origin}/`, "A certified page");
      await site.flip(mark, field);
      t.after(() => site.flip());
      const response = await page.goto(`${site.origin}/`);
      assert.equal(response.status(), 503);
      await page.getByRole("heading", { name: "Verification failed" }).waitFor();
      assert.match(await page.locator(".reason").innerText(), reason);
    });
  }

  for (const [what, minutes] of [["an old", -6], ["a future", 6]]) {
    test(`${what} certificate is refused`, async (t) => {
      const page = await visitor(t);
      await open(page, `${site.origin}/`, "A certified page");
      await site.clock(minutes);
      t.after(() => site.clock());
      assert.equal((await page.goto(`${site.origin}/`)).status(), 503);
      assert.match(await page.locator(".reason").innerText(), /time/);
    });
  }

  test("sites of two canisters are apart, and one cannot answer for the other", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/`, "A certified page");
    await open(page, `${site.at(site.neighbour)}/`, "The neighbour");
    assert.equal(await page.evaluate(async () => (await caches.keys()).length > 0 && !document.cookie.includes("flavour")), true);
    await site.impersonate(site.web);
    t.after(() => site.impersonate());
    assert.equal((await page.goto(`${site.at(site.neighbour)}/`)).status(), 503);
    assert.match(await page.locator(".reason").innerText(), /tree|certified data/);
    await open(page, `${site.origin}/`, "A certified page");
  });

  test("a film plays and seeks by ranges, each verified", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/film`, "A film");
    const answers = [];
    page.on("response", (r) => r.url().endsWith(".wav") && answers.push([r.status(), r.headers()["content-range"], r.fromServiceWorker()]));
    await page.reload();
    const video = page.locator("video");
    await video.evaluate((v) => v.readyState > 0 || new Promise((done, failed) => { v.onloadedmetadata = done; v.onerror = () => failed(new Error(v.error.message)); }));
    assert.equal(Math.round(await video.evaluate((v) => v.duration)), 60);
    const at = await video.evaluate((v) => new Promise((done, failed) => {
      v.onseeked = () => done([v.currentTime, v.readyState]);
      v.onerror = () => failed(new Error(v.error.message));
      v.currentTime = 50;
    }));
    assert.equal(at[0], 50);
    assert.ok(at[1] >= 2, "there is no data where it was sought");
    assert.ok(answers.length > 0 && answers.every(([status, range, verified]) => status === 206 && range && verified), JSON.stringify(answers));
  });

  test("any range is answered exactly, after the worker forgot the pieces too", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/film`, "A film");
    const total = 44 + 44100 * 4 * 60;
    for (const [range, first, last] of [
      ["bytes=0-3", 0, 3], ["bytes=1048570-1048580", 1048570, 1048580], ["bytes=3000000-", 3000000, total - 1],
      ["bytes=-10", total - 10, total - 1], [`bytes=${total - 1}-${total + 5}`, total - 1, total - 1],
    ]) {
      await stopWorkers(page);
      const r = await fetchIn(page, "/film.wav", { headers: { range } });
      assert.deepEqual([r.status, r.headers["content-range"], r.length], [206, `bytes ${first}-${last}/${total}`, last - first + 1], range);
      if (first === 0) assert.equal(r.text, "RIFF");
    }
    assert.equal((await fetchIn(page, "/film.wav", { headers: { range: `bytes=${total}-` } })).status, 416);
    const changed = await fetchIn(page, "/film.wav", { headers: { range: "bytes=5-", "if-range": '"another"' } });
    assert.deepEqual([changed.status, changed.length], [200, total]);
    const small = await fetchIn(page, "/style.css", { headers: { range: "bytes=0-1" } }); // a canister without pieces
    assert.deepEqual([small.status, small.text, small.headers["content-range"]], [206, "h1", "bytes 0-1/26"]);
  });

  test("a changed piece of a film is refused", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/film`, "A film");
    await site.flip("data");
    t.after(() => site.flip());
    const r = await fetchIn(page, "/film.wav", { headers: { range: "bytes=10-20" } });
    assert.equal(r.status, 503);
    assert.match(r.text, /Verification failed/);
  });

  test("a changed file is shown as soon as it is certified", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/zipped`, "Unzipped");
    await site.change("/style.css", "h1 { color: rgb(9, 9, 9) }");
    t.after(() => site.change("/style.css", "h1 { color: rgb(1, 2, 3) }"));
    await open(page, `${site.origin}/`, "A certified page");
    assert.equal(await page.locator("h1").evaluate((h) => getComputedStyle(h).color), "rgb(9, 9, 9)");
  });

  test("what the canister calls good for a time is not asked for again, but when somebody wants it anew", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/`, "A certified page");
    assert.equal((await fetchIn(page, "/dated")).text, "good for ten minutes");
    await site.flip("good for t");
    t.after(() => site.flip());
    const again = await fetchIn(page, "/dated");
    assert.deepEqual([again.status, again.text, again.headers["cache-control"]], [200, "good for ten minutes", "public, max-age=600"]);
    assert.match(again.headers.age, /^\d{1,2}$/);
    for (const cache of ["no-cache", "reload", "no-store"]) assert.equal((await fetchIn(page, "/dated", { cache })).status, 503, cache);
    assert.equal((await fetchIn(page, "/dated?other")).status, 503);
    await page.goto(`${site.origin}/_portico/verify`);
    await page.getByText("Verified GET /dated", { exact: true }).first().click();
    await page.getByText(/the canister lets it be used again for longer/).waitFor();
    await page.goto(`${site.origin}/zipped`);
    await stopWorkers(page); // nobody remembers it any more
    assert.equal((await fetchIn(page, "/dated")).status, 503);
  });

  test("the worker checks signatures for pages, and says no to wrong ones", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/zipped`, "Unzipped");
    // Of the sentence "signed", by a key that was made for this test.
    const signed = {
      key: "8d0273f6bf31ed37c3b8d68083ec3d8e20b5f2cc170fa24b9b5be35b34ed013f9a921f1cad1644d4bdb14674247234c8049cd1dbb2d2c3581e54c088135fef36505a6823d61b859437bfc79b617030dc8b40e32bad1fa85b9c0f368af6d38d3c",
      message: "7369676e6564",
      signature: "a384a22809cbc8135bbbedc1bed4608a715e83988135985843f5999c794686c048a2370f090f84ec2f0a9a609db28a81",
    };
    const ask = (change) => page.evaluate(async ([signed, change]) => {
      const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (b) => parseInt(b, 16));
      const { port1, port2 } = new MessageChannel();
      const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
      const question = { ask: "portico: is this signed?" };
      for (const [name, hex] of Object.entries({ ...signed, ...change })) question[name] = bytes(hex);
      navigator.serviceWorker.controller.postMessage(question, [port2]);
      return answer;
    }, [signed, change]);
    assert.equal(await ask({}), true);
    for (const change of [{ message: "7369676e65" }, { signature: signed.signature.replace(/^../, "00") }, { key: "00" }, { signature: "" }]) assert.equal(await ask(change), false, JSON.stringify(change));
  });

  test("without the network the last certified page is shown with its age", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/`, "A certified page");
    await page.getByText("1048576").waitFor();
    await page.reload();
    await page.getByText("1048576").waitFor();
    await stopWorkers(page);
    await site.down();
    t.after(() => site.down(false));
    const response = await page.goto(`${site.origin}/`);
    assert.equal(response.status(), 200);
    assert.match(response.headers()["age"], /^\d+$/);
    assert.equal(response.headers()["cache-control"], "no-store");
    assert.ok(Date.now() - Date.parse(response.headers()["x-portico-kept"]) < 60_000);
    await page.getByRole("heading", { name: "A certified page" }).waitFor();
    assert.equal(await page.locator("h1").evaluate((h) => getComputedStyle(h).color), "rgb(1, 2, 3)");
    await page.getByRole("dialog").getByText(/may be out of date/).waitFor();
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    assert.equal((await fetchIn(page, "/open")).status, 503); // never seen, and not certified anyway
    assert.equal((await fetchIn(page, "/counter", { method: "POST", body: "x" })).status, 503);
    await site.down(false);
    assert.equal((await page.goto(`${site.origin}/`)).headers()["age"], undefined);
  });

  test("what a page put among the kept answers is not shown", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/`, "A certified page");
    await page.reload();
    await page.getByText("1048576").waitFor();
    const forged = await page.evaluate(async () => {
      const name = (await caches.keys()).find((k) => k.startsWith("portico kept"));
      const cache = await caches.open(name);
      const kept = await cache.match("/");
      await cache.put("/", new Response("<h1>Forged</h1>", { headers: kept.headers }));
      return kept.status;
    });
    assert.equal(forged, 200);
    await site.down();
    t.after(() => site.down(false));
    assert.equal((await page.goto(`${site.origin}/`)).status(), 503);
    assert.ok(!(await page.content()).includes("Forged"));
  });

  test("a light client that ends is started again", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/`, "A certified page");
    const [worker] = page.context().serviceWorkers();
    await worker.evaluate(() => globalThis.portico.fetchAsset(null)).catch(() => {}); // which it does not survive
    await page.reload();
    await page.getByRole("heading", { name: "A certified page" }).waitFor();
    assert.equal((await fetchIn(page, "/style.css")).status, 200);
  });

  test("a woken worker's query leaves once, before the light client has started", async (t) => {
    const page = await visitor(t);
    await open(page, `${site.origin}/zipped`, "Unzipped");
    await fetchIn(page, "/zipped");
    // The two clocks' step of ten seconds may fall in between, then it leaves twice.
    let extra = 0;
    for (let i = 0; i < 3; i++) {
      await stopWorkers(page);
      const before = await site.queries();
      assert.equal((await fetchIn(page, "/zipped")).text, "<h1>Unzipped</h1>");
      extra += (await site.queries()) - before - 1;
    }
    assert.ok(extra <= 1, `${extra} more queries than needed`);
  });

  test("a worker does not run with the light client of another build", async (t) => {
    const page = await visitor(t);
    const script = await new Promise((resolve, reject) => {
      get({ host: "127.0.0.1", port: site.port, path: "/_portico/sw.js", headers: { host: new URL(site.origin).host } }, (r) => resolve(text(r))).on("error", reject);
    });
    const headers = { "content-type": "text/javascript", "service-worker-allowed": "/" };
    await page.context().route("**/_portico/sw.js", (route) => route.fulfill({ headers, body: script.replace(/"wasmHash":"../, '"wasmHash":"zz') }));
    await page.goto(`${site.origin}/`);
    await page.getByText(/could not be installed|could not start/).waitFor();
  });
});
