// Somebody who is several people at one dapp: choosing among accounts, renaming them, and
// getting the usual one without choosing.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, skip } from "../../web/e2e/browser.mjs";
import { Network } from "../../node/e2e/network.mjs";
import { Authenticator, Person } from "./person.mjs";
import { Site } from "./site.mjs";

const longest = 128;

describe("accounts at a dapp", { skip, timeout: 300_000 }, () => {
  let network, site, browser, person;
  const phone = new Authenticator();
  const known = {};

  before(async () => {
    [network, site, browser] = await Promise.all([Network.start("--nodes", "1", "--ii"), Site.start(), launch()]);
    person = await Person.start(browser, network, site);
    await (await person.create("Ada", phone)).close();
  });
  after(async () => {
    await browser?.close();
    site?.stop();
    await network?.remove();
  });

  const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
  const account = (popup, name) => popup.locator("#accounts li").filter({ hasText: name });
  const use = (popup, name) => account(popup, name).locator('[data-deed="use"]').click();
  const said = (popup, text) => popup.locator("#accounts-done").filter({ hasText: text }).waitFor();

  /** Opens the accounts of a dapp; returns the page that shows them, and the dapp. */
  async function choose(name = "one", way = "icp-sdk") {
    const dapp = await person.dapp(name);
    const popup = await person.press(dapp, way, phone);
    await press(popup, "Choose an account");
    await popup.locator('[data-view="accounts"]').waitFor();
    return { popup, dapp };
  }

  /** The principal that the dapp gets in the end. */
  async function principal(dapp) {
    const { principal, error } = await person.outcome(dapp);
    assert.equal(error, undefined);
    await dapp.close();
    return principal;
  }

  /** Signs in without choosing. */
  async function usual(name, way = "icp-sdk") {
    const dapp = await person.dapp(name);
    const { principal, error } = await person.signIn(dapp, way, phone);
    assert.equal(error, undefined);
    await dapp.close();
    return principal;
  }

  test("the account that everybody has is the usual one until another is made so", async () => {
    known.main = await usual("one");
    const { popup, dapp } = await choose();
    assert.match(await account(popup, "Main account").innerText(), /The usual one: you get it without choosing/);
    assert.equal(await account(popup, "Main account").getByRole("button", { name: /^Make it the usual one/ }).count(), 0);
    await popup.getByText("Create another account").click();
    await popup.getByLabel("Its name").fill("Work");
    await press(popup, "Create and continue");
    known.work = await principal(dapp);
    assert.notEqual(known.work, known.main);
    assert.equal(await usual("one"), known.main);
  });

  test("the account that was made the usual one is what both packages get without choosing, at this dapp alone", async () => {
    const elsewhere = await usual("two");
    const { popup, dapp } = await choose();
    await press(popup, "Make it the usual one: Work");
    await said(popup, "From now on you get Work without choosing.");
    assert.match(await account(popup, "Work").innerText(), /The usual one: you get it without choosing/);
    assert.match(await account(popup, "Main account").innerText(), /^Main account\nThe one that you began with\n/);
    await use(popup, "Main account");
    assert.equal(await principal(dapp), known.main);
    for (const way of ["icp-sdk", "auth-client", "attributes", "signer"]) assert.equal(await usual("one", way), known.work, way);
    assert.equal(await usual("two"), elsewhere);
  });

  test("a browser that was never here gets the usual account, too", async () => {
    const anew = await Person.start(browser, network, site);
    const dapp = await anew.dapp("one");
    const { principal } = await anew.signIn(dapp, "icp-sdk", phone);
    assert.equal(principal, known.work);
    await anew.stop();
  });

  test("signing in as the usual account takes one update call and one query", async () => {
    const dapp = await person.dapp("one");
    person.notes.length = 0;
    assert.equal((await person.signIn(dapp, "icp-sdk", phone)).principal, known.work);
    await dapp.close();
    const path = person.notes.slice(person.notes.findLastIndex(({ what }) => what === "click")).map(({ what }) => what);
    // a query may be asked again whose replica does not have the signature yet: with one replica it has
    assert.deepEqual([path.filter((what) => what === "call").length, path.filter((what) => what === "query").length], [1, 1], path.join(" "));
  });

  test("accounts are renamed by keyboard, keep their principals, and the focus stays where it was", async () => {
    const { popup, dapp } = await choose();
    for (const [before, after] of [["Work", "Office"], ["Main account", "Home"]]) {
      await popup.getByRole("button", { name: `Rename: ${before}`, exact: true }).focus();
      await popup.keyboard.press("Enter");
      const field = popup.getByLabel("Name", { exact: true });
      assert.equal(await field.inputValue(), before);
      await popup.keyboard.type(after); // the name before is selected
      await popup.keyboard.press("Enter");
      await said(popup, `It is called ${after} now.`);
      await popup.waitForFunction((label) => document.activeElement?.ariaLabel === label, `Rename: ${after}`);
    }
    await use(popup, "Home");
    assert.equal(await principal(dapp), known.main);
    const second = await choose();
    assert.match(await account(second.popup, "Office").innerText(), /The usual one/);
    await use(second.popup, "Office");
    assert.equal(await principal(second.dapp), known.work);
  });

  test("the account that everybody has can be made the usual one again, under its name", async () => {
    const { popup, dapp } = await choose();
    await press(popup, "Make it the usual one: Home");
    await said(popup, "From now on you get Home without choosing.");
    await popup.waitForFunction(() => document.activeElement?.closest("#accounts li")?.textContent.includes("Home"));
    await popup.locator('[data-view="accounts"] [data-do="cancel"]').click();
    assert.match((await person.outcome(dapp)).error, /The person did not sign in/);
    await dapp.close();
    assert.equal(await usual("one"), known.main);
  });

  test("a name of nothing is not taken, one that is too long is refused in words, and leaving it changes nothing", async () => {
    const { popup, dapp } = await choose();
    const field = popup.getByLabel("Name", { exact: true });
    await press(popup, "Rename: Office");
    await field.fill("   ");
    await press(popup, "Save");
    assert.ok(await field.isVisible(), "a name of spaces was taken");
    await popup.keyboard.press("Escape");
    await press(popup, "Rename: Office");
    await field.evaluate((e, n) => (e.removeAttribute("maxlength"), (e.value = "x".repeat(n))), longest + 1);
    await press(popup, "Save");
    await popup.getByRole("alert").filter({ hasText: "This name is too long." }).waitFor();
    await press(popup, "Rename: Office");
    await field.fill("Shop");
    await press(popup.getByRole("dialog"), "Cancel");
    assert.equal(await account(popup, "Office").count(), 1);
    await dapp.close();
  });

  test("a network that is away while an account is changed is told in words", async () => {
    const { popup, dapp } = await choose();
    await popup.route("**/api/**", (route) => route.abort());
    await press(popup, "Make it the usual one: Office");
    await popup.getByRole("alert").filter({ hasText: "The network does not answer." }).waitFor();
    assert.match(await account(popup, "Home").innerText(), /The usual one/);
    await dapp.close();
  });
});
