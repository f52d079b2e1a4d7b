// Logging in with Internet Identity, as any dapp does: @icp-sdk/auth opens its page and
// gets delegations to a key of this browser from the person's principal on this origin.
import { AuthClient } from '@icp-sdk/auth/client';
import { delegated, type Identity } from '@portico/client';

/** What @icp-sdk/auth gives of a person who is logged in. */
interface DelegatedIdentity {
  sign(message: Uint8Array): Promise<Uint8Array>;
  getDelegation(): {
    publicKey: Uint8Array;
    delegations: { delegation: { pubkey: Uint8Array; expiration: bigint; targets?: { toText(): string }[] }; signature: Uint8Array }[];
  };
}

/** Somebody who may log in, or has. */
export interface Login {
  /** The identity of who is logged in; undefined if nobody is. */
  restore(): Promise<Identity | undefined>;
  /** Opens Internet Identity: only while a click is handled, or the browser blocks the window. */
  logIn(): Promise<Identity>;
  logOut(): Promise<void>;
}

/** How long a delegation lasts. */
const lifetimeNs = 8n * 3600n * 1_000_000_000n;

/** Logging in at the Internet Identity of a host; undefined if there is none. */
export async function login(host: string): Promise<Login | undefined> {
  const provider = `${location.protocol}//${host}${location.port && `:${location.port}`}`;
  const there = await fetch(`${provider}/.well-known/cli-auth-config`).then((r) => r.ok, () => false);
  if (!there) return undefined;
  const auth = new AuthClient({ identityProvider: `${provider}/authorize`, idleOptions: { disableIdle: true } });
  return {
    async restore() {
      return auth.isAuthenticated() ? identityOf(await auth.getIdentity()) : undefined;
    },
    async logIn() {
      return identityOf(await auth.signIn({ maxTimeToLive: lifetimeNs }));
    },
    logOut: () => auth.signOut(),
  };
}

/** The same identity in the form that @portico/client takes. */
function identityOf(found: object): Identity {
  const identity = found as DelegatedIdentity;
  const { publicKey, delegations } = identity.getDelegation();
  const last = delegations.at(-1);
  if (!last) throw new Error('Internet Identity gave no delegation');
  const key: Identity = { publicKey: new Uint8Array(last.delegation.pubkey), sign: (message) => identity.sign(message) };
  const chain = delegations.map(({ delegation: { pubkey, expiration, targets }, signature }) => ({
    publicKey: pubkey,
    expiration,
    signature,
    ...(targets && { targets: targets.map((t) => t.toText()) }),
  }));
  return delegated(key, { owner: publicKey, chain });
}
