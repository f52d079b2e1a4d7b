// Logging in at a server off the network: Internet Identity delegates to a key of this
// page, and that key signs the server's challenge.
import { AuthClient } from '@icp-sdk/auth/client';
import type { DelegationIdentity } from '@icp-sdk/core/identity';

/** The paths of identity.Server. */
const prefix = '/_identity/';

/** Begins every message that logs in; identity.Message in Go. */
const separator = '\x0Eportico-log-in';

/** How long the delegation lasts: the session on the server ends with it. */
const lifetimeNs = 8n * 3600n * 1_000_000_000n;

const byId = <E extends HTMLElement>(id: string): E | null => document.getElementById(id) as E | null;

function say(text: string, bad = false): void {
  const status = byId('status');
  if (!status) return;
  status.textContent = text;
  status.classList.toggle('bad', bad);
}

/** What people are told about the checks of identity.Refusal; the rest is for who runs the server. */
const words: Record<string, string> = {
  chain_signature: 'The network that this server trusts did not sign your log-in.',
  signer: 'This server does not trust the identity provider that you used.',
  challenge_expired: 'That took too long. Try again.',
  expired: 'Your log-in has expired. Try again.',
  room: 'Too many people are logged in. Try again later.',
  session: 'You are not logged in any more. Load the page anew.',
};

/** A refusal of the server, in words for people and then its own. */
async function refused(response: Response): Promise<Error> {
  const text = await response.text();
  try {
    const { code, message } = JSON.parse(text) as { code: string; message: string };
    return new Error(`${words[code] ?? 'The server did not accept this.'} (${message})`);
  } catch {
    return new Error(text || `The server answered with status ${response.status}.`);
  }
}

async function post(path: string, body: string, type: string): Promise<Response> {
  const response = await fetch(path, { method: 'POST', headers: { 'Content-Type': type }, body });
  if (!response.ok) throw await refused(response);
  return response;
}

const toHex = (bytes: Uint8Array) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
const fromHex = (text: string) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));

/** What the key of this page signs. The origin is the browser's word, not the server's. */
function message(challenge: Uint8Array): Uint8Array {
  const encode = (text: string) => new TextEncoder().encode(text);
  return new Uint8Array([...encode(separator), ...challenge, ...encode(location.origin)]);
}

/** Nothing outlasts the page: the server's session does without the key. */
class Memory {
  private readonly values = new Map<string, string | CryptoKeyPair>();
  async get(key: string) {
    return this.values.get(key) ?? null;
  }
  async set(key: string, value: string | CryptoKeyPair) {
    this.values.set(key, value);
  }
  async remove(key: string) {
    this.values.delete(key);
  }
}

/** Before anything else it opens a window, which the browser allows only while it handles a click. */
async function logIn(identityProvider: string): Promise<void> {
  const auth = new AuthClient({ identityProvider, storage: new Memory(), idleOptions: { disableIdle: true } });
  const identity = (await auth.signIn({ maxTimeToLive: lifetimeNs })) as DelegationIdentity;
  say('Logging in…');
  const asked = await post(`${prefix}challenge`, '', 'application/json');
  const { challenge } = (await asked.json()) as { challenge: string };
  const signature = toHex(new Uint8Array(await identity.sign(message(fromHex(challenge)))));
  await post(`${prefix}log-in`, JSON.stringify({ challenge, chain: identity.getDelegation().toJSON(), signature }), 'application/json');
  await auth.signOut();
  location.reload();
}

/** Lets a button do something once at a time, and says what went wrong. */
function onClick(id: string, wait: string, work: () => Promise<void>): void {
  const button = byId<HTMLButtonElement>(id);
  button?.addEventListener('click', async () => {
    button.disabled = true;
    say(wait);
    try {
      await work();
    } catch (error) {
      say(error instanceof Error ? error.message : String(error), true);
    } finally {
      button.disabled = false;
    }
  });
}

const provider = document.querySelector<HTMLMetaElement>('meta[name="identity-provider"]')?.content ?? '';
onClick('log-in', 'Go on in the window of Internet Identity.', () => logIn(provider));
onClick('save', 'Saving…', async () => {
  await post('/note', byId<HTMLTextAreaElement>('note')?.value ?? '', 'text/plain');
  say('Saved.');
});
onClick('log-out', 'Logging out…', async () => {
  await post(`${prefix}log-out`, '', 'application/json');
  location.reload();
});
