// The worker of bench-response.mjs.

import "wasm_exec";
import initPeer, { verifyRequestResponsePair } from "@dfinity/response-verification/dist/web/web.js";
import { Principal } from "@icp-sdk/core/principal";

const repeats = 20; // of the same response
const maxAge = 300_000_000_000n; // ns

const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

async function start(rootKey) {
  const started = performance.now();
  const go = new Go();
  const ready = new Promise((resolve) => (globalThis.porticoReady = resolve));
  const { instance } = await WebAssembly.instantiateStreaming(fetch("/client.wasm"), go.importObject);
  const compiled = performance.now();
  go.run(instance);
  await ready;
  const running = performance.now();
  portico.configure({ rootKey, host: location.origin });
  return { compile: compiled - started, run: running - compiled, configure: performance.now() - running };
}

onmessage = async (e) => {
  try {
    postMessage(await (e.data.cold ? cold(e.data) : measure(e.data)));
  } catch (error) {
    postMessage({ error: error.reason ?? String(error) });
  }
};

function verifiers({ rootKey, canister }) {
  const id = Principal.fromText(canister).toUint8Array();
  const request = { method: "GET", url: "/page", headers: [], body: new Uint8Array() };
  return {
    ours: (r) => portico.verifyResponse({ canister, ...request }, r),
    peer: (r) => verifyRequestResponsePair(
      { ...request, certificate_version: [2] }, { status_code: r.status, headers: r.headers, body: r.body },
      id, BigInt(Date.now()) * 1_000_000n, maxAge, rootKey, 2,
    ),
  };
}

const parsed = (responses) => responses.map((r) => ({ ...r, body: bytesOf(r.body) }));

async function time(verify, response) {
  const started = performance.now();
  await verify(response);
  return performance.now() - started;
}

/** The first answers of a worker that has just started. */
async function cold({ rootKey, canister, responses, who, remembered }) {
  const key = bytesOf(rootKey);
  let boot;
  if (who === "ours") {
    boot = await start(key);
    if (remembered) {
      const error = portico.remember(remembered);
      if (error) throw new Error(error);
    }
  } else {
    const started = performance.now();
    await initPeer("/peer.wasm");
    boot = { compile: performance.now() - started, run: 0, configure: 0 };
  }
  const verify = verifiers({ rootKey: key, canister })[who];
  const [first, second] = parsed(responses);
  const out = { ...boot, first: await time(verify, first), second: await time(verify, second) };
  if (who === "ours") out.remembered = portico.remembered();
  return out;
}

async function measure({ rootKey, canister, responses, warmUp }) {
  const key = bytesOf(rootKey);
  await start(key);
  await initPeer("/peer.wasm");
  const { ours, peer } = verifiers({ rootKey: key, canister });
  const out = { ours: [], peer: [], oursAgain: [], peerAgain: [] };
  for (const [i, response] of parsed(responses).entries()) {
    const times = [await time(ours, response), await time(peer, response)];
    if (i < warmUp) continue;
    out.ours.push(times[0]);
    out.peer.push(times[1]);
    for (let n = 0; n < repeats; n++) out.oursAgain.push(await time(ours, response));
    for (let n = 0; n < repeats; n++) out.peerAgain.push(await time(peer, response));
  }
  return out;
}
