// Internet Identity on a network of four: identities outlive replicas, power failures
// and upgrades of the canister, and nobody becomes somebody else.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { Actor, AnonymousIdentity, CanisterStatus } from '@icp-sdk/core/agent';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Network, counterInterface, counterSource, gzip, motoko } from '../../node/e2e/network.mjs';
import { ed25519Passkey, p256Passkey, rsaPasskey } from '../../node/e2e/passkey.mjs';
import { Anchor, archiveInterface, backend, identityCanister, pages } from './anchor.mjs';

const repository = path.join(import.meta.dirname, '..', '..');
const program = path.join(repository, 'bin', 'portico');
const module = path.join(repository, 'build', 'identity.wasm');
const archiveModule = path.join(repository, 'build', 'identity-archive.wasm.gz');
const dapps = ['https://dapp.example', 'https://other.example'];

describe('Internet Identity on a network', () => {
  let network, dapp;
  const people = [];

  before(async () => {
    network = await Network.start('--ii');
    dapp = await network.install(network.agent(Ed25519KeyIdentity.generate()), motoko(counterSource));
  });
  after(() => network.remove());

  const port = () => network.status.gateway_port;
  const whoami = async (identity) => (await Actor.createActor(counterInterface, { agent: network.agent(identity), canisterId: dapp }).whoamiUpdate()).toText();

  /** Logs a person in to every dapp, which must greet them as before, or for the first time. */
  async function logsIn(person) {
    for (const origin of dapps) {
      const greeted = await whoami(await person.logIn(origin));
      person.known ??= {};
      person.known[origin] ??= greeted;
      assert.equal(greeted, person.known[origin], `identity ${person.number} is somebody else at ${origin}`);
    }
  }

  const moduleHash = async (canisterId) => {
    const status = await CanisterStatus.request({ canisterId, agent: network.agent(new AnonymousIdentity()), paths: ['module_hash'] });
    return status.get('module_hash');
  };

  test('its canisters are where clients look for them, of one module, and its address is printed', async () => {
    const hashes = await Promise.all([backend, pages].map(moduleHash));
    assert.equal(hashes[0], hashes[1]);
    assert.match(network.output, new RegExp(`Internet Identity is at http://id\\.ai\\.localhost:${port()}\n`));
    const names = { 'id.ai.localhost': pages, [`${pages}.localhost`]: pages, [`${backend}.localhost`]: backend };
    for (const [name, canister] of Object.entries(names)) {
      const answer = await get(name, '/.well-known/cli-auth-config');
      assert.equal(answer.status, 200, name);
      assert.equal(answer.headers.get('x-ic-canister-id'), canister.toText());
      assert.deepEqual(JSON.parse(answer.body), { path: '/cli' });
    }
  });

  test('pages elsewhere find out which canister a name stands for, and read its certified files', async () => {
    for (const name of ['id.ai.localhost', `${backend}.localhost`]) {
      for (const place of ['/', '/.well-known/webauthn', '/nothing']) {
        const answer = await get(name, place, 'HEAD');
        assert.ok(answer.headers.get('x-ic-canister-id'), `${name}${place}`);
        assert.match(answer.headers.get('access-control-expose-headers') ?? '', /\bx-ic-canister-id\b/);
        assert.equal(answer.headers.get('access-control-allow-origin'), '*');
      }
    }
    const answer = await get('localhost', `/.well-known/webauthn?canisterId=${backend}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    assert.ok(Array.isArray(JSON.parse(answer.body).origins));
  });

  test('passkeys of every scheme register, and their principal differs from dapp to dapp', async () => {
    for (const make of [p256Passkey, rsaPasskey, ed25519Passkey]) {
      const person = await Anchor.register(network, make());
      await logsIn(person);
      people.push(person);
    }
    const principals = people.flatMap((p) => Object.values(p.known));
    assert.equal(new Set(principals).size, people.length * dapps.length);
  });

  /** The archive, as the identity canister tells where it is. */
  async function archiveCanister() {
    const { archive_info: { archive_canister: [id] } } = await identityCanister(network.agent(new AnonymousIdentity())).stats();
    assert.ok(id, 'there is no archive');
    return id;
  }

  /** Waits until the archive has entries of somebody. */
  async function archived(person) {
    const archive = Actor.createActor(archiveInterface, { agent: network.agent(new AnonymousIdentity()), canisterId: await archiveCanister() });
    let entries;
    await network.until(async () => ({ entries } = await archive.get_anchor_entries(person.number, [], [])).entries.length > 0, `the archive has nothing about identity ${person.number}`);
    return entries.map(([entry]) => entry);
  }

  test('what happened to an identity is in the archive, which the identity canister alone controls', async () => {
    assert.match(network.output, /Internet Identity: installing canister rdmx6-jaaaa-aaaaa-aaadq-cai\n(.*\n)*Internet Identity: installing its archive\n/);
    const person = people[0];
    const [entry] = await archived(person);
    assert.deepEqual(Object.keys(entry.operation), ['register_anchor']);
    assert.equal(entry.anchor, person.number);
    assert.equal(entry.caller.toText(), person.passkey.getPrincipal().toText());
    const canisterId = await archiveCanister();
    const status = await CanisterStatus.request({ canisterId, agent: network.agent(new AnonymousIdentity()), paths: ['controllers', 'module_hash'] });
    assert.deepEqual(status.get('controllers').map(String), [backend.toText()]);
    assert.equal(status.get('module_hash'), createHash('sha256').update(await readFile(archiveModule)).digest('hex'));
  });

  test('who is in the middle of logging in does not notice that a replica is killed', async () => {
    const started = Date.now();
    let killed = false, isOver = false, during = 0;
    const traffic = people.map(async (person) => {
      while (!isOver) {
        await logsIn(person);
        if (killed) during++;
      }
    });
    const watched = Promise.all(traffic);
    for (const index of [0, 2]) {
      const at = network.output.length;
      const before = during;
      process.kill((await network.replicas())[index], 'SIGKILL');
      killed = true;
      await Promise.race([watched, network.says(new RegExp(`node ${index} .*is back`), at)]);
      await Promise.race([watched, network.until(() => during >= before + people.length)]);
    }
    isOver = true;
    await watched;
    assert.ok(during >= 2 * people.length, `${during} log-ins`);
    console.log(`${during} people logged in to two dapps each while two of four replicas were killed, one after the other, in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  });

  test('a session goes on, and people log in, after all replicas are killed', async () => {
    const session = await people[0].logIn(dapps[0]);
    await network.kill();
    await network.up();
    assert.equal(await whoami(session), people[0].known[dapps[0]]);
    for (const person of people) await logsIn(person);
  });

  test('an upgrade of the canister loses nobody, and sessions go on', async () => {
    const before = await moduleHash(backend);
    const session = await people[1].logIn(dapps[1]);
    const { users_registered } = await identityCanister(network.agent(new AnonymousIdentity())).stats();
    // a section that means nothing makes another module of it
    const changed = path.join(network.folder, 'changed.wasm');
    const bytes = Buffer.concat([await readFile(module), Buffer.from([0, 4, 3]), Buffer.from('e2e')]);
    await writeFile(changed, bytes);
    network.flags.push('--ii-wasm', changed);
    assert.equal(await network.stop(), 0);
    const said = network.output.length;
    await network.up();
    assert.match(network.output.slice(said), new RegExp(`Internet Identity: its archive is left as it is: there is no ${path.join(network.folder, path.basename(archiveModule))}\n`));
    for (const canister of [backend, pages]) assert.notEqual(await moduleHash(canister), before);
    assert.equal(await whoami(session), people[1].known[dapps[1]]);
    for (const person of people) await logsIn(person);
    const newcomer = await Anchor.register(network);
    await logsIn(newcomer);
    assert.equal(newcomer.number, people.at(-1).number + 1n);
    assert.equal((await identityCanister(network.agent(new AnonymousIdentity())).stats()).users_registered, users_registered + 1n);
  });

  test('an upgrade of the archive loses no entry, and it goes on', async () => {
    const before = [await archiveCanister(), await archived(people[1])];
    const module = await readFile(archiveModule);
    module[4] ^= 1; // the time in the header of gzip makes it another
    await writeFile(path.join(network.folder, path.basename(archiveModule)), module);
    assert.equal(await network.stop(), 0);
    await network.up();
    assert.deepEqual([await archiveCanister(), await archived(people[1])], before);
    assert.equal(await moduleHash(before[0]), createHash('sha256').update(module).digest('hex'));
    const newcomer = await Anchor.register(network);
    assert.equal((await archived(newcomer)).length, 1);
    for (const person of people) await logsIn(person);
  });

  test('started with the same modules it is left as it is', async () => {
    const versions = await Promise.all([backend, pages].map(versionOf));
    assert.equal(await network.stop(), 0);
    const said = network.output.length;
    await network.up();
    assert.doesNotMatch(network.output.slice(said), /Internet Identity:/);
    assert.deepEqual(await Promise.all([backend, pages].map(versionOf)), versions);
    await logsIn(people[2]);
  });

  /** What the network's status page counts of a canister: its installations and changes. */
  async function versionOf(canister) {
    const operator = Ed25519KeyIdentity.fromSecretKey(new Uint8Array(await readFile(path.join(network.folder, 'state', 'network', 'operator.key'))));
    const status = await network.management(network.agent(operator)).canister_status({ canister_id: canister });
    assert.deepEqual(status.settings.controllers.map(String), [operator.getPrincipal().toText()]);
    assert.ok(status.cycles > 10n ** 17n, `${status.cycles} cycles`);
    return status.version;
  }

  /** Asks the gateway for what is at a name, whichever names this computer knows. */
  async function get(name, place, method = 'GET') {
    const headers = { host: `${name}:${port()}` };
    const { request } = await import('node:http');
    return new Promise((resolve, reject) => {
      const r = request({ host: '127.0.0.1', port: port(), path: place, method, headers }, (answer) => {
        let body = '';
        answer.on('data', (more) => (body += more));
        answer.on('end', () => resolve({ status: answer.statusCode, body, headers: { get: (h) => answer.headers[h] } }));
      });
      r.on('error', reject).end();
    });
  }
});

describe('Internet Identity on a network that was there before', () => {
  test('canisters without a wish for an id have left its ids free', async () => {
    const network = await Network.start('--nodes', '1', '--artificial-delay-ms', '10');
    try {
      const agent = network.agent(Ed25519KeyIdentity.generate());
      const counter = gzip(motoko(counterSource));
      const ids = [];
      for (let n = 0; n < 9; n++) ids.push(await network.install(agent, counter));
      assert.equal(await network.stop(), 0);
      network.flags.push('--ii');
      await network.up();
      await Anchor.register(network);
    } finally {
      await network.remove();
    }
  });

  test('a canister of somebody else in its place is refused with what to do', async () => {
    const network = await Network.start('--nodes', '1', '--artificial-delay-ms', '10');
    try {
      const agent = network.agent(Ed25519KeyIdentity.generate());
      await network.management(agent).provisional_create_canister_with_cycles({ amount: [], specified_id: [backend] });
      assert.equal(await network.stop(), 0);
      const { status, stderr } = await start(network, '--ii');
      assert.equal(status, 1);
      assert.match(stderr, /rdmx6-jaaaa-aaaaa-aaadq-cai is controlled by others.*remove the network's folder/);
    } finally {
      await network.remove();
    }
  });

  test('a module that is not there is refused before anything starts', async () => {
    const { status, stderr, stdout } = spawnSync(program, ['up', '--ii', '--ii-wasm', '/nothing/identity.wasm', '--gateway-port', '0'], { encoding: 'utf8' });
    assert.equal(status, 1);
    assert.match(stderr, /--ii: open \/nothing\/identity.wasm/);
    assert.equal(stdout, '');
  });

  const start = (network, ...flags) => spawnSync(program, ['up', '--state-dir', path.join(network.folder, 'state'), '--gateway-port', '0', ...flags], { encoding: 'utf8' });
});
