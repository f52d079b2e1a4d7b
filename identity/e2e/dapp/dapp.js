// The test dapp's page: it signs in with whichever of the two packages a button says, as its address bar says, and then
// asks a canister who it is. Tests read window.outcome.

import { AuthClient } from "@icp-sdk/auth/client";
import { Actor, HttpAgent } from "@icp-sdk/core/agent";
import { Signer } from "@icp-sdk/signer";
import { PostMessageTransport } from "@icp-sdk/signer/web";
import { AuthClient as LegacyAuthClient } from "@dfinity/auth-client";

const settings = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const { identityProvider, derivationOrigin, maxTimeToLive, host, rootKey, canister } = settings;
const lifetime = maxTimeToLive && BigInt(maxTimeToLive);
const legacyClient = await LegacyAuthClient.create({ idleOptions: { disableIdle: true } });
const client = new AuthClient({ identityProvider, derivationOrigin, idleOptions: { disableIdle: true } });

const ways = {
  "icp-sdk": () => client.signIn(lifetime ? { maxTimeToLive: lifetime } : undefined),
  "auth-client": () =>
    new Promise((resolve, reject) =>
      legacyClient.login({
        identityProvider,
        derivationOrigin,
        maxTimeToLive: lifetime,
        onSuccess: () => resolve(legacyClient.getIdentity()),
        onError: (text) => reject(new Error(text)),
      }),
    ),
  // Attributes and the sign-in at once, as a dapp asks that wants to greet people by their names.
  attributes: async () => {
    const ask = (...keys) =>
      client.requestAttributes({ keys, nonce: new Uint8Array(32).fill(7) }).then(
        ({ data, signature }) => data.length > 0 && signature.length > 0,
        (e) => e.message,
      );
    const attributes = Promise.all([ask(), ask("name")]);
    const identity = await client.signIn();
    window.attributes = await attributes;
    return identity;
  },
  // What other signers' dapps do, in one window.
  signer: async () => {
    const signer = new Signer({ transport: new PostMessageTransport({ url: identityProvider }), autoCloseTransportChannel: false });
    const standards = (await signer.getSupportedStandards()).map(({ name }) => name);
    const permissions = await signer.requestPermissions([{ method: "icrc27_accounts" }]);
    const accounts = await signer.getAccounts();
    await signer.closeChannel();
    return { standards, permissions, account: accounts[0].owner.toText(), getPrincipal: () => accounts[0].owner };
  },
  // Two questions at once, of which the person answers one after the other.
  twice: async () => {
    const signer = new Signer({ transport: new PostMessageTransport({ url: identityProvider }), autoCloseTransportChannel: false });
    const [first, second] = await Promise.all([signer.getAccounts().finally(() => (window.first = true)), signer.getAccounts()]);
    await signer.closeChannel();
    return { account: first[0].owner.toText(), getPrincipal: () => second[0].owner };
  },
};

const service = ({ IDL }) => IDL.Service({ whoami: IDL.Func([], [IDL.Principal], ["query"]), whoamiUpdate: IDL.Func([], [IDL.Principal], []) });

for (const [name, signIn] of Object.entries(ways)) {
  document.getElementById(name).addEventListener("click", async () => {
    window.outcome = undefined;
    const clicked = Date.now();
    try {
      const identity = await signIn();
      const got = performance.timeOrigin + performance.now();
      window.identity = identity;
      const expires = identity.getDelegation?.().delegations[0].delegation.expiration;
      window.outcome = { principal: identity.getPrincipal().toText(), clicked, got, expires: expires?.toString(), standards: identity.standards, permissions: identity.permissions };
    } catch (e) {
      window.outcome = { error: e.message, clicked, failed: Date.now() };
    }
  });
}

/** Whom the canister sees in a query and in an update call, or why it does not. */
window.whoami = async () => {
  const agent = HttpAgent.createSync({ host, rootKey: Uint8Array.from(atob(rootKey), (c) => c.charCodeAt(0)), identity: window.identity, retryTimes: 0 });
  const actor = Actor.createActor(service, { agent, canisterId: canister });
  const text = (call) => call.then((id) => id.toText(), String);
  return { query: await text(actor.whoami()), update: await text(actor.whoamiUpdate()) };
};
window.ready = true;
