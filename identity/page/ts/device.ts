// The page that another device opens which is to be added to an identity.

import { Backend } from "./backend.ts";
import { $, field, onDo, onSubmit, run, show, tell } from "./dom.ts";
import { remember } from "./known.ts";
import { checkSupport, createPasskey, passkeyMethod } from "./passkey.ts";
import { explain, Problem } from "./problem.ts";
import { newKey } from "./session.ts";
import { readSettings } from "./settings.ts";
import { deviceName } from "./words.ts";

const pollMillis = 1_500;

const backend = new Backend(readSettings());
const key = await newKey();
let anchor = 0n;
let name = "";

async function look(id: string): Promise<void> {
  const found = await backend.ofRegistration(id);
  if (found === undefined) throw new Problem("unknown", "No identity is waiting for a device with these characters. They count for 15 minutes: begin again on the device that you have.");
  anchor = found;
  $("join-anchor").textContent = String(anchor);
  show("join");
}

async function join(): Promise<void> {
  const { code, expires } = await backend.announce(anchor, key);
  $("code").textContent = code.replace(/^(\d{3})/, "$1 ");
  show("code");
  void admission(expires);
}

/** Waits until the code was typed on the other device. */
async function admission(expires: number): Promise<void> {
  while (Date.now() < expires) {
    const admitted = await backend.admitted(anchor, key).catch(() => undefined);
    if (admitted) {
      name = admitted.name;
      $("make-name").textContent = name ? ` by ${name}` : "";
      show("make");
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, pollMillis));
  }
  show("find");
  tell(new Problem("refused", "The code was not typed in time. Begin again on the device that you have."));
}

async function make(): Promise<void> {
  const passkey = await createPasskey(name || `Identity ${anchor}`);
  await backend.bring(anchor, key, passkeyMethod(passkey, deviceName()));
  remember(anchor, name, { id: passkey.credentialId, publicKey: passkey.publicKey });
  show("done");
}

onDo({
  join: (b) => void run(b, "Asking for a code", join),
  make: (b) => void run(b, "Waiting for your passkey", make),
});
onSubmit("find-form", (values, b) => void run(b, "Looking for the identity", () => look(field(values, "id"))));

async function open(): Promise<void> {
  const id = location.hash.slice(1);
  if (!id) {
    show("find");
    return;
  }
  try {
    checkSupport();
    await look(id);
  } catch (error) {
    show("find");
    tell(explain(error));
  }
}

// Another address ends what goes on here, prompts included.
window.addEventListener("hashchange", () => location.reload());
await open();
