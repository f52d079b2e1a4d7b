// A gateway under load from wrk, with more and more connections, and a replica killed in
// the middle: nobody gets a wrong answer, who gets none is told when to ask again, and memory
// does not grow with those who ask.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { AssetManager } from '@dfinity/assets';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Network, gzip } from './network.mjs';

const run = promisify(execFile);
const skip = spawnSync('wrk', ['-v']).error ? 'needs wrk' : false;
const body = 'The same for everybody, whoever asks and however many do.';
const seconds = 4;
const stages = [10, 100, 400, 1000, 3000]; // connections; the gateway answers 1,024 at the same time
const killAt = 400;

// What wrk counts: right answers, refusals with the time to come back, and all others.
const script = `
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() right, refused, wrong, sample = 0, 0, 0, "" end
function response(status, headers, body)
  if status == 200 and body == "${body}" then right = right + 1
  elseif status == 503 and headers["Retry-After"] then refused = refused + 1
  else wrong, sample = wrong + 1, status .. " " .. string.sub(body, 1, 80) end
end
function done(summary, latency)
  local r, f, w, s = 0, 0, 0, ""
  for _, t in ipairs(threads) do
    r, f, w = r + t:get("right"), f + t:get("refused"), w + t:get("wrong")
    if t:get("sample") ~= "" then s = t:get("sample") end
  end
  local e = summary.errors
  io.write(string.format('\\nRESULT {"right":%d,"refused":%d,"wrong":%d,"sample":%q,"broken":%d,"late":%d,"p50":%d,"p99":%d}\\n',
    r, f, w, s, e.connect + e.read + e.write, e.timeout, latency:percentile(50), latency:percentile(99)))
end
`;

describe('gateway under load', { skip }, () => {
  let network, id;

  before(async () => {
    network = await Network.start();
    const agent = network.agent(Ed25519KeyIdentity.generate());
    id = await network.install(agent, gzip(await readFile(path.join(import.meta.dirname, '..', '..', 'build', 'assets.wasm'))));
    await new AssetManager({ canisterId: id, agent }).store(Buffer.from(body), { fileName: 'page.txt', contentType: 'text/plain' });
    await writeFile(path.join(network.folder, 'check.lua'), script);
  });
  after(() => network.remove());

  /** The memory of the process that the gateway runs in, in MB. */
  const memory = async () => Number((await readFile(`/proc/${network.child.pid}/status`, 'utf8')).match(/VmRSS:\s+(\d+)/)[1]) / 1024;

  const load = async (connections) => {
    const args = ['--threads', '1', '--connections', String(connections), '--duration', `${seconds}s`, '--timeout', '30s', '--script', path.join(network.folder, 'check.lua'),
      '--header', `Host: ${id}.localhost`, `${network.host}/page.txt`];
    const { stdout } = await run('wrk', args, { maxBuffer: 1 << 24 });
    return JSON.parse(stdout.match(/RESULT (.*)/)[1]);
  };

  test('right answers, or 503 with Retry-After, and memory stays flat', async (t) => {
    const victim = (await network.replicas())[2];
    let first;
    for (const connections of stages) {
      if (connections === killAt) setTimeout(() => process.kill(victim, 'SIGKILL'), (seconds * 1000) / 2);
      const r = await load(connections);
      const used = await memory();
      first ??= used;
      t.diagnostic(`${connections} connections: ${Math.round(r.right / seconds)}/s right, ${r.refused} refused, ${r.wrong} wrong, ${r.broken} broken, ` +
        `half within ${(r.p50 / 1000).toFixed(1)} ms, 99 % within ${(r.p99 / 1000).toFixed(1)} ms, ${Math.round(used)} MB`);
      assert.equal(r.wrong, 0, r.sample);
      assert.equal(r.broken, 0);
      assert.ok(r.right > 0);
      assert.ok(used < first + 300, `${used} MB, and ${first} MB with ${stages[0]} connections`);
    }
  });

  test('afterwards it answers as before', async () => {
    const r = await load(10);
    assert.deepEqual([r.wrong, r.refused, r.broken], [0, 0, 0]);
  });
});
