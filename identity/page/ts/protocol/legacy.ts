// The protocol of @dfinity/auth-client: the page says that it is ready, the dapp asks once, the page answers once
// (Internet Identity specification, "Client authentication protocol").

import { ProtocolError } from "./errors.ts";
import type { Dapp } from "./host.ts";
import { checkSessionKey } from "./keys.ts";
import { derivationOrigin, type Where } from "./origins.ts";
import type { Grant, Granted, Refusal, SignInRequest } from "./request.ts";
import { duration, isRecord } from "./values.ts";

/** What the page tells its opener, whoever that is: it holds no secret. */
export const ready = { kind: "authorize-ready" };

export function isLegacyRequest(data: unknown): data is Record<string, unknown> {
  return isRecord(data) && data["kind"] === "authorize-client";
}

/** Reads a dapp's request. Where it may not be granted, the dapp is told at the latest when the person leaves the page. */
export async function legacyRequest(data: Record<string, unknown>, dapp: Dapp, where: Where): Promise<SignInRequest> {
  let answered = false;
  const answer = (message: unknown) => {
    if (!answered) dapp.post(message);
    answered = true;
  };
  const refuse = (reason: Refusal) => answer({ kind: "authorize-client-failure", text: reason.message });
  try {
    const { sessionKey, maxTimeToLive } = read(data);
    return {
      origin: dapp.origin,
      derivationOrigin: await derivationOrigin(data["derivationOrigin"], dapp.origin, where),
      sessionKey,
      maxTimeToLive,
      purpose: "delegation",
      grant: (granted, more) => answer(success(granted, more)),
      refuse,
      next: () => new Promise(() => {}),
    };
  } catch (e) {
    const error = e as ProtocolError;
    error.onTell(() => refuse({ kind: "failed", message: error.message }));
    dapp.onLeave(() => error.tell());
    throw error;
  }
}

function read(data: Record<string, unknown>): { sessionKey: Uint8Array; maxTimeToLive: bigint | undefined } {
  const key = data["sessionPublicKey"];
  if (!(key instanceof Uint8Array)) throw new ProtocolError("malformed", "The app did not bring a session key.");
  checkSessionKey(key);
  const asked = data["maxTimeToLive"];
  const maxTimeToLive = duration(asked);
  if (asked !== undefined && maxTimeToLive === undefined) throw new ProtocolError("malformed", "The app asked for a session of a length that is no number of nanoseconds.");
  return { sessionKey: Uint8Array.from(key), maxTimeToLive };
}

function success({ userKey, delegations }: Granted, more?: Grant): unknown {
  return {
    kind: "authorize-client-success",
    delegations: delegations.map(({ delegation, signature }) => ({ delegation: { ...delegation }, signature })),
    userPublicKey: userKey,
    authnMethod: more?.method ?? "passkey",
  };
}
