// Adding another device: it opens an address with an id in it and shows a code, and
// whoever types that code here lets it in.

import { encodeQR } from "qr";
import { $, announce, field, onDo, onSubmit, run, show } from "./dom.ts";
import type { Care } from "./manage.ts";

const idCharacters = 5;
/** Letters and digits that are not taken for one another. */
const alphabet = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const pollMillis = 2_000;
const clockMillis = 1_000;

let care: Care;
let clock: ReturnType<typeof setInterval> | undefined;
/** Counts the attempts, so that what belongs to an earlier one does nothing. */
let attempt = 0;
let ready = false;

/** Opens the registration and shows the address that leads to it. */
export function addDevice(current: Care, button: HTMLButtonElement): void {
  care = current;
  if (!ready) {
    ready = true;
    onDo({ "add-cancel": (b) => void run(b, "Closing", cancel) });
    onSubmit("code-form", (values, b) => void run(b, "Checking the code", () => confirm(field(values, "code").replace(/\D/g, ""))));
  }
  void run(button, "Getting ready", async () => {
    const id = newId();
    if (current.info.authn_method_registration.length > 0) await current.door.backend.closeRegistration(current.session);
    const expires = await current.door.backend.openRegistration(current.session, id);
    attempt++;
    const address = `${location.origin}/device#${id}`;
    $("qr").replaceChildren(drawing(encodeQR(address, "raw", { ecc: "medium", border: 1 })));
    const link = $<HTMLAnchorElement>("device-link");
    link.href = address;
    link.textContent = address;
    $<HTMLFormElement>("code-form").reset();
    show("add");
    countDown(expires);
  });
}

/** Draws dark squares, a row as one path. */
function drawing(rows: readonly boolean[][]): SVGElement {
  const name = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(name, "svg");
  svg.setAttribute("viewBox", `0 0 ${rows.length} ${rows.length}`);
  const path = document.createElementNS(name, "path");
  path.setAttribute("d", rows.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ""))).join(""));
  svg.append(path);
  return svg;
}

function newId(): string {
  // Bytes that would favour the first letters are thrown again.
  const fair = 256 - (256 % alphabet.length);
  const drawn: string[] = [];
  while (drawn.length < idCharacters) {
    const [byte = 255] = crypto.getRandomValues(new Uint8Array(1));
    if (byte < fair) drawn.push(alphabet[byte % alphabet.length] ?? "");
  }
  return drawn.join("");
}

function countDown(expires: number): void {
  clearInterval(clock);
  const mine = attempt;
  const tick = (): void => {
    const seconds = Math.max(0, Math.round((expires - Date.now()) / 1000));
    $("add-left").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} minutes`;
    if (seconds > 0 || mine !== attempt) return;
    end();
    if (Date.now() < care.session.expires) void care.show("The time to add a device is over. You can begin again.");
  };
  tick();
  clock = setInterval(tick, clockMillis);
}

async function confirm(code: string): Promise<void> {
  const { door, session } = care;
  await door.backend.confirmCode(session, code);
  show("added");
  announce("The other device was let in.");
  void awaitPasskey(attempt);
}

/** Waits until the other device has brought its passkey, and shows it. */
async function awaitPasskey(mine: number): Promise<void> {
  const { door, session, info } = care;
  const before = info.authn_methods.length;
  while (mine === attempt && Date.now() < session.expires) {
    const now = await door.backend.info(session).catch(() => undefined);
    if (mine !== attempt) return;
    if (now && now.authn_method_registration.length === 0) {
      end();
      await care.show(now.authn_methods.length > before ? "The other device was added." : "No device was added.");
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, pollMillis));
  }
}

function end(): void {
  attempt++;
  clearInterval(clock);
}

async function cancel(): Promise<void> {
  end();
  await care.door.backend.closeRegistration(care.session);
  await care.show();
}
