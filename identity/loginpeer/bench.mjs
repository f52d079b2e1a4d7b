// Milliseconds of processor time to verify the chain of a log-in offline, here and with
// @icp-sdk/core, in the same run: node identity/loginpeer/bench.mjs [chains]

import { Ed25519KeyIdentity } from "@icp-sdk/core/identity";
import { logIn, startPeer, unhex, verifyWithCore } from "./core.mjs";

const count = Number(process.argv[2] ?? 50);
const peer = startPeer();
const rootKey = unhex(await peer.ask("root"));
const session = Ed25519KeyIdentity.generate();
const key = Buffer.from(session.getPublicKey().toDer()).toString("hex");
const bodies = [];
for (let i = 0; i < count + 3; i++) {
  bodies.push(await logIn(JSON.parse(await peer.ask("chain", `user${i}`, key, 30)), session, unhex(await peer.ask("challenge"))));
}
for (const body of bodies.splice(0, 3)) await verifyWithCore(rootKey, body); // what the engine compiles first
const began = process.cpuUsage();
for (const body of bodies) await verifyWithCore(rootKey, body);
const spent = process.cpuUsage(began);
const core = (spent.user + spent.system) / 1000 / count;
const { cold, warm } = JSON.parse(await peer.ask("bench", count));
console.log(`a chain of Internet Identity, verified offline (${count} of different users):`);
console.log(`  @icp-sdk/core             ${core.toFixed(2)} ms`);
console.log(`  identity, first of all    ${cold.toFixed(2)} ms`);
console.log(`  identity, running server  ${warm.toFixed(2)} ms (the subnet's delegation is known)`);
peer.end();
