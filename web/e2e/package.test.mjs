// @portico/client in Node, against a network of replicas and against one that lies.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { IDL } from "@icp-sdk/core/candid";
import { DelegationChain, Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import { Principal } from "@icp-sdk/core/principal";
import { counterSource, motoko, Network } from "../../node/e2e/network.mjs";
import { root, startSite } from "./browser.mjs";

const load = (folder) => import(pathToFileURL(join(folder, "package", "index.js")));

/** Fails unless work fails with the check. */
const fails = (check, work) => assert.rejects(work, (e) => e.name === "PorticoError" && e.check === check || assert.fail(`${e.check}: ${e.message}`));

describe("@portico/client and a network of replicas", () => {
  let network, client, portico, counter, certified;

  before(async () => {
    portico = await load(join(root, "bin", "worker"));
    network = await Network.start("--nodes", "1");
    const agent = network.agent(Ed25519KeyIdentity.generate());
    counter = (await network.install(agent, motoko(counterSource))).toText();
    certified = (await network.install(agent, motoko(readFileSync(join(root, "web", "sample", "main.mo"), "utf8")))).toText();
    client = await portico.connect({ host: network.host, rootKey: network.rootKey });
  });
  after(() => network?.remove());

  const nat = (reply) => IDL.decode([IDL.Nat], reply)[0];
  const whoami = async (c, method = "whoami") => {
    const reply = method === "whoami" ? await c.query({ canister: counter, method }) : await c.update({ canister: counter, method });
    return IDL.decode([IDL.Principal], reply)[0].toText();
  };

  test("queries and update calls are answered", async () => {
    assert.equal(nat(await client.update({ canister: counter, method: "increment" })), 1n);
    assert.equal(nat(await client.query({ canister: counter, method: "value", arg: new Uint8Array(IDL.encode([], [])) })), 1n);
  });

  for (const algorithm of ["Ed25519", "P-256"]) {
    test(`calls are made as the owner of a key of ${algorithm}, which cannot be exported`, async () => {
      const identity = await portico.createIdentity(algorithm);
      const c = await portico.connect({ host: network.host, rootKey: network.rootKey, identity });
      assert.equal(c.sender, Principal.selfAuthenticating(identity.publicKey).toText());
      assert.equal(await whoami(c), c.sender);
      assert.equal(await whoami(c, "whoamiUpdate"), c.sender);
      await assert.rejects(crypto.subtle.exportKey("pkcs8", identity.privateKey));
    });
  }

  test("a key may sign for somebody who delegated to it, for the canisters that were named", async () => {
    const owner = Ed25519KeyIdentity.generate();
    const identity = await portico.createIdentity();
    const session = { toDer: () => identity.publicKey };
    const connectAs = async (targets) => {
      const { delegations, publicKey } = await DelegationChain.create(owner, session, new Date(Date.now() + 3600_000), { targets });
      const chain = delegations.map(({ delegation: d, signature }) => ({
        publicKey: new Uint8Array(d.pubkey), expiration: d.expiration, targets: d.targets?.map((t) => t.toText()), signature: new Uint8Array(signature),
      }));
      return portico.connect({ host: network.host, rootKey: network.rootKey, identity: portico.delegated(identity, { owner: new Uint8Array(publicKey), chain }) });
    };
    assert.equal(await whoami(await connectAs([Principal.fromText(counter)]), "whoamiUpdate"), owner.getPrincipal().toText());
    await fails("status", (await connectAs([Principal.fromText(certified)])).query({ canister: counter, method: "whoami" }));
  });

  test("state is read with proofs, of absence too", async () => {
    const id = Principal.fromText(counter).toUint8Array();
    const state = await client.readState(counter, [["canister", id, "module_hash"], ["canister", id, "metadata", "nothing"], ["time"]]);
    assert.ok(Math.abs(state.time - Date.now()) < 60_000);
    assert.equal(state.values[0].value.length, 32);
    assert.deepEqual(state.values.slice(1).map((v) => v.status), ["absent", "found"]);
  });

  test("certified data is that of the canister, or refused", async () => {
    await client.update({ canister: certified, method: "increment" });
    const Value = IDL.Record({ value: IDL.Nat, certificate: IDL.Opt(IDL.Vec(IDL.Nat8)) });
    const [{ value, certificate: [bytes] }] = IDL.decode([Value], await client.query({ canister: certified, method: "value" }));
    const certificate = new Uint8Array(bytes);
    const data = (n) => new Uint8Array(IDL.encode([IDL.Nat], [n]));
    assert.ok(Math.abs(await client.verifyCertifiedData(certificate, certified, data(value)) - Date.now()) < 60_000);
    await fails("tree", client.verifyCertifiedData(certificate, certified, data(value + 1n)));
    await fails("tree", client.verifyCertifiedData(certificate, counter, data(value)));
    await fails("malformed", client.verifyCertifiedData(certificate.slice(0, -1), certified, data(value)));
    const flipped = certificate.slice();
    flipped[flipped.length - 1] ^= 1;
    await fails("signature", client.verifyCertifiedData(flipped, certified, data(value)));
  });

  test("errors say what went wrong", async () => {
    await assert.rejects(client.query({ canister: counter, method: "nothing" }), (e) => e.check === "reject" && e.reject.errorCode === "IC0536" && !e.reject.certified);
    await fails("argument", client.query({ canister: "nobody", method: "x" }));
    await fails("argument", client.update({ canister: "aaaaa-aa", method: "x" }));
    await fails("argument", portico.connect({ host: network.host, rootKey: "no hex" }));
    const nobody = await portico.connect({ host: "http://127.0.0.1:9", rootKey: network.rootKey, timeoutMs: 20_000 });
    await fails("network", nobody.query({ canister: counter, method: "value" }));
    const other = network.rootKey.slice();
    other.set(Buffer.from("814c0e6ec71fab583b08bd81373c255c3c371b2e84863c98a4f1e08b74235d14fb5d9c0cd546d9685f913a0c0b2cc5341583bf4b4392e467db96d65b9bb4cb717112f8472e0d5a4d14505ffd7484b01291091c5f87b98883463f98091a0baaae", "hex"), 37);
    const stranger = await portico.connect({ host: network.host, rootKey: other });
    await fails("signature", stranger.query({ canister: counter, method: "value" }));
    await fails("signature", stranger.update({ canister: counter, method: "increment" }));
  });

  test("another program than its own is not run", async () => {
    const again = await import(`${pathToFileURL(join(root, "bin", "worker", "package", "index.js"))}?again`);
    await fails("program", again.connect({ host: network.host, rootKey: network.rootKey, program: new Uint8Array(8) }));
  });
});

describe("@portico/client and HTTP responses", () => {
  let site, client;

  before(async () => {
    site = await startSite();
    const portico = await load(site.folder);
    client = await portico.connect({ host: site.gateway, rootKey: site.rootKey });
  });
  after(() => site?.stop());

  const Headers = IDL.Vec(IDL.Tuple(IDL.Text, IDL.Text));
  const blob = IDL.Vec(IDL.Nat8);
  const Request = IDL.Record({ method: IDL.Text, url: IDL.Text, headers: Headers, body: blob, certificate_version: IDL.Opt(IDL.Nat16) });
  const Response = IDL.Record({ status_code: IDL.Nat16, headers: Headers, body: blob });
  const request = { method: "GET", url: "/", headers: [] };

  async function answer() {
    const arg = new Uint8Array(IDL.encode([Request], [{ ...request, body: [], certificate_version: [2] }]));
    const [r] = IDL.decode([Response], await client.query({ canister: site.web, method: "http_request", arg }));
    return { status: r.status_code, headers: r.headers, body: Uint8Array.from(r.body) };
  }

  test("a response as certified is verified", async () => {
    const { headers, report } = await client.verifyResponse(site.web, request, await answer());
    assert.ok(report.certified && report.version === 2);
    assert.ok(headers.some(([name, value]) => name === "x-motto" && value === "certified too"));
  });

  test("each change is refused by its name", async () => {
    const r = await answer();
    const changed = (change) => client.verifyResponse(site.web, request, { ...r, ...change });
    const certificate = (edit) => ({ headers: r.headers.map(([n, v]) => [n, n.toLowerCase() === "ic-certificate" ? edit(v) : v]) });
    const inside = (field) => certificate((v) => v.replace(new RegExp(`${field}=:([^:]*):`), (_, b) => {
      const bytes = Buffer.from(b, "base64");
      bytes[bytes.length - 1] ^= 1;
      return `${field}=:${bytes.toString("base64")}:`;
    }));
    await fails("response", changed({ body: r.body.with(3, 0) }));
    await fails("status code", changed({ status: 201 }));
    await fails("response", changed({ headers: r.headers.map(([n, v]) => [n, n === "x-motto" ? "another" : v]) }));
    await fails("missing", changed({ headers: r.headers.filter(([n]) => n.toLowerCase() !== "ic-certificate") }));
    await fails("tree", changed(inside("tree")));
    await fails("path", client.verifyResponse(site.web, { ...request, url: "/style.css" }, r));
    await fails("tree", client.verifyResponse(site.neighbour, request, r));
    await fails("range", client.verifyResponse("bkyz2-fmaaa-aaaaa-qaaaq-cai", request, r));
    await fails("time", client.verifyResponse(site.web, request, r, new Date(Date.now() + 600_000)));
    await fails("time", client.verifyResponse(site.web, request, r, new Date(Date.now() - 600_000)));
    await client.verifyResponse(site.web, request, r);
  });

  test("a node that lies about a query is caught", async () => {
    await site.flip("A certified p");
    try {
      await fails("signature", answer());
    } finally {
      await site.flip();
    }
  });
});
