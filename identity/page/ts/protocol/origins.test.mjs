// A dapp gets the principals of another origin only if the canister there lists it, in an answer that the
// gateway verified. The gateway here is a real server that answers as a test says.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { dappOrigin, modules } from "./fixtures.mjs";

const canister = "ryjl3-tyaaa-aaaaa-aaaba-cai";
const server = createServer((request, response) => {
  asked.push({ method: request.method, url: request.url, cookie: request.headers.cookie });
  answer(request, response);
});
let port;
let asked;
let answer;
before(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  port = server.address().port;
});
after(() => server.close());

const derivation = (origin, from = dappOrigin) =>
  modules.derivationOrigin(origin, from, {
    location: { protocol: "http:", hostname: "id.ai.localhost", host: `id.ai.localhost:${port}`, port: `${port}` },
    signal: new AbortController().signal,
  });
const lists = (alternativeOrigins) => says(JSON.stringify({ alternativeOrigins }));
function says(body, status = 200, headers = {}) {
  asked = [];
  answer = (request, response) => response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);
}
const named = () => `http://${canister}.localhost:${port}`;
const refused = (promise, why, kind = "origin") => assert.rejects(promise, (e) => e.kind === kind && why.test(e.message));

test("a dapp's own origin needs no list, by either name of the Internet Computer's gateway", async () => {
  says("", 500);
  assert.equal(await derivation(undefined), dappOrigin);
  assert.equal(await derivation(dappOrigin), dappOrigin);
  assert.equal(await derivation(`https://${canister}.icp0.io`, `https://${canister}.ic0.app`), `https://${canister}.icp0.io`);
  assert.equal(asked.length, 0);
});

test("a listed dapp gets the other origin; the list is that of the canister in its name, at the bare name of the gateway", async () => {
  lists(["https://first.example", dappOrigin]);
  assert.equal(await derivation(named()), named());
  assert.deepEqual(asked, [{ method: "GET", url: `/.well-known/ii-alternative-origins?canisterId=${canister}`, cookie: undefined }]);
});

test("a list by either name of the Internet Computer's gateway stands for both", async () => {
  lists([`https://${canister}.ic0.app`]);
  assert.equal(await derivation(named(), `https://${canister}.icp0.io`), named());
});

test("an origin without a canister in its name is asked which canister it is", async () => {
  lists([dappOrigin]);
  const list = answer;
  answer = (request, response) => (request.method === "HEAD" ? response.writeHead(200, { "x-ic-canister-id": canister }).end() : list(request, response));
  const shop = `http://127.0.0.1:${port}`;
  assert.equal(await derivation(shop), shop);
  assert.deepEqual(asked.map(({ method }) => method), ["HEAD", "GET"]);
  assert.match(asked[1].url, new RegExp(`canisterId=${canister}$`));
});

// Canisters of a network of somebody's own have the ids of others on the Internet Computer, who must not speak for them.
test("away from this computer, an origin's list is at that origin, and at icp0.io only for those of the Internet Computer", async () => {
  lists([dappOrigin]);
  const list = answer;
  answer = (request, response) => (request.method === "HEAD" ? response.writeHead(200, { "x-ic-canister-id": canister }).end() : list(request, response));
  const shop = `http://127.0.0.1:${port}`;
  const host = `${canister}.network.invalid`;
  assert.equal(await modules.derivationOrigin(shop, dappOrigin, { location: { protocol: "https:", hostname: host, host, port: "" }, signal: new AbortController().signal }), shop);
  assert.deepEqual(asked.map(({ method, url }) => `${method} ${url}`), ["HEAD /", "GET /.well-known/ii-alternative-origins"]);
  const away = { protocol: "https:", hostname: "id.network.example", host: "id.network.example", port: "" };
  const path = "/.well-known/ii-alternative-origins";
  for (const [origin, address] of [
    [`https://${canister}.icp0.io`, `https://${canister}.icp0.io${path}`],
    [`https://${canister}.ic0.app`, `https://${canister}.icp0.io${path}`],
    [`https://${canister}.raw.icp0.io`, `https://${canister}.icp0.io${path}`],
    ["https://shop.network.example", `https://shop.network.example${path}`],
    [`https://${canister}.network.example`, `https://${canister}.network.example${path}`],
  ]) {
    assert.equal(modules.listAddress(origin, canister, away), address);
  }
});

test("an origin that is not a canister's is refused", async () => {
  says("", 200, { "x-ic-canister-id": "someone" });
  await refused(derivation(`http://127.0.0.1:${port}`), /no canister could be found/);
  says("", 200);
  await refused(derivation(`http://127.0.0.1:${port}`), /no canister could be found/);
  says("", 302, { location: `http://127.0.0.1:${port}/elsewhere` });
  await refused(derivation(`http://127.0.0.1:${port}`), /no canister could be found/);
  assert.equal(asked.length, 1);
});

test("a dapp that is not listed, or only nearly, is refused", async () => {
  lists(["https://first.example", `${dappOrigin}/`, "https://DAPP.example", `${dappOrigin}:444`, "*", "https://*.example"]);
  await refused(derivation(named()), /not in that address's list/);
  lists([]);
  await refused(derivation(named()), /not in that address's list/);
});

test("a list of more than ten entries is refused, one of ten is not", async () => {
  const others = Array.from({ length: 9 }, (_, i) => `https://app${i}.example`);
  lists([...others, dappOrigin]);
  assert.equal(await derivation(named()), named());
  lists([...others, dappOrigin, "https://one-more.example"]);
  await refused(derivation(named()), /more than 10 entries/);
});

test("a list that is a redirect is refused and not followed", async () => {
  for (const status of [301, 302, 307]) {
    says("", status, { location: `http://127.0.0.1:${port}/list` });
    await refused(derivation(named()), /redirect|status 30[127]/);
    assert.equal(asked.length, 1);
  }
});

test("a list with any status but 200 is refused, and one that the gateway could not verify is called that", async () => {
  const list = JSON.stringify({ alternativeOrigins: [dappOrigin] });
  for (const status of [201, 203, 206, 404, 500]) {
    says(list, status);
    await refused(derivation(named()), new RegExp(`status ${status}`));
  }
  says(list, 503);
  await refused(derivation(named()), /could not be verified/);
});

test("a list of another form or length is refused", async () => {
  const padded = JSON.stringify({ alternativeOrigins: [dappOrigin], padding: "x".repeat(16 << 10) });
  for (const body of ["", "[]", "null", JSON.stringify([dappOrigin]), '{"alternativeOrigins":"https://dapp.example"}', '{"alternativeOrigins":[1]}', padded]) {
    says(body);
    await refused(derivation(named()), /not of the right form/);
  }
});

test("a list that does not come is refused", async () => {
  says("");
  answer = (request) => request.socket.destroy();
  await refused(derivation(named()), /could not be fetched/);
});

test("addresses that others on the way could answer for are refused, as the one asked for and as the asking one", async () => {
  lists(["http://dapp.example"]);
  await refused(derivation("http://shop.example"), /that address is not protected by https/);
  await refused(derivation(named(), "http://dapp.example"), /its own address is not protected by https/);
  assert.equal(asked.length, 0);
  lists(["http://localhost:5173"]);
  assert.equal(await derivation(named(), "http://localhost:5173"), named());
});

test("what is no origin is refused", async () => {
  for (const asked of ["", "shop.example", "https://shop.example/", "https://SHOP.example", "https://shop.example:443", "https://a@shop.example", 7, null, {}]) {
    await refused(derivation(asked), /not an origin/, "malformed");
  }
});
