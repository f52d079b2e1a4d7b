// A canister in TypeScript: notes in stable memory, a counter in the heap, a timer, and a call to another canister.
import { call, IDL, init, Principal, postUpgrade, query, setTimer, StableBTreeMap, update } from 'azle';

export default class {
  notes = new StableBTreeMap<string, string>(0);
  count = 0n;
  fired = false;

  @init([IDL.Nat])
  start(first: bigint): void { this.count = first; }

  @postUpgrade([IDL.Nat])
  again(first: bigint): void { this.count = first; }

  @update([IDL.Text, IDL.Text], IDL.Nat)
  write(key: string, text: string): bigint {
    this.notes.insert(key, text);
    this.count += 1n;
    return this.count;
  }

  @query([], IDL.Tuple(IDL.Vec(IDL.Tuple(IDL.Text, IDL.Text)), IDL.Nat))
  read(): [[string, string][], bigint] { return [this.notes.items(), this.count]; }

  @update([])
  later(): void { setTimer(0, () => { this.fired = true; }); }

  @query([], IDL.Bool)
  hasFired(): boolean { return this.fired; }

  @update([IDL.Principal], IDL.Nat)
  async increment(counter: Principal): Promise<bigint> {
    return call<undefined, bigint>(counter, 'increment', { returnIdlType: IDL.Nat });
  }
}
