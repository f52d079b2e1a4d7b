// People with passkeys, for tests: a browser of their own and an authenticator in it.

/** A page in a browser that was never here, with an authenticator that agrees to everything; what it complains about is in page.complaints. */
export async function person(t, browser, options = {}) {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.complaints = [];
  page.on("pageerror", (e) => page.complaints.push(String(e)));
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && page.complaints.push(m.text()));
  page.passkeys = await authenticator(page);
  return page;
}

/** An authenticator for a page alone, as that of a phone or computer unless options say otherwise. */
export async function authenticator(page, options = {}) {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
      ...options,
    },
  });
  return {
    /** Whether the person is recognised: if not, every request fails as if it had been cancelled. */
    recognise: (isUserVerified) => session.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified }),
    credentials: async () => (await session.send("WebAuthn.getCredentials", { authenticatorId })).credentials,
    add: (credential) => session.send("WebAuthn.addCredential", { authenticatorId, credential }),
    /** Takes the authenticator away with all its passkeys, as if the device were lost. */
    lose: () => session.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId }),
  };
}

/** Creates an identity on the page /; returns its number. */
export async function createIdentity(page, origin, name) {
  await page.goto(`${origin}/`);
  await page.getByRole("button", { name: "Create an identity" }).click();
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Create a passkey" }).click();
  return identityNumber(page);
}

/** Waits until the page shows an identity; returns its number. */
export async function identityNumber(page) {
  const line = page.locator('[data-view="manage"] .number');
  await line.waitFor();
  return (await line.locator("strong").innerText()).trim();
}
