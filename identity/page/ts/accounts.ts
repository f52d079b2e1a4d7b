// Choosing among the accounts that somebody has at one app, and looking after them.

import type { AccountNumber, Backend } from "./backend.ts";
import { $, askName, make, run, show } from "./dom.ts";
import type { Account } from "./interface.ts";
import type { Session } from "./session.ts";
import { day } from "./words.ts";

/** What is being chosen. */
export interface Choice {
  readonly backend: Backend;
  readonly session: Session;
  /** Where the accounts are. */
  readonly origin: string;
  /** Goes on as an account. */
  use(account: AccountNumber): Promise<void>;
}

type Deed = "use" | "rename" | "usual";

const nameOf = ({ name }: Account): string => name[0] || "Main account";
const isSame = (a: Account, b: Account): boolean => a.account_number[0] === b.account_number[0];

/** Shows the accounts, the one that everybody has first. */
export async function showAccounts(choice: Choice): Promise<void> {
  await list(choice);
  announceDone("");
  show("accounts");
}

function announceDone(text: string): void {
  $("accounts-done").textContent = text;
  $("accounts-done").hidden = text === "";
}

async function list(choice: Choice): Promise<void> {
  const { backend, session, origin } = choice;
  const [accounts, usual] = await Promise.all([backend.accounts(session, origin), backend.usualAccount(session, origin)]);
  $("accounts").replaceChildren(...accounts.map((account) => item(choice, account, isSame(account, usual))));
}

function item(choice: Choice, account: Account, isUsual: boolean): HTMLElement {
  const made = ($<HTMLTemplateElement>("account").content.cloneNode(true) as DocumentFragment).firstElementChild as HTMLElement;
  const name = nameOf(account);
  const used = account.last_used[0];
  // When the account was used that everybody has is not known before it has a name.
  const unused = account.account_number[0] === undefined ? "The one that you began with" : "Not used yet";
  const about = [isUsual ? "The usual one: you get it without choosing" : "", used === undefined ? "" : `Used on ${day(used)}`].filter(Boolean);
  const works: Record<Deed, (b: HTMLButtonElement) => void> = {
    use: () => void run(undefined, "Signing you in", () => choice.use(account.account_number)),
    rename: (b) => void rename(choice, account, b),
    usual: (b) => void makeUsual(choice, account, b),
  };
  for (const b of made.querySelectorAll<HTMLButtonElement>("[data-deed]")) {
    const deed = b.dataset["deed"] as Deed;
    if (deed === "use") b.append(name, make("span", "sub", about.join(". ") || unused));
    else b.ariaLabel = `${b.textContent}: ${name}`;
    b.hidden = deed === "usual" && isUsual;
    b.addEventListener("click", () => works[deed](b));
  }
  return made;
}

async function rename(choice: Choice, account: Account, b: HTMLButtonElement): Promise<void> {
  const name = await askName(nameOf(account));
  if (name) await change(choice, b, `It is called ${name} now.`, () => choice.backend.renameAccount(choice.session, choice.origin, account.account_number, name));
}

const makeUsual = (choice: Choice, account: Account, b: HTMLButtonElement): Promise<void> =>
  change(choice, b, `From now on you get ${nameOf(account)} without choosing.`, () => choice.backend.setUsualAccount(choice.session, choice.origin, account.account_number));

/** Changes an account and shows it anew; the keyboard stays where it was. */
async function change(choice: Choice, b: HTMLButtonElement, done: string, work: () => Promise<unknown>): Promise<void> {
  const place = [...$("accounts").children].findIndex((e) => e.contains(b));
  announceDone("");
  await run(b, "Saving", async () => {
    await work();
    await list(choice);
    announceDone(done);
  });
  const now = $("accounts").children[place];
  (now?.querySelector<HTMLElement>(`[data-deed="${b.dataset["deed"]}"]:not([hidden])`) ?? now?.querySelector<HTMLElement>("[data-deed]"))?.focus();
}
