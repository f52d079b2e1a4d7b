// Every page that Portico itself shows, in a real browser: light and dark, wide and
// narrow, by keyboard. Pictures of all of them are left in build/screenshots.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launch, root, skip, startSite } from "./browser.mjs";
import { checkKeyboard } from "./keyboard.mjs";

const pictures = join(root, "build/screenshots");
const looks = [
  ["light", "wide", { width: 1440, height: 900 }],
  ["light", "narrow", { width: 360, height: 740 }],
  ["dark", "wide", { width: 1440, height: 900 }],
  ["dark", "narrow", { width: 360, height: 740 }],
];

describe("pages", { skip }, () => {
  let site, browser, bare;

  before(async () => {
    mkdirSync(pictures, { recursive: true });
    site = await startSite();
    bare = `http://localhost:${site.port}`;
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await site?.stop();
  });

  const network = (query) => fetch(`http://127.0.0.1:${site.port}/network?${query}`, { method: "POST" });

  /** A page in a browser that was never here; what it complains about is in page.complaints. */
  async function visitor(t, options = {}) {
    const context = await browser.newContext({ reducedMotion: "reduce", ...options });
    t.after(() => context.close());
    const page = await context.newPage();
    page.complaints = [];
    page.on("pageerror", (e) => page.complaints.push(String(e)));
    page.on("console", (m) => m.type() === "error" && page.complaints.push(m.text()));
    return page;
  }

  /** What each page is called, and how one comes to see it. */
  const pages = {
    network: async (page) => {
      await page.goto(bare);
      await page.getByText("live", { exact: true }).waitFor();
    },
    "network-one-away": async (page) => {
      await network("away=1");
      await page.goto(bare);
      await page.getByText("3 of 4 replicas run.").waitFor();
    },
    "network-down": async (page) => {
      await network("away=4");
      await page.goto(bare);
      await page.getByText("No replica answers.").waitFor();
    },
    "network-empty": async (page) => {
      await network("few=true");
      await page.goto(bare);
      await page.getByText("There are no canisters yet.").waitFor();
    },
    "network-unlisted": async (page) => {
      await page.goto(`${bare}/?after=broken`);
      await page.getByText("The canisters cannot be listed now.").waitFor();
    },
    "first-visit": async (page) => {
      // Held back at its script, it stays what people see while the light client loads.
      await page.route(/_portico\/page-/, () => {});
      await page.goto(`${site.origin}/`, { waitUntil: "commit" });
      await page.getByRole("heading", { name: "Opening this site" }).waitFor();
    },
    "first-visit-failed": async (page) => {
      await page.addInitScript(() => {
        Object.getPrototypeOf(navigator.serviceWorker).register = () => Promise.reject(new Error("the device is full"));
      });
      await page.goto(`${site.origin}/`);
      await page.getByText("could not be installed").waitFor();
    },
    verify: async (page) => {
      await page.goto(`${site.origin}/`);
      await page.getByRole("heading", { name: "A certified page" }).waitFor();
      await page.getByText("1048576").waitFor();
      await page.goto(`${site.origin}/_portico/verify`);
      await page.getByText(/^Verified: all of the last \d+ loads\.$/).waitFor();
      await page.getByText("Verified GET /", { exact: true }).click();
    },
    "verify-open-page": async (page) => {
      await page.goto(`${site.origin}/open`);
      await page.getByRole("heading", { name: "An open page" }).waitFor();
      await page.goto(`${site.origin}/_portico/verify`);
      await page.getByText("Not certified GET /open").click();
    },
    "verify-without-client": async (page) => {
      await page.goto(`${site.origin}/_portico/verify`);
      await page.getByText("No light client is installed").waitFor();
    },
    panel: async (page) => {
      await page.goto(`${site.origin}/panel`);
      await page.getByRole("heading", { name: "A page with a panel" }).waitFor();
      await page.waitForFunction(() => navigator.serviceWorker.controller);
      await pressHidden(page, "Verified in this browser");
      await hidden(page, /^Verified GET \/panel$/);
    },
    "panel-by-gateway": async (page) => {
      await page.goto(`${site.origin}/panel?_portico=off`);
      await pressHidden(page, "Verified by the gateway");
      await hidden(page, /your browser has checked nothing/);
    },
    "error-verification": async (page) => {
      await site.flip("certified t");
      await page.goto(`${site.origin}/?_portico=off`);
      await page.getByRole("heading", { name: "Verification failed" }).waitFor();
      await page.getByText("The check that failed").waitFor();
    },
    "error-verification-by-worker": async (page) => {
      await page.goto(`${site.origin}/`);
      await page.getByRole("heading", { name: "A certified page" }).waitFor();
      await site.flip("certified t");
      await page.goto(`${site.origin}/`);
      await page.getByRole("heading", { name: "Verification failed" }).waitFor();
    },
    "error-stopped": (page) => page.goto(`${site.at(site.stopped)}/?_portico=off`),
    "error-missing": (page) => page.goto(`${site.at(site.missing)}/?_portico=off`),
    "error-not-a-canister": (page) => page.goto(`${site.at("not-a-canister")}/`),
    "error-no-canister": (page) => page.goto(`${bare}/nothing`),
    "error-raw-home": (page) => page.goto(`http://raw.localhost:${site.port}/`),
  };

  /** Errors have their status, which browsers write into the console. */
  const expected = /Failed to load resource: the server responded with a status of (4|5)\d\d/;

  for (const [name, open] of Object.entries(pages)) {
    for (const [colorScheme, width, viewport] of looks) {
      test(`${name}, ${colorScheme}, ${width}`, async (t) => {
        t.after(() => Promise.all([site.flip(), network("")]));
        const page = await visitor(t, { colorScheme, viewport });
        await open(page);
        await page.screenshot({ path: join(pictures, `${name}-${colorScheme}-${width}.png`), fullPage: true });
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(overflow, 0, "the page is wider than the window");
        const complaints = page.complaints.filter((c) => !(name.match(/^error|verify-open/) && expected.test(c)));
        assert.deepEqual(complaints, []);
        if (colorScheme === "light") await checkKeyboard(page); // colours change nothing about it
      });
    }
  }

  /** What assistive technology sees: closed shadow roots hide nothing from it. */
  async function accessible(page) {
    const session = await page.context().newCDPSession(page);
    const { nodes } = await session.send("Accessibility.getFullAXTree");
    await session.detach();
    return nodes.filter((n) => !n.ignored);
  }

  /** Waits for something in a closed shadow root. */
  async function hidden(page, name) {
    const end = Date.now() + 20_000;
    for (;;) {
      const found = (await accessible(page)).find((n) => (name.test ? name.test(n.name?.value) : n.name?.value === name));
      if (found) return found;
      assert.ok(Date.now() < end, `nothing is called ${name}`);
      await page.waitForTimeout(100);
    }
  }

  /** Comes to something in a closed shadow root by Tab, and presses it. */
  async function pressHidden(page, name) {
    await hidden(page, name);
    for (let i = 0; i < 20; i++) {
      await page.keyboard.press("Tab");
      const at = (await accessible(page)).findLast((n) => n.properties?.some((p) => p.name === "focused" && p.value.value));
      if (name.test ? name.test(at?.name?.value) : at?.name?.value === name) {
        await page.keyboard.press("Enter");
        return;
      }
    }
    assert.fail(`Tab does not come to ${name}`);
  }

  test("the figures move, and an end of the feed is told and survived", async (t) => {
    t.after(() => network("feed=on"));
    const page = await visitor(t);
    await page.goto(bare);
    const height = () => page.locator("#height").innerText().then(Number);
    const first = await height();
    await page.waitForFunction((h) => Number(document.querySelector("#height").textContent) > h + 1, first);
    await network("away=2&feed=off");
    await page.getByText(/^no connection, next attempt in \d+ s$/).waitFor();
    assert.match(await page.locator("#announcements").innerText(), /connection to the gateway is lost/);
    await network("away=2&feed=on");
    await page.getByText("live", { exact: true }).waitFor();
    assert.match(await page.locator("#announcements").innerText(), /connection is back/);
    assert.match(await page.locator("#headline").innerText(), /^2 of 4 replicas run\. That is too few/);
    assert.equal(await page.locator("#replicas .badge.bad").count(), 2);
  });

  test("without scripts the start page is whole", async (t) => {
    const page = await visitor(t, { javaScriptEnabled: false });
    await page.goto(bare);
    for (const text of ["All 4 replicas run.", "sample frontend", "308182301d060d2b"]) {
      await page.getByText(text).first().waitFor();
    }
    assert.equal(await page.getByRole("button").count(), 0);
  });

  test("the root key can be copied", async (t) => {
    const page = await visitor(t, { permissions: ["clipboard-read", "clipboard-write"] });
    await page.goto(bare);
    await page.getByRole("button", { name: "Copy the root key" }).click();
    await page.locator("#announcements", { hasText: "Copied." }).waitFor({ state: "attached" });
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(copied, /^308182301d060d2b[0-9a-f]{250}$/);
  });

  test("a canister is opened from the list by its own name", async (t) => {
    const page = await visitor(t);
    await page.goto(bare);
    const link = page.getByRole("link", { name: "sample frontend" }).first();
    assert.match(await link.getAttribute("href"), new RegExp(`^http://[a-z0-9-]+-cai\\.localhost:${site.port}/$`));
  });

  test("no page of another origin reads the feed", async (t) => {
    const page = await visitor(t);
    await page.goto(`${site.origin}/?_portico=off`);
    const outcome = await page.evaluate(
      (url) => new Promise((resolve) => {
        const socket = new WebSocket(url);
        socket.onopen = () => resolve("open");
        socket.onerror = () => resolve("refused");
      }),
      `ws://localhost:${site.port}/_portico/network/feed`,
    );
    assert.equal(outcome, "refused");
  });

  test("the verification page lives: a load in another tab appears, and what is open stays open", async (t) => {
    const page = await visitor(t);
    await page.goto(`${site.origin}/`);
    await page.getByText("1048576").waitFor();
    const account = await page.context().newPage();
    await account.goto(`${site.origin}/_portico/verify`);
    await account.getByText("Verified GET /", { exact: true }).click();
    await page.goto(`${site.origin}/zipped`);
    await account.getByText("Verified GET /zipped").waitFor();
    assert.ok(await account.locator("details", { hasText: "Verified GET /style.css" }).count() > 0);
    assert.equal(await account.locator("details[open]").count(), 1);
  });

  test("the panel turns bad when a later load of the page is refused", async (t) => {
    const page = await visitor(t);
    t.after(() => site.flip());
    await page.goto(`${site.origin}/panel`);
    await page.getByRole("heading", { name: "A page with a panel" }).waitFor();
    await hidden(page, "Verified in this browser");
    await site.flip("0123456789ab");
    await page.evaluate(() => fetch("/large").then((r) => r.arrayBuffer()).catch(() => {}));
    await pressHidden(page, "Not all verified");
    await pressHidden(page, /GET \/large$/);
    await hidden(page, /The check that failed/);
  });
});
