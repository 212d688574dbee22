// The pages of examples/memcache in headless Chromium: upload and look at images; charts and controls of the pool.
//
//     node memcache.test.mjs [path of memcache] [directory for screenshots]
//
// Needs `npm ci` here and chromium.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PATIENCE_MS, fits, isAccessible, launch, watch } from './browser.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const program = process.argv[2] ?? join(here, '../../target/checked/examples/memcache');
const temporary = mkdtempSync(join(tmpdir(), 'memcache-page-'));
const screenshots = process.argv[3] ?? temporary;
// A red image of one pixel.
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==', 'base64');

/** The addresses of the roles, and the process. */
async function start() {
  const listen = ['front', 'manager', 'autoscaler'].flatMap(role => [`--${role}-listen`, '127.0.0.1:0']);
  const child = spawn(program, ['all', ...listen, '--store', join(temporary, 'store'), '--sample-ms', '50', '--minute-ms', '200', '--every-ms', '200'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  for await (const text of child.stdout.setEncoding('utf8')) {
    said += text;
    if (/autoscaler .*\n/.test(said)) break;
  }
  const address = role => said.match(new RegExp(`${role} (http://\\S+)`))?.[1];
  assert.ok(address('autoscaler'), `it does not start: ${said}`);
  return { front: address('front'), manager: address('manager'), child };
}

async function open(browser, url) {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const faults = watch(page, url);
  await page.goto(url);
  return { page, faults };
}

/** Looks at a page on a narrow screen and on a wide one, in the light and in the dark; keeps a picture of each. */
async function looksRight(page, name) {
  for (const width of [320, 1280]) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));
      assert.ok(await fits(page), `${name} scrolls sideways at ${width}`);
      await isAccessible(page);
      await page.screenshot({ path: join(screenshots, `memcache-${name}-${width}-${colorScheme}.png`), fullPage: true });
    }
  }
}

const state = async () => (await fetch(memcache.manager + '/api/state')).json();
const upload = (key, content) => {
  const form = new FormData();
  form.set('key', key);
  form.set('file', new Blob([content]), 'file');
  return fetch(memcache.front + '/api/upload', { method: 'POST', body: form });
};

/** What the page says of an order, once it does. */
async function told(page) {
  await page.waitForFunction(() => document.querySelector('#outcome').textContent !== '');
  return page.locator('#outcome').textContent();
}

const cases = {
  async 'uploads, lists and shows images'({ browser }) {
    const { page, faults } = await open(browser, memcache.front);
    await page.getByText('There are none yet.').waitFor();
    for (const [key, content] of [['a red/dot?', PNG], ['text', Buffer.from('no image')]]) {
      await page.getByRole('textbox', { name: 'Key' }).fill(key);
      await page.getByLabel('File', { exact: true }).setInputFiles({ name: 'f', mimeType: 'image/png', buffer: content });
      await page.getByRole('button', { name: 'Upload' }).click();
      await page.getByText(`${key} is stored`).waitFor();
    }
    await page.getByText('Not an image: 8 bytes.').waitFor();
    await page.getByRole('button', { name: 'a red/dot?' }).click();
    await page.getByRole('heading', { name: 'a red/dot?' }).waitFor();
    await page.getByRole('img', { name: 'a red/dot?' }).waitFor();
    await page.waitForFunction(() => document.querySelector('#image').naturalWidth === 1);
    await page.locator('#keys [aria-current]').waitFor();
    assert.deepEqual(await page.locator('#keys button').allTextContents(), ['a red/dot?', 'text']);
    await looksRight(page, 'front');
    assert.deepEqual(faults, []);
    // A refusal is shown.
    await page.evaluate(() => { document.querySelector('[name=key]').maxLength = 9999; });
    await page.getByRole('textbox', { name: 'Key' }).fill('x'.repeat(600));
    await page.getByLabel('File', { exact: true }).setInputFiles({ name: 'f', mimeType: 'image/png', buffer: PNG });
    await page.getByRole('button', { name: 'Upload' }).click();
    await page.getByText('a key has 1 to 511 bytes').waitFor();
  },

  async 'draws the pool and controls it'({ browser }) {
    const { page, faults } = await open(browser, memcache.manager);
    let over = false;
    const reading = (async () => {
      for (let n = 0; !over; n = (n + 1) % 20) {
        if (n < 2) await upload(`k${n}`, PNG);
        await (await fetch(`${memcache.front}/api/key/k${n}`, { method: 'POST' })).text();
      }
    })();
    try {
      for (const chart of ['nodes', 'misses', 'hits', 'items', 'bytes', 'requests']) {
        await page.waitForFunction(id => document.querySelector(`#chart-${id} path.line`)?.getAttribute('d').length > 60, chart);
        await page.waitForFunction(id => /\d/.test(document.querySelector(`#chart-${id} output`).textContent), chart);
      }
      assert.equal(await page.locator('#chart-misses .threshold').count(), 2);
      const shrink = page.getByRole('button', { name: 'Shrink by one' }), grow = page.getByRole('button', { name: 'Grow by one' });
      assert.ok(await shrink.isDisabled());
      for (let nodes = 2; nodes <= 8; nodes++) {
        await grow.click();
        await page.waitForFunction(n => document.querySelector('#nodes').textContent === `${n} of 8`, nodes);
      }
      assert.ok(await grow.isDisabled());
      await shrink.click();
      await page.waitForFunction(() => document.querySelector('#nodes').textContent === '7 of 8');
      await page.getByLabel('Capacity in MB').fill('12.5');
      await page.getByLabel('Replacement').selectOption('random');
      await page.getByRole('button', { name: 'Set nodes' }).click();
      await page.waitForFunction(() => document.querySelector('#settings').dataset.touched === undefined);
      assert.equal(await told(page), 'done');
      assert.deepEqual((await state()).settings, { capacity_mb: 12.5, replacement: 'random' });
      await looksRight(page, 'manager');
      assert.deepEqual(faults, []);
    } finally {
      over = true;
      await reading;
    }
  },

  async 'sets the policy and refuses a wrong one'({ browser }) {
    const { page } = await open(browser, memcache.manager);
    await page.waitForFunction(() => document.querySelector('[name=max_miss_rate]').value === '50');
    await page.getByLabel('Shrink below, %').fill('60');
    await page.getByRole('button', { name: 'Set policy' }).click();
    assert.equal(await told(page), 'min_miss_rate is not below max_miss_rate');
    assert.equal(await page.getByLabel('Shrink below, %').inputValue(), '60');
    await page.getByLabel('Shrink below, %').fill('20');
    await page.getByLabel('Expand ratio').fill('1.5');
    await page.getByLabel('The pool grows and shrinks by itself').check();
    await page.getByRole('button', { name: 'Set policy' }).click();
    await page.waitForFunction(() => document.querySelector('#outcome').textContent !== 'min_miss_rate is not below max_miss_rate');
    assert.equal(await told(page), 'done');
    await page.waitForFunction(() => document.querySelector('#mode').textContent === 'automatic');
    assert.deepEqual((await state()).policy, { automatic: true, max_miss_rate: 0.5, min_miss_rate: 0.2, expand_ratio: 1.5, shrink_ratio: 0.5 });
    assert.ok(await page.getByRole('button', { name: 'Grow by one' }).isDisabled());
  },

  async 'clears the cache, and deletes all data when it is confirmed'({ browser }) {
    const { page, faults } = await open(browser, memcache.manager);
    const keys = async () => (await (await fetch(memcache.front + '/api/list_keys', { method: 'POST' })).json()).keys;
    await page.getByRole('button', { name: 'Clear the cache' }).click();
    assert.equal(await told(page), 'done');
    await page.waitForFunction(() => document.querySelector('#chart-items output').textContent === '0');
    const remove = page.getByRole('button', { name: 'Delete all data…' });
    for (const answer of ['Keep them', 'Delete all data']) {
      assert.ok((await keys()).length > 0);
      await remove.click();
      await page.getByRole('dialog').getByRole('button', { name: answer, exact: true }).click();
    }
    while ((await keys()).length > 0) await page.evaluate(() => new Promise(requestAnimationFrame));
    assert.deepEqual(faults, []);
  },
};

const memcache = await start();
const browser = await launch();
let failed = 0;
try {
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run({ browser });
      console.log(`ok   memcache ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAIL memcache ${name}\n${error.stack}`);
    }
  }
} finally {
  await browser.close();
  const ended = new Promise(done => memcache.child.on('exit', done));
  memcache.child.kill();
  await ended;
  rmSync(temporary, { recursive: true });
}
process.exit(failed ? 1 : 0);
