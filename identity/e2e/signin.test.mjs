// Dapps that use the packages which people use sign in with Internet Identity, in a browser with virtual authenticators,
// on a network of four replicas.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AnonymousIdentity } from "@icp-sdk/core/agent";
import { skip } from "../../web/e2e/browser.mjs";
import { Network, counterSource, motoko } from "../../node/e2e/network.mjs";
import { Authenticator, launch, Person } from "./person.mjs";
import { Site } from "./site.mjs";

describe("signing in to dapps", { skip, timeout: 600_000 }, () => {
  let network, site, browser, canister, person, phone;

  before(async () => {
    [network, site, browser] = await Promise.all([Network.start("--nodes", "4", "--ii"), Site.start(), launch()]);
    canister = await network.install(network.agent(new AnonymousIdentity()), motoko(counterSource));
    person = await Person.start(browser, network, site);
    phone = new Authenticator();
    await person.create("Ada", phone);
    assert.equal(phone.credentials.length, 1);
  });
  after(async () => {
    await browser?.close();
    site?.stop();
    await network?.remove();
  });

  const principals = {};

  test("a dapp gets a delegation that the network takes, in queries and updates", async () => {
    const dapp = await person.dapp("one", { canister });
    const { principal, error } = await person.signIn(dapp, "icp-sdk", phone);
    assert.equal(error, undefined);
    assert.deepEqual(await dapp.evaluate(() => window.whoami()), { query: principal, update: principal });
    principals.one = principal;
  });
});
