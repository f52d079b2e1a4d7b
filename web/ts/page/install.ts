// Installs the service worker and loads the page again, through it.

const workerPath = "/_portico/sw.js";
const attemptsKey = "portico attempts";
const maxAttempts = 3;
const attemptsWithinMs = 20_000;

export async function install(): Promise<void> {
  if (!("serviceWorker" in navigator)) {
    // Without TLS, or in private windows of some browsers, there are no workers.
    goDirect();
    return;
  }
  if (!countAttempt()) {
    say("The light client is installed, but this browser does not use it. You can continue without it.");
    return;
  }
  try {
    const registration = await navigator.serviceWorker.register(workerPath, { scope: "/", updateViaCache: "none" });
    await Promise.race([control(), failure(registration)]);
  } catch (e) {
    say(`The light client could not be installed: ${e instanceof Error ? e.message : String(e)}`);
    return;
  }
  location.reload();
}

/** Is done once a worker controls this page, or would control it after a reload. */
async function control(): Promise<void> {
  const controlled = new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
  });
  await navigator.serviceWorker.ready;
  if (navigator.serviceWorker.controller) return;
  // A page that was reloaded by force is never controlled itself.
  const patience = new Promise((resolve) => setTimeout(resolve, 1500));
  await Promise.race([controlled, patience]);
}

/** Fails if the worker cannot be installed; is never done otherwise. */
function failure(registration: ServiceWorkerRegistration): Promise<never> {
  return new Promise((_, reject) => {
    const worker = registration.installing;
    worker?.addEventListener("statechange", () => {
      if (worker.state === "redundant") reject(new Error("the worker could not start"));
    });
  });
}

/** Counts this attempt and reports whether it is one of the first few in a row. */
function countAttempt(): boolean {
  try {
    const earlier = JSON.parse(sessionStorage.getItem(attemptsKey) ?? "[]") as number[];
    const recent = [...earlier.filter((t) => Date.now() - t < attemptsWithinMs), Date.now()];
    sessionStorage.setItem(attemptsKey, JSON.stringify(recent));
    return recent.length <= maxAttempts;
  } catch {
    return true; // no storage, no worker: registering fails and says why
  }
}

function goDirect(): void {
  const link = document.querySelector<HTMLAnchorElement>("#direct");
  if (link) location.replace(link.href + location.hash);
}

function say(text: string): void {
  document.querySelector("progress")?.remove();
  const place = document.querySelector("#progress");
  if (place) place.textContent = text;
}
