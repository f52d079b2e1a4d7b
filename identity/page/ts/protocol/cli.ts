// The page /cli, which gives a command-line tool on the same computer a delegation (`icp identity link web`).

import { type Granted, ProtocolError } from "./request.ts";

/** A tool's request. The delegation goes to the tool's own address on this computer and nowhere else. */
export interface CliRequest {
  /** DER of a form that requests may be signed with. */
  readonly sessionKey: Uint8Array;
  /** Nanoseconds; eight hours unless the tool asks otherwise. */
  readonly maxTimeToLive: bigint;
  /** The origin whose principal the tool gets. */
  readonly derivationOrigin: string;
  /** The dapp as which the tool will act, as an origin; undefined for the tool's own identity. */
  readonly app: string | undefined;
  /** Sends the delegation to the tool by leaving the page; the tool brings the browser back with a status. */
  answer(granted: Granted): void;
}

/** What /cli shows: a request, or how an earlier one ended. */
export type CliPage =
  | { readonly kind: "request"; readonly request: CliRequest }
  | { readonly kind: "status"; readonly status: "success" | "error" | "identity-mismatch" };

/**
 * Reads the fragment that the tool opened the page with, with or without its "#".
 * Throws a ProtocolError: "no-opener" if there is none, "malformed" or "key" with what is wrong.
 */
export function readCli(fragment: string): CliPage {
  if (fragment.replace(/^#/, "") === "") throw new ProtocolError("no-opener", "This page signs in a command-line tool. Start from the tool.");
  throw new ProtocolError("malformed", "The tool asked in a way that this page does not understand.");
}
