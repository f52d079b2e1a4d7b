// Somebody with a browser and authenticators, as the tests' Chromium plays them.

const patience = { timeout: 30_000 };

/** An authenticator: the passkeys in it, which go along from window to window as they do with a real one. */
export class Authenticator {
  credentials = [];
  #plugged = new Map();

  /** One that is built into a device, or on "usb". */
  constructor(transport = "internal") {
    this.transport = transport;
  }

  /** Plugs it into a page; afterwards the page's prompts are answered by it at once. */
  async attach(page) {
    const session = await page.context().newCDPSession(page);
    await session.send("WebAuthn.enable");
    const options = { protocol: "ctap2", transport: this.transport, hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
    const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", { options });
    for (const credential of this.credentials) await session.send("WebAuthn.addCredential", { authenticatorId, credential });
    const note = (event) => {
      if (event.authenticatorId !== authenticatorId) return;
      const { credential } = event;
      this.credentials = [...this.credentials.filter((c) => c.credentialId !== credential.credentialId), credential];
    };
    session.on("WebAuthn.credentialAdded", note);
    session.on("WebAuthn.credentialAsserted", note);
    this.#plugged.set(page, { session, authenticatorId });
  }

  async detach(page) {
    const { session, authenticatorId } = this.#plugged.get(page);
    this.#plugged.delete(page);
    await session.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
    await session.detach();
  }
}

/** Notes, in each window, when buttons are clicked and how long prompts for passkeys take. */
function watch() {
  const now = () => performance.timeOrigin + performance.now();
  document.addEventListener("click", (e) => e.isTrusted && window.note?.("click", now()), true);
  // The page can be used: the view with its buttons is shown.
  const look = () => {
    if (!document.querySelector('[data-view="start"]:not([hidden])')) return;
    looking.disconnect();
    void window.note?.("shown", now());
  };
  const looking = new MutationObserver(look);
  looking.observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["hidden"] });
  const get = navigator.credentials?.get;
  if (!get) return;
  navigator.credentials.get = async function (options) {
    const began = now();
    try {
      return await get.call(this, options);
    } finally {
      void window.note?.("prompt", now() - began);
    }
  };
}

export class Person {
  /** A new browser profile, with nothing remembered. */
  static async start(browser, network, site) {
    const person = new Person();
    Object.assign(person, { network, site, provider: `http://id.ai.localhost:${network.status.gateway_port}` });
    person.context = await browser.newContext();
    person.notes = [];
    await person.context.exposeBinding("note", (_, what, value) => person.notes.push({ what, value }));
    await person.context.addInitScript(watch);
    person.context.on("request", (request) => {
      const [, kind] = /\/api\/v\d\/(?:canister|subnet)\/[^/]+\/(\w+)$/.exec(request.url()) ?? [];
      if (kind && !request.serviceWorker()) person.notes.push({ what: kind, value: request.frame().page().url() });
    });
    return person;
  }

  async open(path, authenticator) {
    const page = await this.context.newPage();
    await authenticator?.attach(page);
    await page.goto(this.provider + path);
    return page;
  }

  /** Creates an identity; returns the page that looks after it. */
  async create(name, authenticator) {
    const page = await this.open("/", authenticator);
    await page.click('[data-view="start"] [data-to="create"]', patience);
    await page.fill("#create-name", name);
    await page.click("#create-form button");
    await page.locator('[data-view="manage"]').waitFor(patience);
    return page;
  }

  /** Opens a dapp. */
  async dapp(name, { canister, derivationOrigin, maxTimeToLive, path = "/authorize" } = {}) {
    const page = await this.context.newPage();
    const settings = {
      identityProvider: this.provider + path, derivationOrigin, maxTimeToLive, canister: canister?.toText(),
      host: `http://localhost:${this.network.status.gateway_port}`, rootKey: Buffer.from(this.network.rootKey).toString("base64"),
    };
    await page.goto(`${this.site.origin(name)}/#${encodeURIComponent(JSON.stringify(settings))}`);
    await page.waitForFunction(() => window.ready, null, patience);
    return page;
  }

  /** Presses a button of a dapp; returns the window that opens, with an authenticator plugged in. */
  async press(dapp, way, authenticator) {
    const [popup] = await Promise.all([dapp.waitForEvent("popup"), dapp.click(`#${way}`)]);
    await authenticator?.attach(popup);
    return popup;
  }

  /** Signs in to a dapp with a passkey; returns what the dapp got. */
  async signIn(dapp, way, authenticator) {
    const popup = await this.press(dapp, way, authenticator);
    await this.proceed(popup);
    const outcome = await this.outcome(dapp);
    // A package that opens its window again while it is there gets the same one.
    if (!popup.isClosed()) await popup.waitForEvent("close");
    return outcome;
  }

  /** Goes on with the passkey that the page suggests, or any. */
  async proceed(popup) {
    const start = popup.locator('[data-view="start"]');
    await start.waitFor(patience);
    const known = start.locator('[data-do="continue-known"]');
    await ((await known.isVisible()) ? known : start.locator('[data-do="continue"]')).click(patience);
  }

  async outcome(dapp) {
    await dapp.waitForFunction(() => window.outcome, null, patience);
    return dapp.evaluate(() => window.outcome);
  }

  stop() {
    return this.context.close();
  }
}
