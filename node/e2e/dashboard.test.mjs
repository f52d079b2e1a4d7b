// The start page of a running network, in a browser: it shows what is there, and follows
// what happens.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { launch, root, skip } from '../../web/e2e/browser.mjs';
import { Network, counterSource, motoko } from './network.mjs';

describe('the start page', { skip }, () => {
  const owner = Ed25519KeyIdentity.generate();
  const pictures = path.join(root, 'build/screenshots');
  let network, browser, page, id;

  before(async () => {
    mkdirSync(pictures, { recursive: true });
    network = await Network.start('--nodes', '4');
    id = await network.install(network.agent(owner), motoko(counterSource));
    browser = await launch();
    page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    await page.goto(`http://localhost:${network.status.gateway_port}/`);
    await page.getByText('live', { exact: true }).waitFor();
  });
  after(async () => {
    await browser?.close();
    await network?.remove();
  });

  test('shows four replicas that agree, and heights that move', async () => {
    await page.getByText('All 4 replicas run.').waitFor();
    assert.equal(await page.locator('#replicas tr').count(), 4);
    assert.equal(await page.locator('#root-key').innerText(), network.status.root_key);
    const first = Number(await page.locator('#height').innerText());
    await page.waitForFunction((h) => Number(document.querySelector('#height').textContent) > h + 1, first);
    await page.screenshot({ path: path.join(pictures, 'network-real-light-wide.png'), fullPage: true });
  });

  test('lists canisters with what they have, under the names that tools gave them', async () => {
    await network.management(network.agent(owner)).update_settings({
      canister_id: id,
      settings: {
        controllers: [], compute_allocation: [],
        environment_variables: [[{ name: 'PUBLIC_CANISTER_ID:counter', value: id.toText() }]],
      },
    });
    const row = page.locator('#canisters tr', { hasText: id.toText() });
    await row.getByRole('rowheader', { name: /^counter/ }).waitFor(); // without loading the page anew
    assert.match(await row.innerText(), /no web page[\s\S]*running/);
    await network.install(network.agent(owner), motoko(counterSource));
    await page.waitForFunction(() => document.querySelectorAll('#canisters tbody tr').length === 2);
  });

  test('tells that a replica is away, and that it is back', async () => {
    const pid = (await network.replicas())[2];
    process.kill(pid, 'SIGSTOP'); // killed, it would be back before anybody looks
    await page.getByText('3 of 4 replicas run. The network goes on without the others.').waitFor();
    await page.locator('#replicas tr').nth(2).getByText('does not answer').waitFor();
    process.kill(pid, 'SIGCONT');
    await page.getByText('All 4 replicas run.').waitFor();
  });

  test('a replica has a page of its own in the same look', async () => {
    const errors = [];
    page.on('console', (m) => m.type() === 'error' && errors.push(m.text()));
    await page.getByRole('link', { name: 'node 0' }).click();
    await page.getByRole('heading', { level: 1, name: /^Replica / }).waitFor();
    await page.getByText('Running').waitFor();
    for (const [colorScheme, width] of [['light', 1440], ['light', 360], ['dark', 1440], ['dark', 360]]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(overflow, 0);
      await page.screenshot({ path: path.join(pictures, `replica-${colorScheme}-${width === 360 ? 'narrow' : 'wide'}.png`), fullPage: true });
    }
    assert.deepEqual(errors, []);
  });

  test('a stopped network takes its page along without delay', async () => {
    const began = Date.now();
    assert.equal(await network.stop(), 0);
    assert.ok(Date.now() - began < 8000, 'somebody who watches holds it up');
  });
});
