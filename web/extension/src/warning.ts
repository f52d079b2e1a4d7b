// The page in the place of one that failed.

import { pairs, put } from "./dom.ts";
import { allow, type Warning } from "./warn.ts";

async function render(): Promise<void> {
  const key = `warning ${location.hash.slice(1)}`;
  const w: Warning | undefined = (await chrome.storage.session.get(key))[key];
  if (!w) {
    put("#title", "This warning is of an earlier session");
    return;
  }
  put("#text", w.blocked
    ? "What was delivered for this address is not what the canister certified. None of it was shown, and none of its scripts ran."
    : "What was delivered for this address is not what the canister certified, so it was taken away. It was on the screen for a moment, and its scripts may have run.");
  put("#reason", w.reason);
  document.querySelector("#facts")!.append(...pairs([["Address", w.url], ["Failed", w.failed], ["Canister", w.canister]]));
  document.querySelector("#back")!.addEventListener("click", () => (history.length > (w.blocked ? 1 : 2) ? history.go(w.blocked ? -1 : -2) : void closeTab()));
  document.querySelector("#again")!.addEventListener("click", () => location.replace(w.url));
  document.querySelector("#anyway")!.addEventListener("click", async () => {
    await allow(w.origin);
    location.replace(w.url);
  });
}

async function closeTab(): Promise<void> {
  const tab = await chrome.tabs.getCurrent();
  await chrome.tabs.remove(tab.id);
}

void render();
