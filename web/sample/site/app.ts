// The sample dapp's page: a user of @portico/client. What it shows was checked in
// this browser, whoever answered.
import { connect, type Connection, type Identity, PorticoError, storedIdentity } from '@portico/client';
import { IDL } from '@icp-sdk/core/candid';
import { login, type Login } from './login.ts';

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const count = element<HTMLOutputElement>('count');
const certified = element<HTMLParagraphElement>('certified');
const increment = element<HTMLButtonElement>('increment');
const problem = element<HTMLParagraphElement>('problem');
const mine = element<HTMLOutputElement>('mine');
const logIn = element<HTMLButtonElement>('login');
const logOut = element<HTMLButtonElement>('logout');

const Value = IDL.Record({ value: IDL.Nat, certificate: IDL.Opt(IDL.Vec(IDL.Nat8)) });

/** What comes with the page and is certified like it. */
interface Environment {
  backend: string;
  rootKey: string;
  /** The host of Internet Identity, if this network has it. */
  identity?: string;
}

interface Counter {
  network: Connection;
  backend: string;
}

/** The counter as somebody calls it: who is logged in, or the owner of a key of this browser's own. */
async function counter(env: Environment, loggedIn?: Identity): Promise<Counter> {
  const network = await connect({ rootKey: env.rootKey, identity: loggedIn ?? (await storedIdentity()), program: '/client.wasm' });
  element('greeting').textContent = loggedIn ? 'Hello,' : 'You are';
  element('means').textContent = loggedIn ? ', by Internet Identity' : ', by a key that cannot leave this browser';
  element('caller').textContent = network.sender;
  return { network, backend: env.backend };
}

/** A query is one node's word; the certificate that comes with it is the subnet's. */
async function read({ network, backend }: Counter): Promise<void> {
  const [value, own] = await Promise.all(['value', 'mine'].map((method) => network.query({ canister: backend, method })));
  const [answer] = IDL.decode([Value], value!) as unknown as [{ value: bigint; certificate: [] | [Uint8Array] }];
  const [certificate] = answer.certificate;
  if (!certificate) throw new Error('the answer has no certificate');
  const data = new Uint8Array(IDL.encode([IDL.Nat], [answer.value]));
  const time = await network.verifyCertifiedData(new Uint8Array(certificate), backend, data);
  count.value = answer.value.toString();
  mine.value = times(natOf(own!));
  certified.textContent = `Certified by the network at ${time.toLocaleTimeString()}`;
}

const natOf = (reply: Uint8Array) => (IDL.decode([IDL.Nat], reply) as unknown as [bigint])[0];

const times = (n: bigint) => (n === 1n ? 'once' : `${n} times`);

async function raise({ network, backend }: Counter): Promise<void> {
  count.value = natOf(await network.update({ canister: backend, method: 'increment' })).toString();
  mine.value = times(natOf(await network.query({ canister: backend, method: 'mine' })));
  certified.textContent = 'Certified by the network as the reply to your call';
}

async function attempt(work: () => Promise<void>): Promise<void> {
  const buttons = [increment, logIn, logOut];
  for (const b of buttons) b.disabled = true;
  try {
    await work();
    problem.hidden = true;
  } catch (error) {
    const check = error instanceof PorticoError ? ` (check: ${error.check})` : '';
    problem.textContent = `That did not work${check}: ${error instanceof Error ? error.message : error}`;
    problem.hidden = false;
  }
  for (const b of buttons) b.disabled = false;
}

/** Shows the counter to whoever it is, and how they become somebody else. */
async function start(): Promise<void> {
  const env = (await (await fetch('/env.json')).json()) as Environment;
  const session = env.identity ? await login(env.identity) : undefined;
  let current = await counter(env, await session?.restore());
  increment.addEventListener('click', () => void attempt(() => raise(current)));
  if (session) offer(session, async (who) => read((current = await counter(env, who))));
  element('no-identity').hidden = session !== undefined;
  await read(current);
}

function offer(session: Login, become: (who?: Identity) => Promise<void>): void {
  const show = (isLoggedIn: boolean) => {
    logIn.hidden = isLoggedIn;
    logOut.hidden = !isLoggedIn;
  };
  logIn.addEventListener('click', () => {
    const asked = session.logIn(); // before anything else, while the click counts
    void attempt(async () => {
      await become(await asked);
      show(true);
    });
  });
  logOut.addEventListener('click', () => void attempt(async () => {
    await session.logOut();
    await become();
    show(false);
  }));
  void session.restore().then((who) => show(who !== undefined));
}

void attempt(start);
