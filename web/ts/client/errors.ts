// Errors say which check failed, so that programs can tell a lie from a lost connection.

/**
 * The check that failed.
 *
 * Nobody answered, or nobody could: `network` (no answer, or the gateway found no
 * replica), `timeout`, `status` (the network refused the request), `program` (the
 * light client itself cannot run here), `argument` (what the caller gave makes no request).
 *
 * The canister or the system answered: `reject` (see {@link PorticoError.reject}), `outcome`
 * (the call expired, or its reply is no longer kept).
 *
 * What answered is not to be believed: `signature` (of the subnet, or of the node
 * that answered a query), `delegation` (of the root key to the subnet), `range` (the
 * subnet may not speak for the canister), `time` (the certificate is older than five minutes or from the
 * future), `malformed` (it cannot be read), and of HTTP responses `missing` (no certificate), `version`, `downgrade` (the canister may offer better certification), `tree` (not the
 * canister's certified data), `path`, `expression`, `request`, `status code`, `headers`, `body`,
 * `response` (one of the last three).
 */
export type Check =
  | "network" | "timeout" | "status" | "program" | "argument"
  | "reject" | "outcome"
  | "signature" | "delegation" | "range" | "time" | "malformed"
  | "missing" | "version" | "downgrade" | "tree" | "path" | "expression" | "request" | "status code" | "headers" | "body" | "response";

/** The negative answer to a call or query (interface specification, "Reject codes"). */
export interface Reject {
  /** 1 to 6. */
  code: number;
  message: string;
  /** Such as "IC0536"; may be empty. */
  errorCode: string;
  /** Whether the subnet has certified it; if not, one node says so. */
  certified: boolean;
}

/** Whatever a function of this package fails with. */
export class PorticoError extends Error {
  readonly check: Check;
  /** Set if the check is `reject`. */
  readonly reject?: Reject;
  /** The HTTP status, if there is one to tell. */
  readonly status?: number;

  constructor(check: Check, message: string, more: { reject?: Reject; status?: number; cause?: unknown } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = "PorticoError";
    this.check = check;
    if (more.reject) this.reject = more.reject;
    if (more.status !== undefined) this.status = more.status;
  }
}

/** What the light client rejects promises with (portico/lightclient/wasm, failure). */
type Failure = [check: Check, message: string, status: number, code: number, reject: string, errorCode: string, certified: boolean];

/** Puts whatever was thrown into the form of this package. */
export function errorOf(thrown: unknown): PorticoError {
  if (thrown instanceof PorticoError) return thrown;
  if (!Array.isArray(thrown)) return new PorticoError("program", thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
  const [check, text, status, code, message, errorCode, certified] = thrown as Failure;
  return new PorticoError(check, text, {
    ...(status !== 0 && { status }),
    ...(code !== 0 && { reject: { code, message, errorCode, certified } }),
  });
}
