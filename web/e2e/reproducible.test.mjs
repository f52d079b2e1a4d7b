// The same sources give the same light client, wherever and whenever they are built.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { root } from "./browser.mjs";

test("two builds in different folders, with nothing in common but the sources, are equal byte for byte", { timeout: 300_000 }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), "portico-twice-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const copy = join(folder, "another/place/deeper");
  const sources = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root, encoding: "utf8", maxBuffer: 1 << 26 });
  for (const name of sources.split("\0").filter((n) => /^(web\/ts|lightclient|gateway\/page|go\.|package)/.test(n))) {
    mkdirSync(dirname(join(copy, name)), { recursive: true });
    cpSync(join(root, name), join(copy, name));
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  const build = (where, name, env) => {
    const out = join(folder, name);
    execFileSync("node", ["web/ts/build.mjs", "--quick", out], { cwd: where, env: { ...process.env, ...env }, stdio: ["ignore", "inherit", "inherit"] });
    return readFileSync(join(out, "SHA256SUMS"), "utf8");
  };
  const first = build(root, "first", {});
  // An empty cache, so that everything is compiled again; another time zone and language.
  const second = build(copy, "second", { GOCACHE: join(folder, "cache"), TZ: "Pacific/Chatham", LANG: "tr_TR.UTF-8" });
  assert.equal(second, first);
  for (const name of ["client.wasm", "sw.js", "page.js"]) assert.match(first, new RegExp(`^[0-9a-f]{64}  ${name}$`, "m"));
  const checked = execFileSync("sha256sum", ["-c", "--quiet", "SHA256SUMS"], { cwd: join(folder, "first"), encoding: "utf8" });
  assert.equal(checked, "");
  t.diagnostic(first);
});
