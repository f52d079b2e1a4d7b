// The worker of bench-certificate.mjs.

import "wasm_exec";
import { Certificate } from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";

const repeats = 20; // of the same certificate

const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

async function start(rootKey) {
  const go = new Go();
  const ready = new Promise((resolve) => (globalThis.porticoReady = resolve));
  const { instance } = await WebAssembly.instantiateStreaming(fetch("/client.wasm"), go.importObject);
  go.run(instance);
  await ready;
  portico.configure({ rootKey, host: location.origin });
}

onmessage = async (e) => {
  try {
    postMessage(await measure(e.data));
  } catch (error) {
    postMessage({ error: String(error) });
  }
};

async function measure({ rootKey, canister, certificates, warmUp }) {
  const key = bytesOf(rootKey);
  await start(key);
  const canisterId = Principal.fromText(canister);
  const ours = (certificate) => {
    const error = portico.verifyCertificate(certificate, canister);
    if (error) throw new Error(error);
  };
  const peer = (certificate) => Certificate.create({ certificate, rootKey: key, principal: { canisterId } });
  const time = async (verify, certificate) => {
    const started = performance.now();
    await verify(certificate);
    return performance.now() - started;
  };
  const out = { ours: [], peer: [], oursAgain: [], peerAgain: [], firstOurs: 0, firstPeer: 0 };
  const all = certificates.map(bytesOf);
  out.firstOurs = await time(ours, all[0]);
  out.firstPeer = await time(peer, all[0]);
  for (const [i, certificate] of all.entries()) {
    if (i < warmUp) {
      await time(ours, certificate);
      await time(peer, certificate);
      continue;
    }
    out.ours.push(await time(ours, certificate));
    out.peer.push(await time(peer, certificate));
    for (let n = 0; n < repeats; n++) out.oursAgain.push(await time(ours, certificate));
    out.peerAgain.push(await time(peer, certificate));
  }
  return out;
}
