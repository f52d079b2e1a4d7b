// The page on which somebody signs in to the dapp that opened it.

import { showAccounts } from "./accounts.ts";
import type { AccountNumber } from "./backend.ts";
import { $, field, make, onDo, onSubmit, run, show, showUnasked } from "./dom.ts";
import { entrance } from "./entrance.ts";
import { knownIdentities } from "./known.ts";
import { explain } from "./problem.ts";
import { awaitRequest, ProtocolError, type SignInRequest } from "./protocol/request.ts";
import type { Session } from "./session.ts";
import { duration, host } from "./words.ts";

/** What the canister gives if a dapp does not say, and the most it gives (Internet Identity specification). */
const usualLife = 30n * 60_000_000_000n;
const longestLife = 30n * 24n * 3_600_000_000_000n;

let request: SignInRequest;
/** Whether the person wants to see their accounts first. */
let choosing = false;
let session: Session | undefined;
/** What the app has not been told yet. */
let failure: ProtocolError | undefined;

// Dapps ask from the moment on at which they opened the window, and again only after a while.
const asked = awaitRequest({ signal: new AbortController().signal });
asked.catch(() => {}); // told below

const door = await entrance(async (entered) => {
  session = entered;
  if (choosing) await chooseAccount(entered);
  else await grant(entered, "usual");
});

/** Signs for an account and hands it to the dapp, which closes this window. */
async function grant(as: Session, wanted: AccountNumber | "usual"): Promise<void> {
  show("working");
  try {
    const { derivationOrigin, sessionKey, maxTimeToLive } = request;
    const { granted, account } = await door.backend.delegation(as, { origin: derivationOrigin, account: wanted, sessionKey, maxTimeToLive });
    request.grant(granted, { method: as.method, attributes: (asked) => door.backend.attributes(as, derivationOrigin, account, asked) });
  } catch (error) {
    show("start");
    throw error;
  }
  show("done");
  // Most dapps close the window now. Those that do not may ask for something else.
  request.next().then((next) => {
    request = next;
    present(showUnasked);
  }, fail);
}

const chooseAccount = (as: Session): Promise<void> =>
  showAccounts({ backend: door.backend, session: as, origin: request.derivationOrigin, use: (account) => grant(as, account) });

/** Shows who asks, as whom and for how long. */
function present(appear = show): void {
  const { origin, derivationOrigin, maxTimeToLive } = request;
  const asked = maxTimeToLive ?? usualLife;
  $("who").replaceChildren(make("strong", "", host(origin)), " wants you to sign in.");
  const as = $("as");
  as.hidden = derivationOrigin === origin;
  as.replaceChildren("It gets the pseudonym that you have at ", make("strong", "", host(derivationOrigin)), ", which allows it.");
  $("life").textContent =
    request.purpose === "accounts"
      ? "It learns your pseudonym there, and cannot act as you."
      : `It can act as you there for ${duration(asked < longestLife ? asked : longestLife)}.`;
  for (const e of document.querySelectorAll("[data-origin]")) e.textContent = host(derivationOrigin);
  door.refresh();
  appear("start");
}

function fail(error: unknown): void {
  failure = error instanceof ProtocolError ? error : undefined;
  const kind = failure?.kind ?? "malformed";
  show("failed");
  for (const button of document.querySelectorAll<HTMLElement>('[data-do="leave"]')) button.hidden = !window.opener;
  $("reason").textContent = explain(error).message;
  $("remedy").textContent = remedies[kind];
}

/** Apps ignore what comes from a window that is gone, so the last answer arrives first. Most then close the window themselves. */
function closeSoon(): void {
  setTimeout(() => window.close(), 500);
}

const remedies: Record<ProtocolError["kind"], string> = {
  "no-opener": "Open the app and sign in from there. If nothing opens then, allow pop-ups for the app: your browser may have blocked the window.",
  timeout: "Close this window and try again from the app. If it happens again, tell whoever made the app.",
  malformed: "Go back and tell whoever made the app.",
  key: "Go back and tell whoever made the app.",
  origin: "You were not signed in, and the app learned nothing about you.",
  aborted: "Close this window and try again from the app.",
};

/** The passkey of somebody who is known here is asked for by name, else any. */
const enter = (button: HTMLButtonElement, how = knownIdentities()[0]?.passkeys.length ? "continue-known" : "continue"): void => door.deeds[how]?.(button);

function signIn(button: HTMLButtonElement, how: string): void {
  choosing = false;
  const as = session;
  if (how === "continue-known" && as && Date.now() < as.expires) void run(button, "Signing you in", () => grant(as, "usual"));
  else enter(button, how);
}

onDo({
  continue: (button) => signIn(button, "continue"),
  "continue-known": (button) => signIn(button, "continue-known"),
  choose: (button) => {
    choosing = true;
    const as = session;
    if (as && Date.now() < as.expires) void run(button, "Looking for your accounts", () => chooseAccount(as));
    else enter(button);
  },
  cancel: () => {
    request.refuse({ kind: "cancelled", message: "The person did not sign in." });
    closeSoon();
    show("failed");
    $("reason").textContent = "You did not sign in.";
    $("remedy").textContent = "You can close this window.";
  },
  leave: () => {
    failure?.tell();
    closeSoon();
  },
});

onSubmit("account-form", (values, button) => {
  if (!session) return;
  const as = session;
  void run(button, "Creating the account", async () => {
    const { account_number } = await door.backend.createAccount(as, request.derivationOrigin, field(values, "name"));
    await grant(as, account_number);
  });
});

try {
  request = await asked;
  present();
} catch (error) {
  fail(error);
}
