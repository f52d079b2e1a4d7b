// Making elements of texts: nothing that a canister says is ever read as markup.

export function make<K extends keyof HTMLElementTagNameMap>(tag: K, className = "", ...content: (Node | string)[]): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...content);
  return e;
}

/** The items of a definition list. */
export function pairs(facts: [name: string, value: Node | string][]): HTMLElement[] {
  return facts.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]);
}
