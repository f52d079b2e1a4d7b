// WebAuthnIdentity of @icp-sdk/core, in a browser with a virtual authenticator, calls a
// network directly and through a delegation: what it sends is what replicas take.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { build } from 'esbuild';
import { launch, skip } from '../../web/e2e/browser.mjs';
import { Network, counterInterface, counterSource, motoko } from './network.mjs';

const script = `
  import { Actor, HttpAgent } from '@icp-sdk/core/agent';
  import { DelegationChain, DelegationIdentity, Ed25519KeyIdentity, WebAuthnIdentity } from '@icp-sdk/core/identity';
  const counter = ${counterInterface};
  const whoami = async (identity, { rootKey, canisterId }) => {
    const agent = HttpAgent.createSync({ host: location.origin, rootKey: Uint8Array.from(rootKey), identity });
    const actor = Actor.createActor(({ IDL }) => counter({ IDL }), { agent, canisterId });
    return [identity.getPrincipal().toText(), (await actor.whoami()).toText(), (await actor.whoamiUpdate()).toText()];
  };
  let passkey;
  window.passkey = async (about) => {
    passkey = await WebAuthnIdentity.create();
    return whoami(passkey, about);
  };
  window.again = (about) => whoami(WebAuthnIdentity.fromJSON(JSON.stringify(passkey)), about);
  window.delegated = async (about) => {
    const session = Ed25519KeyIdentity.generate();
    const chain = await DelegationChain.create(passkey, session.getPublicKey(), new Date(Date.now() + 3600_000));
    return whoami(DelegationIdentity.fromDelegation(session, chain), about);
  };
`;

describe('WebAuthnIdentity', { skip }, () => {
  let network, browser, page, about;

  before(async () => {
    network = await Network.start();
    const id = await network.install(network.agent(Ed25519KeyIdentity.generate()), motoko(counterSource));
    about = { rootKey: [...network.rootKey], canisterId: id.toText() };
    browser = await launch();
    page = await (await browser.newContext({ bypassCSP: true })).newPage();
    const session = await page.context().newCDPSession(page);
    await session.send('WebAuthn.enable');
    await session.send('WebAuthn.addVirtualAuthenticator', {
      options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
    });
    await page.goto(`http://localhost:${network.status.gateway_port}/`);
    const { outputFiles } = await build({ stdin: { contents: script, resolveDir: import.meta.dirname }, bundle: true, format: 'esm', target: 'es2022', write: false });
    await page.addScriptTag({ type: 'module', content: outputFiles[0].text });
    await page.waitForFunction(() => window.delegated);
  });
  after(async () => {
    await browser?.close();
    await network?.remove();
  });

  const call = (name) => page.evaluate(([n, a]) => window[n](a), [name, about]);

  test('a passkey is known by its principal, directly, from JSON and as the root of a delegation', async () => {
    const [principal, ...seen] = await call('passkey');
    assert.deepEqual(seen, [principal, principal]);
    assert.deepEqual(await call('again'), [principal, principal, principal]);
    assert.deepEqual(await call('delegated'), [principal, principal, principal]);
  });
});
