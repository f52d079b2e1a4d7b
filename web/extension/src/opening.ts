// Has the debugger attached to this tab before the site opens in it.

import { put } from "./dom.ts";

async function open(): Promise<void> {
  const url = location.href.slice(location.href.indexOf("#") + 1);
  if (!/^https?:\/\//.test(url)) return;
  const outcome: unknown = await chrome.runtime.sendMessage({ kind: "attach" });
  if (outcome === true) location.replace(url);
  else put("#text", `Answers to this tab cannot be held, so the site is not opened: ${outcome}`);
}

void open();
