// The page's window, as far as the protocols need it, and the dapp at its other end.

/** The part of Window that the protocols use. */
export interface Host {
  readonly opener: Pick<Window, "postMessage"> | null;
  readonly location: Location;
  addEventListener(type: "message", listener: (e: MessageEvent) => void): void;
  addEventListener(type: "pagehide", listener: () => void): void;
  removeEventListener(type: "message", listener: (e: MessageEvent) => void): void;
  removeEventListener(type: "pagehide", listener: () => void): void;
}

/** The window that opened the page, while it shows one origin. */
export interface Dapp {
  readonly origin: string;
  /** Reaches the window only while it still shows that origin. */
  post(message: unknown): void;
  /** Calls listener with each message of that window and origin; no others. */
  listen(listener: (data: unknown) => void): void;
  /** Calls last when the person leaves the page. */
  onLeave(last: () => void): void;
}

/** The dapp of a message that came from the opener; undefined if another window sent it, or the page itself, or nobody with an origin. */
export function dappOf(event: MessageEvent, host: Host, signal: AbortSignal): Dapp | undefined {
  const { opener } = host;
  const { origin } = event;
  if (!opener || event.source !== opener || origin === host.location.origin || origin === "null") return undefined;
  return {
    origin,
    post: (message) => opener.postMessage(message, origin),
    listen(listener) {
      const onMessage = (e: MessageEvent) => {
        if (e.source === opener && e.origin === origin) listener(e.data);
      };
      host.addEventListener("message", onMessage);
      signal.addEventListener("abort", () => host.removeEventListener("message", onMessage));
    },
    onLeave(last) {
      host.addEventListener("pagehide", last);
      signal.addEventListener("abort", () => host.removeEventListener("pagehide", last));
    },
  };
}
