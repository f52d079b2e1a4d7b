// The settings page.

import { pairs, put } from "./dom.ts";
import { mainnet, type Network, settings } from "./networks.ts";

/** A public key of BLS12-381 in DER, hex. */
const rootKeyForm = /^308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100[0-9a-f]{192}$/;
const domainForm = /^[a-z0-9-]+(\.[a-z0-9-]+)*$/;

async function render(): Promise<void> {
  const s = await settings();
  for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=mode]")) radio.checked = (radio.value === "strict") === s.strict;
  document.querySelector("#networks")!.replaceChildren(card(mainnet), ...s.networks.map((n) => card(n, s.networks)));
  document.querySelector("#hashes")!.replaceChildren(...pairs(Object.entries(HASHES)));
}

function card(n: Network, removeFrom?: Network[]): HTMLElement {
  const li = document.createElement("li");
  const name = document.createElement("h3");
  name.textContent = n.name;
  const list = document.createElement("dl");
  list.append(...pairs([["Domains", n.domains.join(", ")], ["Asked at", n.api || "each site's own address"], ["Root key", n.rootKey]]));
  li.append(name, list);
  if (removeFrom) {
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "second";
    remove.textContent = `Remove ${n.name}`;
    remove.addEventListener("click", () => void save({ networks: removeFrom.filter((x) => x !== n) }));
    li.append(remove);
  }
  return li;
}

async function save(change: object): Promise<void> {
  await chrome.storage.local.set(change);
  await render();
}

/** What is wrong with a network, or "". */
function wrong(n: Network, others: Network[]): string {
  if (!rootKeyForm.test(n.rootKey)) return "The root key must be a BLS12-381 public key in DER: 266 hex digits that begin with 308182301d06.";
  const bad = n.domains.find((d) => !domainForm.test(d));
  if (n.domains.length === 0 || bad !== undefined) return `${JSON.stringify(bad ?? "")} is not a domain such as localhost.`;
  const taken = n.domains.find((d) => mainnet.domains.includes(d) || others.some((o) => o.domains.includes(d)));
  if (taken) return `${taken} belongs to another network already.`;
  return "";
}

document.querySelector<HTMLFormElement>("#add")!.addEventListener("submit", async (e) => {
  e.preventDefault();
  const form = e.currentTarget as HTMLFormElement;
  const text = (name: string) => String(new FormData(form).get(name) ?? "").trim();
  const api = text("api");
  const n: Network = {
    name: text("name"), rootKey: text("rootKey").replaceAll(/\s/g, "").toLowerCase(), api: api && new URL(api).origin,
    domains: text("domains").toLowerCase().split(/[\s,]+/).filter(Boolean),
  };
  const { networks } = await settings();
  const error = wrong(n, networks);
  put("#error", error);
  if (error) return;
  form.reset();
  await save({ networks: [...networks, n] });
});

for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=mode]")) {
  radio.addEventListener("change", () => void save({ strict: radio.value === "strict" }));
}
void render();
