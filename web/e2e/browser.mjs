// What the browser tests share: a site behind a gateway, and Chromium.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

const executablePath = "/usr/bin/chromium";

/** Why browser tests cannot run here, or false. */
export const skip = existsSync(executablePath) ? false : `there is no ${executablePath}`;

export function launch() {
  return chromium.launch({
    executablePath,
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
    ],
  });
}

/** Builds the service worker and runs the test site behind a gateway with it. */
export async function startSite() {
  const folder = mkdtempSync(join(tmpdir(), "portico-e2e-"));
  execFileSync("node", ["web/ts/build.mjs", "--quick", folder], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  const binary = join(folder, "testserver");
  execFileSync("go", ["build", "-o", binary, "portico/gateway/testserver"], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  const server = spawn(binary, [folder], { stdio: ["pipe", "pipe", "inherit"] });
  const line = await new Promise((resolve, reject) => {
    createInterface(server.stdout).once("line", resolve);
    server.once("exit", (code) => reject(new Error(`the test server ended with ${code}`)));
  });
  const ids = JSON.parse(line);
  const at = (host) => `http://${host}.localhost:${ids.port}`;
  return {
    ...ids,
    origin: at(ids.web),
    alias: `http://shop.local.localhost:${ids.port}`,
    folder,
    at,
    async flip(mark = "") {
      await fetch(`http://127.0.0.1:${ids.port}/flip?mark=${encodeURIComponent(mark)}`, { method: "POST" });
    },
    /** Sets up another network, with other keys, in the place of this one. */
    async renew(seed) {
      await fetch(`http://127.0.0.1:${ids.port}/renew?seed=${seed}`, { method: "POST" });
    },
    async stop() {
      const ended = new Promise((resolve) => server.once("exit", resolve));
      server.stdin.end();
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}

/** Stops all service workers, as the browser does with idle ones. */
export async function stopWorkers(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("ServiceWorker.enable");
  await session.send("ServiceWorker.stopAllWorkers");
  await session.detach();
}
