// What "make run" shows a person: the sample dapp in a browser, before and after a
// power failure.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launch, skip } from '../../web/e2e/browser.mjs';
import { Network } from './network.mjs';

const sample = path.join(import.meta.dirname, '..', '..', 'build', 'sample');
const patience = { timeout: 60_000 };

describe('the sample dapp', { skip }, () => {
  let network, browser, page;

  before(async () => {
    network = await Network.start('--sample', sample);
    browser = await launch();
    page = await browser.newPage();
  });
  after(async () => {
    await browser?.close();
    await network.remove();
  });

  const address = () => /http:\/\/\S+\.localhost:\d+/.exec(network.output)[0];
  const count = async () => {
    await page.waitForFunction(() => /^\d+$/.test(document.querySelector('#count')?.value ?? ''), null, patience);
    return Number(await page.locator('#count').textContent());
  };

  test('the page comes through the service worker and an update raises its counter', async () => {
    await page.goto(address());
    assert.equal(await count(), 0);
    assert.ok(await page.evaluate(() => navigator.serviceWorker.controller !== null), 'the page was not served by a service worker');
    for (const wanted of [1, 2]) {
      await page.click('#increment');
      await page.waitForFunction((n) => document.querySelector('#count').value === String(n), wanted, patience);
    }
  });

  test('without Internet Identity it says how to get it, and everybody has a key of their own', async () => {
    await page.goto(address());
    await count();
    assert.ok(await page.locator('#no-identity').isVisible());
    assert.ok(await page.locator('#login').isHidden());
    assert.equal(await page.locator('#mine').textContent(), '2 times');
    assert.match(await page.locator('#caller').textContent(), /^[a-z0-9]{5}(-[a-z0-9]{1,5}){10}$/);
  });

  test('the verification page says verified, and by which key', async () => {
    await page.goto(`${address()}/_portico/verify`);
    await page.getByText(/Verified: all of the last \d+ loads/).waitFor(patience);
    const text = await page.locator('body').innerText();
    assert.ok(text.replaceAll(/\s/g, '').includes(Buffer.from(network.rootKey).toString('hex')), 'the page does not show the root key');
  });

  test('after a power failure the counter is still there', async () => {
    await network.kill();
    await network.up();
    // a free port is another origin: the page and its worker are loaded anew
    await page.goto(address());
    assert.equal(await count(), 2);
    await page.click('#increment');
    await page.waitForFunction(() => document.querySelector('#count').value === '3', null, patience);
  });
});
