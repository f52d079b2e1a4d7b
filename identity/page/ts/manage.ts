// Looking after an identity: its passkeys, and how it is recovered.

import { addDevice } from "./add.ts";
import { $, announce, ask, askName, make, notice, onDo, run, show } from "./dom.ts";
import type { Entrance } from "./entrance.ts";
import type { IdentityInfo, Metadata, Method } from "./interface.ts";
import { forgetPasskey, knownPasskey, remember, same } from "./known.ts";
import { createPasskey, passkeyMethod } from "./passkey.ts";
import { savePhrase } from "./phraseview.ts";
import type { Session } from "./session.ts";
import { day, deviceName } from "./words.ts";

/** What is being looked after. */
export interface Care {
  readonly door: Entrance;
  readonly session: Session;
  info: IdentityInfo;
  /** Asks for the identity again and shows it, with a word about what was done. */
  show(done?: string): Promise<void>;
}

let care: Care | undefined;
let leaving: ReturnType<typeof setTimeout> | undefined;

/** Shows the identity of a session, until that ends. */
export async function manage(door: Entrance, session: Session): Promise<void> {
  const first = care === undefined;
  const current: Care = { door, session, info: await door.backend.info(session), show: refresh };
  async function refresh(done = ""): Promise<void> {
    current.info = await door.backend.info(session);
    present(current);
    announceDone(done);
  }
  care = current;
  remember(session.anchor, current.info.name[0] ?? "");
  history.replaceState(null, "", "/manage");
  clearTimeout(leaving);
  leaving = setTimeout(() => signOut("You were signed out, because some time has passed. Sign in again to go on."), session.expires - Date.now());
  if (first) onDo(deeds);
  present(current);
  if (session.method === "recovery") announceDone("You are in. If you have lost your passkeys, remove them and add a new one on this device.");
}

function announceDone(text: string): void {
  $("done").textContent = text;
  $("done").hidden = text === "";
}

function signOut(why = ""): void {
  clearTimeout(leaving);
  const door = care?.door;
  care = undefined;
  for (const id of ["passkeys", "recovery", "words", "asked"]) $(id).replaceChildren();
  for (const dialog of document.querySelectorAll("dialog")) dialog.close("no");
  history.replaceState(null, "", "/");
  door?.refresh();
  show("start");
  if (why) notice(why);
  else announce("You are signed out.");
}

const keyOf = ({ authn_method: m }: Method): Uint8Array => ("WebAuthn" in m ? m.WebAuthn.pubkey : m.PubKey.pubkey);
const credentialOf = ({ authn_method: m }: Method): Uint8Array | undefined => ("WebAuthn" in m ? m.WebAuthn.credential_id : undefined);
const isRecovery = (m: Method): boolean => "Recovery" in m.security_settings.purpose;
const isProtected = (m: Method): boolean => "Protected" in m.security_settings.protection;
export const isPhrase = (m: Method): boolean => isRecovery(m) && !("WebAuthn" in m.authn_method);

function said(metadata: Metadata, key: string): string | undefined {
  const value = metadata.find(([k]) => k === key)?.[1];
  return value && "String" in value ? value.String : undefined;
}

const nameOf = (m: Method): string => said(m.metadata, "alias") || (isRecovery(m) ? "Recovery device" : "Passkey");

function present(current: Care): void {
  const { info, session } = current;
  const methods = info.authn_methods;
  $("manage-title").textContent = info.name[0] || "Your identity";
  $("anchor").textContent = String(session.anchor);
  $("advice").hidden = methods.length > 1;
  $("passkeys").replaceChildren(...methods.filter((m) => !isRecovery(m)).map((m) => card(current, m)));
  const recovery = methods.filter(isRecovery);
  $("recovery").replaceChildren(...recovery.map((m) => card(current, m)));
  $("no-recovery").hidden = recovery.length > 0;
  button("make-phrase").hidden = methods.some(isPhrase);
  announceDone("");
  show("manage");
}

const button = (deed: string): HTMLButtonElement => document.querySelector(`[data-do="${deed}"]`) as HTMLButtonElement;

function card(current: Care, method: Method): HTMLElement {
  const item = ($<HTMLTemplateElement>("method").content.cloneNode(true) as DocumentFragment).firstElementChild as HTMLElement;
  const part = (selector: string): HTMLElement => item.querySelector(selector) as HTMLElement;
  const name = nameOf(method);
  part(".name").textContent = name;
  const used = method.last_authentication[0];
  part(".about").textContent = used === undefined ? "Not used yet" : `Used on ${day(used)}`;
  const credential = credentialOf(method);
  const badges = [];
  if (credential && knownPasskey(credential)) badges.push(make("span", "badge", "Used in this browser"));
  if (isProtected(method)) badges.push(make("span", "badge good", "Protected"));
  part(".badges").replaceChildren(...badges);
  const works: Record<string, (b: HTMLButtonElement) => void> = { rename: (b) => void rename(current, method, b), protect: (b) => protect(current, method, b), remove: (b) => void remove(current, method, b) };
  for (const b of item.querySelectorAll<HTMLButtonElement>("[data-deed]")) {
    const deed = b.dataset["deed"] ?? "";
    if (deed === "protect" && isProtected(method)) b.textContent = "Unprotect";
    b.hidden = isPhrase(method) ? deed === "rename" : deed === "protect";
    b.ariaLabel = `${b.textContent}: ${name}`;
    b.addEventListener("click", () => works[deed]?.(b));
  }
  return item;
}

async function rename(current: Care, method: Method, b: HTMLButtonElement): Promise<void> {
  const name = await askName(nameOf(method));
  if (!name) return;
  const metadata: Metadata = [["alias", { String: name }], ...method.metadata.filter(([key]) => key !== "alias")];
  await run(b, "Saving", async () => {
    await current.door.backend.setMetadata(current.session, keyOf(method), metadata);
    await current.show(`It is called ${name} now.`);
  });
}

async function remove(current: Care, method: Method, b: HTMLButtonElement): Promise<void> {
  const name = nameOf(method);
  const others = current.info.authn_methods.length - 1;
  $("confirm-title").textContent = `Remove ${name}?`;
  $("confirm-yes").textContent = "Remove";
  $("confirm-text").textContent =
    others === 0
      ? "It is the only way into your identity. Without it nobody can sign in any more, and nobody can bring it back."
      : isPhrase(method)
        ? "The words will no longer open your identity. You can then create new ones."
        : "You will no longer be able to sign in with it.";
  const own = same(keyOf(method), current.session.owner);
  if (own && others > 0) $("confirm-text").append(" You are signed in with it now, so you will be signed out.");
  if (!(await ask("confirm"))) return;
  await run(b, "Removing", async () => {
    await current.door.backend.removeMethod(current.session, keyOf(method));
    forgetPasskey(current.session.anchor, keyOf(method));
    if (own) signOut(`${name} was removed, with which you were signed in.`);
    else await current.show(`${name} was removed.`);
  });
}

function protect(current: Care, method: Method, b: HTMLButtonElement): void {
  const on = !isProtected(method);
  void run(b, "Saving", async () => {
    const settings: Method["security_settings"] = { ...method.security_settings, protection: on ? { Protected: null } : { Unprotected: null } };
    await current.door.backend.setSecurity(current.session, keyOf(method), settings);
    await current.show(on ? "From now on the phrase can be changed or removed only by somebody who signs in with it." : "The phrase is no longer protected.");
  });
}

/** A name that none of the others has, with a number if it must. */
function another(name: string, others: readonly string[]): string {
  let n = 1;
  while (others.includes(n === 1 ? name : `${name} ${n}`)) n++;
  return n === 1 ? name : `${name} ${n}`;
}

function addPasskey(b: HTMLButtonElement, purpose: "Authentication" | "Recovery"): void {
  const current = care;
  if (!current) return;
  void run(b, "Waiting for your passkey", async () => {
    const existing = current.info.authn_methods.flatMap((m) => credentialOf(m) ?? []);
    const passkey = await createPasskey(current.info.name[0] || `Identity ${current.session.anchor}`, existing);
    const alias = another(purpose === "Recovery" ? "Recovery device" : deviceName(), current.info.authn_methods.map(nameOf));
    await current.door.backend.addMethod(current.session, passkeyMethod(passkey, alias, purpose));
    if (purpose === "Authentication") remember(current.session.anchor, undefined, { id: passkey.credentialId, publicKey: passkey.publicKey });
    await current.show(`${alias} was added.`);
  });
}

const deeds: Record<string, (b: HTMLButtonElement) => void> = {
  "add-here": (b) => addPasskey(b, "Authentication"),
  "add-recovery": (b) => addPasskey(b, "Recovery"),
  "add-device": (b) => care && addDevice(care, b),
  "make-phrase": (b) => care && savePhrase(care, b),
  "sign-out": () => signOut(),
};
