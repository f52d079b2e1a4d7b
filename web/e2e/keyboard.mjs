// What every page must be: usable by keyboard alone, with a name for everything.

import assert from "node:assert/strict";

const roles = ["link", "button", "textbox", "DisclosureTriangle"];

/** By Tab alone one comes to everything that can be used, and all of it has a name. */
export async function checkKeyboard(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Accessibility.enable");
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  const usable = nodes.filter((n) => !n.ignored && roles.includes(n.role?.value) && !n.properties?.some((p) => p.name === "disabled" && p.value.value));
  const focusable = usable.filter((n) => n.properties?.some((p) => p.name === "focusable" && p.value.value));
  for (const n of usable) assert.ok(n.name?.value, `a ${n.role.value} has no name`);
  assert.equal(focusable.length, usable.length);
  const there = nodes.filter((n) => !n.ignored).map((n) => n.role?.value);
  assert.ok(there.includes("main") || there.includes("dialog"), "there is no landmark"); // an open dialog hides the rest
  assert.ok(there.includes("heading"), "there is no heading");
  await page.evaluate(() => document.activeElement?.blur());
  const reached = new Set();
  for (let i = 0; i < usable.length + 3; i++) {
    await page.keyboard.press("Tab");
    const { nodes: now } = await session.send("Accessibility.getFullAXTree");
    const at = now.findLast((n) => n.properties?.some((p) => p.name === "focused" && p.value.value) && n.role?.value !== "RootWebArea");
    if (at) reached.add(at.backendDOMNodeId);
  }
  const missed = usable.filter((n) => !reached.has(n.backendDOMNodeId)).map((n) => n.name.value);
  assert.deepEqual(missed, [], "Tab does not come to these");
  await session.send("Accessibility.disable"); // detaching would take virtual authenticators away, too
}
