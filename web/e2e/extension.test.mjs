// The browser extension in Chromium, before gateways that are honest and others that lie.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { root, skip, startSite } from "./browser.mjs";

/** Lies by which a gateway changes what it passes on. Each gets the path, the headers and the body. */
const lies = {
  page: (path, headers, body) => (path === "/" ? body.replace("A certified page", "A forged page") : body),
  script: (path, headers, body) => (path === "/script.js" ? "document.title = 'forged script ran'" : body),
  stripped: (path, headers, body) => {
    delete headers["ic-certificate"];
    delete headers["ic-certificateexpression"];
    return body;
  },
  "stripped and changed": (path, headers, body) => lies.page(path, headers, lies.stripped(path, headers, body)),
  header: (path, headers, body) => {
    if (path === "/") headers["x-motto"] = "forged";
    return body;
  },
  "light client": (path, headers, body) => (path === "/_portico/sw.js" ? body + "/* and a little more */" : body),
  redirect: (path, headers, body) => {
    if (path === "/") headers.refresh = "0;url=https://evil.example/";
    return body;
  },
  // Browsers believe the last of several.
  "second type": (path, headers, body) => {
    if (path === "/") headers["content-type"] = [headers["content-type"], "text/html; charset=utf-7"];
    return body;
  },
  // A part is as certified as the whole, and another program: nobody asked for one.
  part: (path, headers, body) => {
    if (path !== "/") return body;
    headers[":status"] = 206;
    headers["content-range"] = `bytes 0-${body.length - 2}/${body.length}`;
    return body.slice(0, -1);
  },
  "gateway's page": (path, headers, body) => {
    if (path !== "/_portico/verify") return body;
    delete headers["content-security-policy"];
    return "<!doctype html><title>forged</title><h1>A forged page</h1>";
  },
};

/** A gateway of its own, before the honest one, that lies as it is told. */
async function startLiar(site) {
  const liar = { lie: undefined, other: undefined };
  const server = createServer((req, res) => {
    const path = new URL(req.url, "http://x").pathname;
    const lie = path.startsWith("/api/") ? undefined : lies[liar.lie];
    const headers = { ...req.headers };
    if (lie) delete headers["accept-encoding"];
    // The answer of another canister, certified for that one, in the place of this one's.
    if (liar.other && !path.startsWith("/api/")) headers.host = `${liar.other}.localhost:${site.port}`;
    const upstream = request({ host: "127.0.0.1", port: site.port, method: req.method, path: req.url, headers }, (answer) => {
      const parts = [];
      answer.on("data", (d) => parts.push(d));
      answer.on("end", () => {
        const out = { ...answer.headers };
        let body = Buffer.concat(parts);
        if (lie) body = Buffer.from(lie(path, out, body.toString("latin1")), "latin1");
        delete out["content-length"];
        delete out["transfer-encoding"];
        const { ":status": status = answer.statusCode } = out;
        delete out[":status"];
        res.writeHead(status, { ...out, "content-length": body.length });
        res.end(body);
      });
    });
    upstream.on("error", () => res.destroy());
    req.pipe(upstream);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  liar.port = server.address().port;
  liar.origin = `http://${site.web}.localhost:${liar.port}`;
  liar.stop = () => (server.closeAllConnections(), server.close());
  return liar;
}

describe("browser extension", { skip }, () => {
  let site, liar, extension, rootKey;

  before(async () => {
    site = await startSite();
    liar = await startLiar(site);
    extension = mkdtempSync(join(tmpdir(), "portico-extension-"));
    execFileSync("node", ["web/extension/build.mjs", extension, site.folder], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
    const set = await (await fetch(`http://127.0.0.1:${site.port}/certificates?n=1`)).json();
    rootKey = Buffer.from(set.rootKey, "base64").toString("hex");
  });

  after(async () => {
    liar?.stop();
    await site?.stop();
    if (extension) rmSync(extension, { recursive: true });
  });

  /** A browser with the extension, told of the local network unless key is false. */
  async function visitor(t, { strict = false, key = true, with: loaded = true, colorScheme = "light" } = {}) {
    const profile = mkdtempSync(join(tmpdir(), "portico-profile-"));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: "/usr/bin/chromium",
      headless: false, // as the next line says; the other headless mode has no extensions
      colorScheme,
      ignoreDefaultArgs: ["--disable-extensions"],
      args: [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-features=DisableLoadExtensionCommandLineSwitch",
        ...(loaded ? [`--disable-extensions-except=${extension}`, `--load-extension=${extension}`] : []),
      ],
    });
    t.after(async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    });
    if (!loaded) return { context, page: await context.newPage() };
    const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker"));
    const own = (path) => new URL(path, worker.url()).href;
    const options = await context.newPage();
    await options.goto(own("options.html"));
    if (key) {
      await options.getByLabel("Name").fill("test network");
      await options.getByLabel("Root key").fill(rootKey);
      await options.getByRole("button", { name: "Add" }).click();
      await options.getByRole("button", { name: "Remove test network" }).waitFor();
      // The browser takes the rules on while the page is shown already.
      await worker.evaluate(async () => {
        while ((await chrome.declarativeNetRequest.getDynamicRules()).length === 0) await new Promise((r) => chrome.storage.session.set({ wait: 1 }, r));
      });
    }
    if (strict) {
      await options.getByRole("radio", { name: /Strict/ }).check();
      await worker.evaluate(async () => {
        while ((await chrome.declarativeNetRequest.getSessionRules()).length === 0) await new Promise((r) => chrome.storage.session.set({ wait: 1 }, r));
      });
    }
    const page = await context.newPage();
    page.on("pageerror", (e) => t.diagnostic(`page: ${e}`));
    return { context, page, options, worker, own };
  }

  /** The badge and the popup of a page's tab, once the popup says so. */
  async function popup(v, expected) {
    const tab = await v.worker.evaluate(async (u) => (await chrome.tabs.query({})).find((t) => t.url === u)?.id, v.page.url());
    const shown = await v.context.newPage();
    await shown.setViewportSize({ width: 360, height: 560 });
    await shown.goto(v.own(`popup.html?tab=${tab}`));
    await shown.locator("#verdict", { hasText: new RegExp(`^${expected}$`) }).waitFor({ timeout: 10_000 }).catch(async (e) => {
      await shown.locator("summary").click({ timeout: 1000 }).catch(() => {});
      throw new Error(`${e.message}\n${await shown.locator("main").innerText()}`);
    });
    await shown.locator("summary").click();
    const text = await shown.locator("main").innerText();
    const badge = await v.worker.evaluate((tabId) => chrome.action.getBadgeText({ tabId }), tab);
    return { shown, text, badge, tab };
  }

  const heading = (page, name) => page.getByRole("heading", { level: 1, name }).waitFor();
  const warned = async (page) => {
    await heading(page, "This page is not what its canister certified");
    await page.locator("#reason").filter({ hasText: /\S/ }).waitFor(); // the script fills the page
  };

  test("an honest gateway's page is verified, and the button says so", async (t) => {
    const v = await visitor(t);
    await v.page.goto(`${liar.origin}/zipped`);
    await heading(v.page, "Unzipped");
    const p = await popup(v, "Verified");
    assert.equal(p.badge, "✓");
    assert.ok(p.text.includes(site.web) && p.text.includes("test network") && /Certified\s/.test(p.text), p.text);
  });

  test("the gateway's light client is compared with the one of this build", async (t) => {
    const v = await visitor(t);
    await v.page.goto(`${liar.origin}/zipped`);
    const p = await popup(v, "Verified");
    await p.shown.getByText(/^genuine: both files are those of this build/).waitFor();
  });

  test("a light client that is not of this build is named", async (t) => {
    const v = await visitor(t);
    liar.lie = "light client";
    t.after(() => (liar.lie = undefined));
    await v.page.goto(`${liar.origin}/zipped`);
    const p = await popup(v, "Verified"); // the page itself came without it
    await p.shown.getByText("NOT the known one: the service worker is not the one of this build").waitFor();
  });

  test("a page with requests that do something is verified but for those", async (t) => {
    const v = await visitor(t);
    await v.page.goto(`${liar.origin}/`);
    await v.page.getByText("1048576").waitFor();
    const { shown } = await popup(v, "Not checked");
    const main = shown.locator("main");
    await main.filter({ hasText: /Verified\s+\/script\.js/ }).waitFor(); // answers are checked one by one
    const text = await main.innerText();
    assert.match(text, /Not checked \/counter\s+answers to POST are checked in strict mode only/);
    assert.match(text, /0 failed/);
  });

  for (const [lie, reason] of [
    ["page", /body/], ["script", /body/], ["stripped and changed", /body/], ["header", /x-motto/], ["redirect", /refresh/], ["second type", /content-type/], ["part", /status is 206/],
  ]) {
    test(`alongside: what a gateway changes is covered: ${lie}`, async (t) => {
      const v = await visitor(t);
      liar.lie = lie;
      t.after(() => (liar.lie = undefined));
      await v.page.goto(`${liar.origin}/`).catch(() => {}); // the warning may come first
      await warned(v.page);
      assert.match(await v.page.locator("#reason").innerText(), reason);
      assert.ok((await v.page.locator("main").innerText()).includes("its scripts may have run"));
      assert.equal((await popup(v, "Failed")).badge, "!");
    });

    test(`strict: what a gateway changes never reaches the page: ${lie}`, async (t) => {
      const v = await visitor(t, { strict: true });
      const titles = [];
      v.page.on("framenavigated", async (f) => titles.push(await f.title().catch(() => "")));
      liar.lie = lie;
      t.after(() => (liar.lie = undefined));
      await v.page.goto(`${liar.origin}/`).catch(() => {});
      if (lie === "script") {
        await heading(v.page, "A certified page");
        const p = await popup(v, "Failed");
        assert.match(p.text, /Failed \/script\.js\s+the body is not the one/);
        assert.equal(await v.page.title(), "Sample");
        return;
      }
      await warned(v.page);
      assert.match(await v.page.locator("#reason").innerText(), reason);
      assert.ok((await v.page.locator("main").innerText()).includes("None of it was shown"));
      assert.ok(!titles.includes("Sample"));
    });
  }

  test("strict: an honest page works, its update calls included, all verified", async (t) => {
    const v = await visitor(t, { strict: true });
    await v.page.goto(`${liar.origin}/`).catch(() => {});
    await v.page.getByText("1048576").waitFor();
    assert.match(await v.page.locator("#counter").innerText(), /^[1-9]\d*$/);
    const p = await popup(v, "Verified");
    assert.match(p.text, /Verified \/counter\s+asked by this extension/);
    assert.equal(p.badge, "✓");
  });

  test("strict: the gateway's own pages, which run as the site, are not shown", async (t) => {
    const v = await visitor(t, { strict: true });
    liar.lie = "gateway's page";
    t.after(() => (liar.lie = undefined));
    await v.page.goto(`${liar.origin}/_portico/verify`).catch(() => {});
    await warned(v.page);
    assert.match(await v.page.locator("#reason").innerText(), /the gateway's own/);
  });

  test("alongside: the gateway's own pages are not checked, and named", async (t) => {
    const v = await visitor(t);
    await v.page.goto(`${liar.origin}/_portico/verify`);
    const p = await popup(v, "Not checked");
    assert.match(p.text, /Not checked \/_portico\/verify\s+it is the gateway's own/);
  });

  test("no page has its tab held: only the browser's way into strict mode does", async (t) => {
    const v = await visitor(t);
    await v.page.goto(`${liar.origin}/zipped`);
    await v.page.evaluate((src) => {
      const frame = document.createElement("iframe");
      frame.name = "opening";
      frame.src = src;
      document.body.append(frame);
    }, v.own(`opening.html#${liar.origin}/zipped`));
    await v.page.frameLocator("iframe").locator("#text", { hasText: "cannot be held" }).waitFor({ timeout: 5000 });
  });

  test("a stripped certificate changes nothing: the network is asked, not the gateway", async (t) => {
    const v = await visitor(t);
    liar.lie = "stripped";
    t.after(() => (liar.lie = undefined));
    await v.page.goto(`${liar.origin}/zipped`);
    assert.equal((await popup(v, "Verified")).badge, "✓");
  });

  for (const strict of [false, true]) {
    test(`another canister's answer is no answer, ${strict ? "strict" : "alongside"}`, async (t) => {
      const v = await visitor(t, { strict });
      const stopped = `http://${site.stopped}.localhost:${liar.port}`;
      liar.other = site.web;
      t.after(() => (liar.other = undefined));
      await v.page.goto(`${stopped}/`).catch(() => {});
      await warned(v.page);
      assert.match(await v.page.locator("#reason").innerText(), /gives no such answer: Canister stopped/);
    });
  }

  test("an answer that the canister does not certify is shown as such", async (t) => {
    const v = await visitor(t);
    await v.page.goto(`${liar.origin}/open`);
    const p = await popup(v, "Verified in part");
    assert.equal(p.badge, "~");
  });

  test("a local network whose key nobody gave is not checked", async (t) => {
    const v = await visitor(t, { key: false });
    await v.page.goto(`${liar.origin}/zipped?_portico=off`);
    const p = await popup(v, "Not checked");
    assert.equal(p.badge, "?");
    assert.match(p.text, /root key is not among the settings/);
  });

  test("the person can see a page all the same", async (t) => {
    const v = await visitor(t);
    liar.lie = "page";
    t.after(() => (liar.lie = undefined));
    await v.page.goto(`${liar.origin}/`).catch(() => {});
    await warned(v.page);
    await v.page.getByText("Show it anyway").click();
    await v.page.getByRole("button", { name: "Show the page anyway" }).click();
    await heading(v.page, "A forged page");
    assert.equal((await popup(v, "Failed")).badge, "!");
  });

  test("the worker may end between two pages", async (t) => {
    const v = await visitor(t);
    await v.page.goto(`${liar.origin}/zipped`);
    await popup(v, "Verified");
    const session = await v.context.newCDPSession(v.page);
    await session.send("ServiceWorker.enable");
    await session.send("ServiceWorker.stopAllWorkers");
    liar.lie = "page";
    t.after(() => (liar.lie = undefined));
    await v.page.goto(`${liar.origin}/`).catch(() => {});
    await warned(v.page);
  });

  test("control: without the extension, the lie is on the screen", async (t) => {
    const { page } = await visitor(t, { with: false });
    liar.lie = "page";
    t.after(() => (liar.lie = undefined));
    await page.goto(`${liar.origin}/?_portico=off`);
    await heading(page, "A forged page");
  });

  const shots = process.env.SCREENSHOTS;
  for (const colorScheme of shots ? ["light", "dark"] : []) {
    test(`screenshots, ${colorScheme}`, async (t) => {
      mkdirSync(shots, { recursive: true });
      const v = await visitor(t, { colorScheme });
      const shoot = (page, name) => page.screenshot({ path: join(shots, `${name}-${colorScheme}.png`), fullPage: true });
      await v.page.goto(`${liar.origin}/`);
      await v.page.getByText("1048576").waitFor();
      await shoot((await popup(v, "Not checked")).shown, "popup-unchecked");
      await v.page.goto(`${liar.origin}/zipped`);
      await shoot((await popup(v, "Verified")).shown, "popup-verified");
      await v.options.setViewportSize({ width: 900, height: 900 });
      await shoot(v.options, "options");
      await v.options.setViewportSize({ width: 360, height: 800 });
      await shoot(v.options, "options-narrow");
      liar.lie = "page";
      t.after(() => (liar.lie = undefined));
      await v.page.goto(`${liar.origin}/`).catch(() => {});
      await warned(v.page);
      await v.page.setViewportSize({ width: 900, height: 700 });
      await shoot(v.page, "warning");
      await v.page.setViewportSize({ width: 360, height: 700 });
      await shoot(v.page, "warning-narrow");
    });
  }
});
