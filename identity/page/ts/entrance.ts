// Coming to be signed in, on whatever page: with a passkey, by creating an identity, or
// by recovering one.

import type { ECDSAKeyIdentity } from "@icp-sdk/core/identity";
import { Backend } from "./backend.ts";
import { $, field, onSubmit, run, show, shown, tell } from "./dom.ts";
import { knownIdentities } from "./known.ts";
import { createPasskey } from "./passkey.ts";
import { Problem } from "./problem.ts";
import { continueWithPasskey, continueWithPhrase, newKey, register, type Session } from "./session.ts";
import { readSettings } from "./settings.ts";
import { deviceName } from "./words.ts";

export interface Entrance {
  readonly backend: Backend;
  /** What the buttons of SignIn do; then goes on with the session. */
  readonly deeds: Record<string, (button: HTMLButtonElement) => void>;
  /** Brings the buttons up to date with what the browser knows. */
  refresh(): void;
}

/** Asks the person for the characters of a captcha, in a view of its own. */
function solveCaptcha(png: string, wrong: boolean): Promise<string> {
  const form = $<HTMLFormElement>("captcha-form");
  const button = form.querySelector("button") as HTMLButtonElement;
  form.reset();
  $<HTMLImageElement>("captcha").src = `data:image/png;base64,${png}`;
  show("captcha");
  if (wrong) tell(new Problem("refused", "These were not the characters. Here are others."));
  button.disabled = false; // Whatever waits for this holds all the others.
  return new Promise((resolve) => {
    form.addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        button.disabled = true;
        resolve(field(new FormData(form), "text"));
      },
      { once: true },
    );
  });
}

/** Sets up the views of Entrance and the buttons of SignIn (document.templ). */
export async function entrance(entered: (session: Session) => Promise<void>): Promise<Entrance> {
  const backend = new Backend(readSettings());
  let key: ECDSAKeyIdentity = await newKey();

  /** Every session has a key of its own: the next one's is made while this one lasts. */
  async function enter(session: Session): Promise<void> {
    key = await newKey();
    await entered(session);
  }

  const waiting = "Waiting for your passkey";
  const withPasskey = (button: HTMLButtonElement, allowed: readonly Uint8Array[] = []): void =>
    void run(button, waiting, async () => enter(await continueWithPasskey(backend, key, allowed)));

  onSubmit("create-form", (values, button) => {
    const name = field(values, "name");
    void run(button, waiting, async () => {
      const passkey = await createPasskey(name);
      button.textContent = "Creating your identity";
      const session = await register(backend, key, name, deviceName(), passkey, solveCaptcha).catch((error: unknown) => {
        if (shown() === "captcha") show("create");
        throw error;
      });
      $<HTMLFormElement>("create-form").reset();
      await enter(session);
    });
  });

  onSubmit("recover-form", (values, button) => {
    void run(button, "Looking for your identity", async () => {
      const { phraseIdentity } = await import("./phrase.ts");
      const identity = await phraseIdentity(field(values, "words"));
      const session = await continueWithPhrase(backend, key, identity);
      $<HTMLFormElement>("recover-form").reset();
      await enter(session);
    });
  });

  function refresh(): void {
    const [last] = knownIdentities();
    const usable = last !== undefined && last.passkeys.length > 0;
    const known = document.querySelector<HTMLButtonElement>('[data-do="continue-known"]');
    const other = document.querySelector<HTMLButtonElement>('[data-view="start"] [data-do="continue"]');
    if (!known || !other) return;
    known.hidden = !usable;
    if (usable) known.textContent = last.name ? `Continue as ${last.name}` : `Continue as ${last.anchor}`;
    other.className = usable ? "second" : "primary";
    other.textContent = usable ? "Use another passkey" : "Continue with a passkey";
  }

  const deeds = {
    continue: (button: HTMLButtonElement) => withPasskey(button),
    "continue-known": (button: HTMLButtonElement) => withPasskey(button, knownIdentities()[0]?.passkeys.map((p) => p.id)),
  };
  return { backend, deeds, refresh };
}
