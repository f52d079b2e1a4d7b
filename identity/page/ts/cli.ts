// The page on which somebody signs in a command-line tool on the same computer.

import { $, notice, onDo, show } from "./dom.ts";
import { entrance } from "./entrance.ts";
import { explain } from "./problem.ts";
import { type CliRequest, readCli } from "./protocol/cli.ts";
import { duration, host } from "./words.ts";

let request: CliRequest | undefined;

const door = await entrance(async (session) => {
  if (!request) return;
  show("working");
  try {
    const { derivationOrigin, sessionKey, maxTimeToLive } = request;
    const { granted } = await door.backend.delegation(session, { origin: derivationOrigin, account: "usual", sessionKey, maxTimeToLive });
    request.answer(granted);
  } catch (error) {
    show("start");
    throw error;
  }
});

function fail(reason: string, remedy: string): void {
  show("failed");
  $("reason").textContent = reason;
  $("remedy").textContent = remedy;
}

function open(): void {
  try {
    const page = readCli(location.hash);
    if (page.kind === "request") present(page.request);
    else if (page.status === "success") show("done");
    else if (page.status === "identity-mismatch") fail("The tool expected another identity.", "Start the tool again and sign in with the identity that it is linked to.");
    else fail("The tool could not use the sign-in.", "Look at what the tool says, and start it again.");
  } catch (error) {
    fail(explain(error).message, "Start the tool again. It opens this page by itself.");
  }
}

function present(asked: CliRequest): void {
  request = asked;
  $("who").textContent = "A command-line tool on this computer wants you to sign in.";
  const as = $("as");
  as.hidden = asked.app === undefined;
  as.textContent = asked.app === undefined ? "" : `It will act as you at ${host(asked.app)}.`;
  $("life").textContent = `It can act as you for ${duration(asked.maxTimeToLive)}.`;
  door.refresh();
  show("start");
  if (asked.mismatch) notice("The tool is linked to another identity than the one that you used. Continue with that one.");
}

onDo(door.deeds);
// Another request ends this one, prompts and calls included: whoever opened the window may bring it at any moment.
window.addEventListener("hashchange", () => location.reload());
open();
