// Small things that the extension's pages share.

export function put(selector: string, text: string): void {
  document.querySelector(selector)!.textContent = text;
}

/** Terms and their descriptions. */
export const pairs = (facts: [string, string][]): HTMLElement[] =>
  facts.flatMap(([name, value]) => {
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = name;
    dd.textContent = value;
    return [dt, dd];
  });

/** A text on a line of its own, or nothing. */
export const lines = (text: string): Node[] => (text ? [document.createElement("br"), document.createTextNode(text)] : []);
