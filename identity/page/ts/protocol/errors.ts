/** Why there is no request to answer. */
export type ProtocolErrorKind =
  /** The page was not opened by a dapp or tool. */
  | "no-opener"
  /** The window that opened the page said nothing in time. */
  | "timeout"
  /** What was asked is not of the protocol. */
  | "malformed"
  /** The session key is not of a form that requests may be signed with. */
  | "key"
  /** The dapp may not use the derivation origin that it asked for. */
  | "origin"
  /** The signal was aborted. */
  | "aborted";

/** The only error that the protocols reject with. */
export class ProtocolError extends Error {
  readonly kind: ProtocolErrorKind;
  #tell: () => void = () => {};

  /** The message is in plain words, for people. */
  constructor(kind: ProtocolErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ProtocolError";
    this.kind = kind;
  }

  /** Tells the dapp, if there is one to be told. Most dapps then close the window, so the person should have read why. */
  tell(): void {
    this.#tell();
  }

  /** Says how the dapp is told. */
  onTell(tell: () => void): void {
    this.#tell = tell;
  }
}

export function givenUp(): ProtocolError {
  return new ProtocolError("aborted", "The sign-in was given up.");
}
