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
  const tell = async (what, parameters, body) => {
    const response = await fetch(`http://127.0.0.1:${ids.port}/${what}?${new URLSearchParams(parameters)}`, { method: "POST", body });
    if (!response.ok) throw new Error(`${what}: ${await response.text()}`);
  };
  const at = (host) => `http://${host}.localhost:${ids.port}`;
  return {
    ...ids,
    origin: at(ids.web),
    alias: `http://shop.local.localhost:${ids.port}`,
    folder,
    at,
    gateway: `http://localhost:${ids.port}`,
    /** Lets the replica lie: after a mark in its answers, or inside a field of the certificate's header. */
    flip: (mark = "", field = "") => tell("flip", { mark, field }),
    /** Sets up another network, with other keys, in the place of this one. */
    renew: (seed) => tell("renew", { seed }),
    /** Sets the replica's clock so many minutes from now. */
    clock: (minutes = 0) => tell("clock", { minutes }),
    /** Lets nobody answer, or again. */
    down: (down = true) => tell("down", { down }),
    /** Lets one canister answer for all, or each for itself again. */
    impersonate: (canister = "") => tell("impersonate", { canister }),
    /** Changes the body of a page, as an upload does. */
    change: (path, body) => tell("change", { path }, body),
    /** How many queries the replica has answered. */
    queries: async () => (await fetch(`http://127.0.0.1:${ids.port}/queries`)).json(),
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
