// The views of a page, and what its buttons do.

import { explain, type Problem } from "./problem.ts";

/** The element with an id, which the page must have. */
export function $<E extends HTMLElement = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found as E;
}

const views = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>("[data-view]")];

/** The name of the view that is shown. */
export const shown = (): string => views().find((v) => !v.hidden)?.dataset["view"] ?? "";

const heading = (): HTMLElement | null | undefined => views().find((v) => !v.hidden)?.querySelector<HTMLElement>("h1");

/** Shows a view alone. Its heading takes the focus, from where keyboard and screen reader go on. */
export function show(name: string): void {
  clearProblem();
  for (const view of views()) view.hidden = view.dataset["view"] !== name;
  const first = heading();
  first?.focus({ preventScroll: true });
  if (first) document.title = `${first.textContent} – Internet Identity`;
  window.scrollTo(0, 0);
}

/** How long a view takes no clicks that came by itself. */
const settleMs = 1000;

/** Shows a view that nobody asked for just now: a second click that was meant for what stood in its place must not count. */
export function showUnasked(name: string): void {
  show(name);
  const main = document.querySelector("main");
  main?.setAttribute("inert", "");
  setTimeout(() => {
    open();
    if (shown() === name) heading()?.focus({ preventScroll: true });
  }, settleMs);
}

/** Tells screen readers what happened. */
export function announce(text: string): void {
  $("status").textContent = text;
}

export function clearProblem(): void {
  $("problem").className = "problem";
  $("problem").textContent = "";
}

/** Tells what happened that nobody asked for and that is no failure, in the same place. */
export function notice(text: string): void {
  clearProblem();
  $("problem").className = "advice";
  $("problem").textContent = text;
}

/** Tells what went wrong, above the view that it is about. */
export function tell(problem: Problem): void {
  clearProblem();
  const element = $("problem");
  element.textContent = problem.message;
  element.scrollIntoView({ block: "nearest" });
}

window.addEventListener("unhandledrejection", (event) => {
  open();
  tell(explain(event.reason));
});

/** The page takes clicks from now on; before, they would be lost (document.templ). */
function open(): void {
  document.querySelector("main")?.removeAttribute("inert");
}

/** Whether something runs that the person waits for: one thing at a time. */
let running = false;

/**
 * Runs what a button is for. Until it is over, the button says what is being waited
 * for, and nothing else can be started. What went wrong is told and not thrown.
 */
export async function run(button: HTMLButtonElement | undefined, waiting: string, work: () => Promise<void>): Promise<void> {
  if (running) return;
  running = true;
  clearProblem();
  const label = button?.textContent ?? "";
  const others = [...document.querySelectorAll<HTMLButtonElement>("button:not([hidden])")].filter((b) => b !== button && !b.disabled);
  for (const b of others) b.disabled = true;
  if (button) {
    button.textContent = waiting;
    button.ariaBusy = "true";
    button.disabled = true;
  }
  announce(waiting);
  try {
    await work();
  } catch (error) {
    tell(explain(error));
  } finally {
    running = false;
    for (const b of others) b.disabled = false;
    if (button) {
      button.textContent = label;
      button.ariaBusy = null;
      button.disabled = false;
      if (document.activeElement === document.body && button.checkVisibility()) button.focus();
    }
    announce("");
  }
}

/** What the buttons named by data-do do. */
export function onDo(deeds: Record<string, (button: HTMLButtonElement) => void>): void {
  document.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLButtonElement>("button");
    if (!button || button.disabled) return;
    const { do: deed, to } = button.dataset;
    if (to) show(to);
    else if (deed) deeds[deed]?.(button);
  });
  open();
}

/** What a form does with the text of its field when it is sent. */
export function onSubmit(id: string, work: (values: FormData, button: HTMLButtonElement) => void): void {
  const form = $<HTMLFormElement>(id);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    if (button && !button.disabled) work(new FormData(form), button);
  });
}

/** The text of a field, without space around it. */
export const field = (values: FormData, name: string): string => String(values.get(name) ?? "").trim();

/** Opens a dialog; resolves with whether it was agreed to. */
export function ask(id: string): Promise<boolean> {
  const dialog = $<HTMLDialogElement>(id);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

/** Asks for another name (Rename in document.templ), undefined if the person leaves it as it is. */
export async function askName(before: string): Promise<string | undefined> {
  const input = $<HTMLInputElement>("rename-name");
  input.value = before;
  input.select();
  return (await ask("rename")) ? input.value.trim() : undefined;
}

/** Makes an element of texts: nothing that others say is ever read as markup. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, className = "", ...content: (Node | string)[]): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...content);
  return e;
}
