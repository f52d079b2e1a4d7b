// Asks the light client of this origin what it verified.

import { type Account, askForAccount } from "../shared/report.ts";

const workerPath = "/_portico/sw.js";
const patienceMs = 10_000;
const againMs = 2000;

/** The worker, if it is the light client: on its origin no site can install another. */
export async function lightClient(): Promise<ServiceWorker | undefined> {
  const registration = await navigator.serviceWorker?.getRegistration("/");
  return isLightClient(registration?.active) ? registration.active : undefined;
}

export function isLightClient(worker: ServiceWorker | null | undefined): worker is ServiceWorker {
  return !!worker && new URL(worker.scriptURL).pathname === workerPath;
}

/** The worker's account, or undefined if it does not answer. */
export function ask(worker: ServiceWorker): Promise<Account | undefined> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    const giveUp = setTimeout(() => finish(undefined), patienceMs);
    const finish = (a: Account | undefined) => {
      clearTimeout(giveUp);
      port1.close();
      resolve(a);
    };
    port1.onmessage = (e: MessageEvent<Account>) => finish(e.data);
    worker.postMessage(askForAccount, [port2]);
  });
}

/**
 * Shows the account now and again while the page is looked at and wanted() says so.
 * A worker that nobody asks may stop; one that is asked starts again.
 */
export function keepShowing(show: (a: Account | undefined) => void, wanted: () => boolean): void {
  let asking = false;
  const look = async () => {
    if (asking || document.hidden || !wanted()) return;
    asking = true;
    const worker = await lightClient();
    show(worker && (await ask(worker)));
    asking = false;
  };
  void look();
  setInterval(() => void look(), againMs);
  document.addEventListener("visibilitychange", () => void look());
}
