// Pages that verify certificates themselves can have the service worker that brought them
// check the signatures: what the light client takes milliseconds for takes scripts many times that.

/** A signature of BLS, the key of 96 bytes and the signature of 48. */
export interface Signed {
  key: Uint8Array;
  message: Uint8Array;
  signature: Uint8Array;
}

/** The message by which a page asks; the answer, a boolean, comes on its port. */
export interface Question extends Signed {
  ask: typeof isSigned;
}

export const isSigned = "portico: is this signed?";

/** Reads a page's question; undefined if it is none. */
export function questionOf(data: unknown): Question | undefined {
  const { ask, key, message, signature } = (data ?? {}) as Partial<Question>;
  return ask === isSigned && [key, message, signature].every((b) => b instanceof Uint8Array) ? (data as Question) : undefined;
}

/** Longer than any worker takes that knows the question. One of an older build does not answer. */
const patienceMs = 2000;

/** Asks the worker whether a signature is right; undefined if it does not say. */
export function askWorker(worker: ServiceWorker, signed: Signed): Promise<boolean | undefined> {
  const { port1, port2 } = new MessageChannel();
  const question: Question = { ask: isSigned, ...signed };
  return new Promise<boolean | undefined>((resolve) => {
    const timer = setTimeout(() => resolve(undefined), patienceMs);
    port1.onmessage = ({ data }) => {
      clearTimeout(timer);
      resolve(typeof data === "boolean" ? data : undefined);
    };
    worker.postMessage(question, [port2]);
  }).finally(() => port1.close());
}
