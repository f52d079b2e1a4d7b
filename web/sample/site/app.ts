// The sample dapp's page: a user of @portico/client. What it shows was checked in
// this browser, whoever answered.
import { connect, type Connection, PorticoError, storedIdentity } from '@portico/client';
import { IDL } from '@icp-sdk/core/candid';

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const count = element<HTMLOutputElement>('count');
const certified = element<HTMLParagraphElement>('certified');
const button = element<HTMLButtonElement>('increment');
const problem = element<HTMLParagraphElement>('problem');
const caller = element<HTMLElement>('caller');

const Value = IDL.Record({ value: IDL.Nat, certificate: IDL.Opt(IDL.Vec(IDL.Nat8)) });

interface Counter {
  network: Connection;
  backend: string;
}

async function counter(): Promise<Counter> {
  // The network's key and the backend's id come with the page and are certified like it.
  const env = (await (await fetch('/env.json')).json()) as { backend: string; rootKey: string };
  // The key is this browser's own; calls are made as the principal that it stands for.
  const network = await connect({ rootKey: env.rootKey, identity: await storedIdentity(), program: '/client.wasm' });
  caller.textContent = network.sender;
  return { network, backend: env.backend };
}

/** A query is one node's word; the certificate that comes with it is the subnet's. */
async function read({ network, backend }: Counter): Promise<void> {
  const reply = await network.query({ canister: backend, method: 'value' });
  const [answer] = IDL.decode([Value], reply) as unknown as [{ value: bigint; certificate: [] | [Uint8Array] }];
  const [certificate] = answer.certificate;
  if (!certificate) throw new Error('the answer has no certificate');
  const data = new Uint8Array(IDL.encode([IDL.Nat], [answer.value]));
  const time = await network.verifyCertifiedData(new Uint8Array(certificate), backend, data);
  count.value = answer.value.toString();
  certified.textContent = `Certified by the network at ${time.toLocaleTimeString()}`;
}

async function raise(c: Counter): Promise<void> {
  const reply = await c.network.update({ canister: c.backend, method: 'increment' });
  const [value] = IDL.decode([IDL.Nat], reply) as unknown as [bigint];
  count.value = value.toString();
  certified.textContent = 'Certified by the network as the reply to your call';
}

async function attempt(work: () => Promise<void>): Promise<void> {
  button.disabled = true;
  try {
    await work();
    problem.hidden = true;
  } catch (error) {
    const check = error instanceof PorticoError ? ` (check: ${error.check})` : '';
    problem.textContent = `That did not work${check}: ${error instanceof Error ? error.message : error}`;
    problem.hidden = false;
  }
  button.disabled = false;
}

const ready = counter();
button.addEventListener('click', () => void attempt(async () => raise(await ready)));
void attempt(async () => read(await ready));
