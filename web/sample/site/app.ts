// The sample dapp's page: an ordinary user of @icp-sdk/core.
import { Actor, HttpAgent, type ActorSubclass } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';

interface Counter {
  increment(): Promise<bigint>;
  value(): Promise<bigint>;
}

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const count = element<HTMLOutputElement>('count');
const button = element<HTMLButtonElement>('increment');
const problem = element<HTMLParagraphElement>('problem');

async function connect(): Promise<ActorSubclass<Counter>> {
  // The network's key and the backend's id come with the page and are certified like it.
  const env = (await (await fetch('/env.json')).json()) as { backend: string; rootKey: string };
  const rootKey = Uint8Array.from(env.rootKey.match(/../g) ?? [], (byte) => parseInt(byte, 16));
  const agent = HttpAgent.createSync({ host: location.origin, rootKey });
  const service = () =>
    IDL.Service({ increment: IDL.Func([], [IDL.Nat], []), value: IDL.Func([], [IDL.Nat], ['query']) });
  return Actor.createActor<Counter>(service, { agent, canisterId: env.backend });
}

async function attempt(work: () => Promise<bigint>): Promise<void> {
  button.disabled = true;
  try {
    count.value = (await work()).toString();
    problem.hidden = true;
  } catch (error) {
    problem.textContent = `That did not work: ${error instanceof Error ? error.message : error}`;
    problem.hidden = false;
  }
  button.disabled = false;
}

const counter = connect();
button.addEventListener('click', () => void attempt(async () => (await counter).increment()));
void attempt(async () => (await counter).value());
