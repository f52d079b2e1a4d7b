// What went wrong, in words for people.

import { AgentError, ErrorKindEnum } from "@icp-sdk/core/agent";

export type ProblemKind =
  /** The person did not want it. */
  | "cancelled"
  /** The browser or device cannot do it. */
  | "unsupported"
  /** There is such a thing already. */
  | "exists"
  /** The canister knows of no such thing. */
  | "unknown"
  /** The canister refused. */
  | "refused"
  /** The network does not answer, or not in a way that can be believed. */
  | "network"
  | "failed";

export class Problem extends Error {
  readonly kind: ProblemKind;
  constructor(kind: ProblemKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "Problem";
    this.kind = kind;
  }
}

/** Turns whatever was thrown into something that can be shown. */
export function explain(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof AgentError) {
    switch (error.kind) {
      case ErrorKindEnum.Trust:
        return new Problem("network", "The network's answer did not prove to be genuine, so it was not used. Check your connection and try again.", { cause: error });
      case ErrorKindEnum.Reject:
        return new Problem("refused", `The network refused this. ${reject(error)}`.trim(), { cause: error });
      default:
        return new Problem("network", "The network does not answer. Check your connection and try again.", { cause: error });
    }
  }
  if (error instanceof Error && error.name === "ProtocolError") return new Problem("failed", error.message, { cause: error });
  return new Problem("failed", "Something went wrong that should not have. Load the page again and try once more.", { cause: error });
}

/** The canister's own words, which it ends with a stop or not. */
function reject(error: AgentError): string {
  const message = "rejectMessage" in error.code && typeof error.code.rejectMessage === "string" ? error.code.rejectMessage : "";
  return message.slice(0, 200);
}
