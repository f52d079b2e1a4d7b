// Dapps that use the packages which people use sign in with Internet Identity, in a browser with virtual authenticators,
// on a network of four replicas.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AnonymousIdentity } from "@icp-sdk/core/agent";
import { launch, skip } from "../../web/e2e/browser.mjs";
import { Network, counterSource, motoko } from "../../node/e2e/network.mjs";
import { Lists } from "./lists.mjs";
import { Authenticator, Person } from "./person.mjs";
import { Site } from "./site.mjs";

const packages = ["icp-sdk", "auth-client"];
/** How often the way from click to delegation is measured. */
const measurements = 9;

describe("signing in to dapps", { skip, timeout: 600_000 }, () => {
  let network, site, browser, canister, lists, person;
  const phone = new Authenticator();
  const key = new Authenticator("usb");

  before(async () => {
    [network, site, browser] = await Promise.all([Network.start("--nodes", "4", "--ii"), Site.start(), launch()]);
    const agent = network.agent(new AnonymousIdentity());
    canister = await network.install(agent, motoko(counterSource));
    lists = await Lists.install(network, agent);
    person = await Person.start(browser, network, site);
  });
  after(async () => {
    await browser?.close();
    site?.stop();
    await network?.remove();
  });

  /** The principal that somebody has at a dapp. */
  async function principal(name, way, { who = person, authenticator = phone, ...options } = {}) {
    const dapp = await who.dapp(name, { canister, ...options });
    const { principal, error } = await who.signIn(dapp, way, authenticator);
    assert.equal(error, undefined);
    await dapp.close();
    return principal;
  }

  test("a dapp gets a delegation that the network takes, in queries and updates", async () => {
    const manage = await person.create("Ada", phone);
    assert.equal(phone.credentials.length, 1);
    await manage.close();
    const dapp = await person.dapp("one", { canister });
    const { principal, expires, clicked } = await person.signIn(dapp, "icp-sdk", phone);
    assert.deepEqual(await dapp.evaluate(() => window.whoami()), { query: principal, update: principal });
    const hours = (Number(BigInt(expires) / 1_000_000n) - clicked) / 3_600_000;
    assert.ok(hours > 7.9 && hours < 8.1, `the delegation lasts ${hours} hours, not the 8 that the package asks for`);
  });

  test("two dapps know two people, and one dapp the same through both packages and both addresses", async () => {
    const one = await principal("one", "icp-sdk");
    const two = await principal("two", "icp-sdk");
    assert.notEqual(one, two);
    assert.equal(await principal("one", "auth-client"), one);
    assert.equal(await principal("two", "auth-client"), two);
    for (const way of packages) assert.equal(await principal("one", way, { path: "/#authorize" }), one);
  });

  test("another authenticator of the same identity has the same principals, in a browser that knows nobody", async () => {
    const page = await person.open("/", phone);
    await person.proceed(page);
    await page.locator('[data-view="manage"]').waitFor();
    await phone.detach(page);
    await key.attach(page);
    await page.click('[data-do="add-here"]');
    await page.locator("#passkeys li").nth(1).waitFor();
    await page.close();
    assert.equal(key.credentials.length, 1);
    assert.notEqual(key.credentials[0].credentialId, phone.credentials[0].credentialId);

    const elsewhere = await Person.start(browser, network, site);
    for (const name of ["one", "two"]) {
      const before = await principal(name, "icp-sdk");
      assert.equal(await principal(name, "auth-client", { who: elsewhere, authenticator: key }), before);
    }
    await elsewhere.stop();
  });

  test("a dapp that another origin lists gets the principals of that origin, through both packages", async () => {
    await lists.allow("https://somewhere.example", site.origin("one"), site.origin("two"));
    const derivationOrigin = lists.origin;
    const there = await principal("one", "icp-sdk", { derivationOrigin });
    assert.equal(await principal("one", "auth-client", { derivationOrigin }), there);
    assert.equal(await principal("two", "icp-sdk", { derivationOrigin }), there);
    assert.notEqual(await principal("one", "icp-sdk"), there);
  });

  const json = [["content-type", "application/json"]];
  const forged = {
    "that does not list the dapp": [() => lists.allow("https://somewhere.example"), /not in that address's list/],
    "of eleven entries": [() => lists.allow(...Array.from({ length: 10 }, (_, i) => `https://app${i}.example`), site.origin("two")), /more than 10 entries/],
    "that is a redirect": [() => lists.say(302, [["location", site.origin("two")]], ""), /is a redirect/],
    "that is not certified": [() => lists.say(200, json, JSON.stringify({ alternativeOrigins: [site.origin("two")] }), false), /could not be verified/],
    "that is not there": [() => lists.say(404, [], "nothing here"), /status 404/],
    "that is no JSON": [() => lists.say(200, json, "{"), /not of the right form/],
  };
  for (const [what, [forge, why]] of Object.entries(forged)) {
    test(`a derivation origin with a list ${what} is refused: the person reads why, then the dapp hears it`, async () => {
      await forge();
      for (const way of packages) {
        const dapp = await person.dapp("two", { canister, derivationOrigin: lists.origin });
        const popup = await person.press(dapp, way, phone);
        await popup.locator('[data-view="failed"]').waitFor();
        assert.match(await popup.locator("#reason").textContent(), why);
        assert.equal(await dapp.evaluate(() => window.outcome), undefined);
        await popup.click('[data-do="leave"]');
        assert.match((await person.outcome(dapp)).error, why);
        await dapp.close();
      }
    });
  }

  test("a derivation origin by another name of a canister is asked which canister it is", async () => {
    const dapp = await person.dapp("two", { canister, derivationOrigin: person.provider.replace("id.ai", "rdmx6-jaaaa-aaaaa-aaadq-cai") });
    const popup = await person.press(dapp, "icp-sdk", phone);
    await popup.locator('[data-view="failed"]').waitFor();
    assert.match(await popup.locator("#reason").textContent(), /status 404/);
    await dapp.close();
  });

  test("a dapp that asks for attributes, accounts or permissions is answered", async () => {
    const dapp = await person.dapp("one", { canister });
    const { principal } = await person.signIn(dapp, "attributes", phone);
    assert.ok(principal);
    const [none, name] = await dapp.evaluate(() => window.attributes);
    assert.equal(none, true);
    assert.match(name, /The network refused this: .*name/);
    const asked = await person.signIn(dapp, "signer", phone);
    assert.deepEqual([asked.principal, asked.standards], [principal, ["ICRC-25", "ICRC-27", "ICRC-29", "ICRC-34", "ICRC-95"]]);
    assert.deepEqual(asked.permissions, [{ scope: { method: "icrc27_accounts" }, state: "granted" }]);
    await dapp.close();
  });

  test("a second click that was meant for one question does not answer the next", async () => {
    const dapp = await person.dapp("one", { canister });
    const popup = await person.press(dapp, "twice", phone);
    await person.proceed(popup);
    await dapp.waitForFunction(() => window.first);
    const start = popup.locator('[data-view="start"]');
    await start.waitFor();
    const { x, y, width, height } = await start.locator('[data-do="continue-known"]').boundingBox();
    assert.equal(await popup.evaluate(() => document.querySelector("main").inert), true);
    await popup.mouse.click(x + width / 2, y + height / 2);
    await popup.waitForFunction(() => !document.querySelector("main").inert);
    assert.equal(await start.isVisible(), true);
    assert.equal(await dapp.evaluate(() => window.outcome), undefined);
    await person.proceed(popup);
    assert.ok((await person.outcome(dapp)).principal);
    await dapp.close();
  });

  test("a window that is closed, and a person who does not want to, end in a failure at the dapp", async () => {
    for (const way of packages) {
      const dapp = await person.dapp("one", { canister });
      const popup = await person.press(dapp, way, phone);
      await popup.locator('[data-view="start"]').waitFor();
      const closed = Date.now();
      await popup.close({ runBeforeUnload: true });
      const { error, failed } = await person.outcome(dapp);
      assert.ok(error);
      assert.ok(failed - closed < 6000, `the dapp heard it after ${failed - closed} ms`);
      const again = await person.press(dapp, way, phone);
      await again.locator('[data-view="start"] [data-do="cancel"]').click();
      assert.match((await person.outcome(dapp)).error, /The person did not sign in/);
      await dapp.close();
    }
  });

  test("a page that no dapp opened says so", async () => {
    const page = await person.open("/authorize");
    await page.locator('[data-view="failed"]').waitFor();
    assert.match(await page.locator("#reason").textContent(), /Start from the app/);
    await page.close();
  });

  test("when the session is over the network refuses its calls", async () => {
    const dapp = await person.dapp("one", { canister, maxTimeToLive: String(20_000_000_000) });
    const { principal, expires } = await person.signIn(dapp, "icp-sdk", phone);
    assert.deepEqual(await dapp.evaluate(() => window.whoami()), { query: principal, update: principal });
    const over = Number(BigInt(expires) / 1_000_000n);
    await network.until(() => Date.now() > over);
    const late = await dapp.evaluate(() => window.whoami());
    assert.match(late.query, /delegation 1: expired/);
    assert.match(late.update, /delegation 1: expired/);
    await dapp.close();
  });

  test("somebody who lost every device comes back with the recovery phrase, as the same person", async () => {
    const lost = new Authenticator();
    const grace = await Person.start(browser, network, site);
    const page = await grace.create("Grace", lost);
    const before = await principal("one", "icp-sdk", { who: grace, authenticator: lost });
    await page.click('[data-do="make-phrase"]');
    await page.locator("#words li").first().waitFor();
    const words = await page.locator("#words li").allTextContents();
    assert.equal(words.length, 24);
    await page.click('[data-to="check"]');
    for (const input of await page.locator("#asked input").all()) await input.fill(words[Number((await input.getAttribute("name")).split("-")[1])]);
    await page.click("#check-form button");
    await page.locator("#recovery li").waitFor();
    await page.click('#passkeys [data-deed="remove"]');
    await page.click("#confirm-yes");
    await page.locator('[data-view="start"]').waitFor();
    await grace.stop();

    const anew = await Person.start(browser, network, site);
    const dapp = await anew.dapp("one", { canister });
    const popup = await anew.press(dapp, "icp-sdk", lost);
    await popup.click('[data-view="start"] [data-do="continue"]');
    await popup.locator("#problem").filter({ hasText: "No identity has this passkey any more" }).waitFor();
    await popup.click('[data-view="start"] [data-to="recover"]');
    await popup.fill("#recover-words", words.join(" "));
    await popup.click("#recover-form button");
    const { principal: back, error } = await anew.outcome(dapp);
    assert.deepEqual([back, error], [before, undefined]);
    await anew.stop();
  });

  test("from click to delegation are two update calls and one query at most", async (t) => {
    const figures = [];
    for (let i = 0; i < measurements; i++) {
      const dapp = await person.dapp("one", { canister });
      person.notes.length = 0;
      const { clicked, got } = await person.signIn(dapp, "icp-sdk", phone);
      await dapp.close();
      const at = (what) => person.notes.findLast((note) => note.what === what).value;
      const path = person.notes.slice(person.notes.findLastIndex((note) => note.what === "click"));
      const calls = (kind) => path.filter((note) => note.what === kind).length;
      figures.push({ opened: at("shown") - clicked, granted: got - at("click") - at("prompt"), updates: calls("call"), queries: calls("query"), reads: calls("read_state") });
    }
    const median = (of) => figures.map(of).sort((a, b) => a - b)[Math.floor(figures.length / 2)];
    const most = (of) => Math.max(...figures.map(of));
    const total = median((f) => f.opened + f.granted);
    t.diagnostic(
      `from click to delegation, prompt and person excluded: median ${Math.round(total)} ms of ${measurements} ` +
        `(window opened ${Math.round(median((f) => f.opened))} ms, click on Continue to delegation ${Math.round(median((f) => f.granted))} ms); ` +
        `at most ${most((f) => f.updates)} updates, ${most((f) => f.queries)} queries, ${most((f) => f.reads)} read_state`,
    );
    assert.ok(most((f) => f.updates) <= 2);
    assert.ok(median((f) => f.queries) <= 1);
  });
});
