// The live page in headless Chromium: live figures under load, no error, no request to anybody else,
// controls with and without the token, keyboard, a phone, dark mode, axe.
//
//     node page.test.mjs [path of trident] [directory for screenshots]
//
// Needs `npm ci` here and chromium (Debian package; CHROMIUM names another one).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PATIENCE_MS, fits, isAccessible, launch, watch } from './browser.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const program = process.argv[2] ?? join(here, '../../target/checked/trident');
const screenshots = process.argv[3] ?? mkdtempSync(join(tmpdir(), 'trident-page-'));
const chains = readFileSync(join(here, '../../benches/data/blockchain_valid.txt'), 'utf8').trim().split('\n').map(line => line.split('\t')[0]);
const TOKEN = 'page-test-token-1234';

/** A running server: its addresses, and `stop`. */
async function serve(...more) {
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TRIDENT_')));
  const child = spawn(program, ['serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', ...more], { env: environment, stdio: ['ignore', 'pipe', 'ignore'] });
  let said = '';
  child.stdout.on('data', text => { said += text; });
  const address = name => said.match(new RegExp(`${name} (http://\\S+)`))?.[1];
  for (let waited = 0; !said.includes('endpoints:'); waited += 50) {
    assert.ok(child.exitCode === null && waited < PATIENCE_MS, `the server does not start: ${said}`);
    await pause(50);
  }
  return { url: address('serving'), admin: address('admin'), ended: new Promise(done => child.on('exit', done)), stop: () => child.kill('SIGKILL') };
}

/** Asks for everything, over and over, until `over()`. */
async function load(server, over) {
  const targets = ['/qrcode?type=encode&data=CC+Team', '/qrcode?type=encode&data=hello&format=svg', '/healthz', '/blockchain?cc=wrong', '/twitter?user_id=1&type=both&phrase=a&hashtag=a', '/nowhere'];
  for (let n = 0; !over(); n++) {
    const answers = [chains[n % 40], ...targets].map(target => fetch(server.url + target).then(answer => answer.arrayBuffer()));
    await Promise.allSettled(answers);
  }
}

/** A page that notes everything it must not do. */
async function open(browser, server, options) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const faults = watch(page, server.admin);
  await page.goto(server.admin);
  await page.waitForFunction(() => document.querySelector('#phase').textContent === 'ready');
  return { page, faults };
}

/** Looks at the page on the narrowest screen and on a wide one, in the light and in the dark; keeps a picture of each. */
async function looksRight(page, name) {
  for (const width of [320, 1280]) {
    for (const colorScheme of ['light', 'dark']) {
      const where = `${name}-${width}-${colorScheme}`;
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme });
      await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))); // charts follow the size
      assert.ok(await fits(page), `${where} scrolls sideways`);
      assert.deepEqual(await cut(page), [], where);
      await isAccessible(page);
      await page.screenshot({ path: join(screenshots, where + '.png'), fullPage: true });
    }
  }
}

/** Texts that are wider than their box, or stand outside their drawing. */
const cut = page => page.evaluate(() => {
  const wide = [...document.querySelectorAll('.tile dd, .field, button, h1, .badge, .outcome')].filter(at => at.offsetParent && at.scrollWidth > at.clientWidth + 1);
  const outside = [...document.querySelectorAll('.card:not([hidden]) .plot text')].filter(at => {
    const box = at.getBoundingClientRect(), card = at.closest('.card').getBoundingClientRect();
    return box.left < card.left || box.right > card.right;
  });
  return [...wide, ...outside].map(at => at.textContent);
});

const cases = {
  async 'shows live figures under load'({ browser, server }) {
    const { page, faults } = await open(browser, server);
    await page.waitForFunction(() => past.seconds.length >= 8 && past.seconds.at(-1).all.requests > 0);
    for (const chart of ['requests', 'errors', 'latency', 'connections', 'hits', 'cpu', 'memory', 'traffic']) {
      await page.waitForFunction(id => document.querySelector(`#chart-${id} path.line`)?.getAttribute('d').length > 30, chart);
    }
    const tiles = await page.locator('.tile dd:nth-of-type(1)').allTextContents();
    assert.ok(tiles.every(text => /\d/.test(text)), String(tiles));
    const requests = await page.evaluate(() => past.seconds.filter(p => p.endpoints[0].requests > 0 && p.all.p99_us > 0 && p.all.invalid > 0 && p.all.errors > 0).length);
    assert.ok(requests >= 4, `${requests} steps with requests`);
    await page.selectOption('#latency-of', '0');
    assert.match(await page.locator('#chart-latency .legend').textContent(), /p99 [\d.]+ (µs|ms)/);
    assert.match(await page.locator('#chart-hits .legend').textContent(), /[\d.]+ %/);
    await isAccessible(page);
    await page.screenshot({ path: join(screenshots, 'light.png'), fullPage: true });
    assert.match(await page.locator('#settings').innerText(), /store updates\s+0/);
    assert.deepEqual(faults, []);
  },

  async 'keeps its history over a reload'({ browser, server }) {
    const { page, faults } = await open(browser, server);
    await page.waitForFunction(() => past.seconds.length >= 3);
    const before = await page.evaluate(() => past.seconds.length);
    await page.reload();
    await page.waitForFunction(() => past.seconds.length > 0);
    assert.ok(await page.evaluate(() => past.seconds.length) >= before);
    await page.check('input[value=minutes]');
    assert.match(await page.locator('#chart-requests svg').textContent(), /−30 min/);
    assert.deepEqual(faults, []);
  },

  async 'tells its figures as a table too'({ browser, server }) {
    const { page, faults } = await open(browser, server);
    await page.locator('#chart-requests summary').click();
    await page.waitForFunction(() => document.querySelectorAll('#chart-requests tbody tr').length >= 3);
    assert.match(await page.locator('#chart-requests thead').textContent(), /Time.*blockchain.*twitter/);
    assert.deepEqual(faults, []);
  },

  async 'can be used by keyboard alone'({ browser, server }) {
    const { page, faults } = await open(browser, server);
    await page.waitForFunction(() => past.seconds.length >= 3);
    const reached = new Set();
    for (let n = 0; n < 60; n++) {
      await page.keyboard.press('Tab');
      reached.add(await page.evaluate(() => {
        const at = document.activeElement;
        return at.className === 'skip' ? 'skip' : at.getAttribute('aria-label') || at.name || at.id || at.dataset.do || at.textContent;
      }));
    }
    for (const stop of ['skip', 'span', 'Requests per second by endpoint, by time', 'latency-of', 'token', 'capacity', 'cache', 'reload', 'drain', 'All counters']) {
      assert.ok([...reached].some(name => name.includes(stop) || stop === 'latency-of' && name.includes('latencies')), `${stop} is not reached by Tab: ${[...reached]}`);
    }
    const plot = page.locator('#chart-requests .plot');
    await plot.focus();
    const newest = await plot.getAttribute('aria-valuetext');
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    assert.notEqual(await plot.getAttribute('aria-valuetext'), newest);
    assert.match(newest, /blockchain [\d.,]+( k)?\/s/);
    assert.ok(await page.locator('#chart-requests .tip').isVisible());
    await page.locator('input[name=span]').first().focus();
    await page.keyboard.press('ArrowRight');
    assert.equal(await page.evaluate(() => span), 'minutes');
    assert.deepEqual(faults, []);
  },

  async 'controls want the token'({ browser, server }) {
    const { page, faults } = await open(browser, server);
    const outcome = page.locator('#outcome');
    const state = async () => (await fetch(server.admin + '/admin/state')).json();
    await page.fill('#token', 'not-the-token-at-all');
    await page.fill('#capacity', '32');
    await page.getByRole('button', { name: 'Set cache' }).click();
    await page.waitForSelector('#outcome.refused');
    assert.match(await outcome.textContent(), /wrong or missing token/);
    assert.notEqual((await state()).cache.limit_bytes, 32 << 20);
    faults.splice(0, 1); // the browser logs the 401 itself
    await page.fill('#token', TOKEN);
    await page.getByRole('button', { name: 'Set cache' }).click();
    await page.waitForSelector('#outcome.done');
    assert.equal((await state()).cache.limit_bytes, 32 << 20);
    await page.getByRole('button', { name: 'Clear cache' }).click();
    await page.waitForFunction(() => /answers dropped$/.test(document.querySelector('#outcome').textContent) && !document.querySelector('#outcome').textContent.includes('capacity'));
    await page.getByRole('button', { name: 'Reload store' }).click();
    await page.waitForFunction(() => /unchanged/.test(document.querySelector('#outcome').textContent));
    assert.deepEqual(faults, []);
  },

  async 'fits a phone'({ browser, server }) {
    const { page, faults } = await open(browser, server, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
    await page.waitForFunction(() => past.seconds.length >= 5);
    assert.ok(await fits(page), 'it scrolls sideways');
    await page.locator('#chart-requests summary').click();
    assert.ok(await fits(page), 'it scrolls sideways with a table open');
    await page.locator('#chart-requests summary').click();
    await isAccessible(page);
    await page.screenshot({ path: join(screenshots, 'phone.png'), fullPage: true });
    assert.deepEqual(faults, []);
  },

  async 'fits 320 pixels and 1280, in the light and in the dark'({ browser, server }) {
    const { page, faults } = await open(browser, server);
    await page.waitForFunction(() => past.seconds.length >= 5);
    await looksRight(page, 'live');
    await page.setViewportSize({ width: 320, height: 800 });
    for (const summary of await page.locator('summary').all()) await summary.click();
    await page.waitForFunction(() => document.querySelectorAll('#chart-requests tbody tr').length >= 3);
    assert.ok(await fits(page), 'it scrolls sideways with all tables open');
    await page.screenshot({ path: join(screenshots, 'tables-320.png'), fullPage: true });
    assert.deepEqual(faults, []);
  },

  async 'says where the figures are without JavaScript'({ browser, server }) {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(server.admin);
    assert.match(await page.locator('body').innerText(), /JavaScript, which is off here.*\/metrics/s);
    await context.close();
  },

  async 'records a flame graph'({ browser, server }) {
    const { page, faults } = await open(browser, server);
    await page.fill('#token', TOKEN);
    const button = page.getByRole('button', { name: 'Flame graph' });
    await button.click();
    assert.ok(await button.isDisabled());
    await page.waitForSelector('#outcome.done');
    const downloading = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Save the flame graph' }).click();
    const download = await downloading;
    assert.match(download.suggestedFilename(), /^trident-.*\.svg$/);
    assert.match(readFileSync(await download.path(), 'utf8'), /<svg.*[\d.]+%/s);
    assert.ok(await button.isEnabled());
    assert.deepEqual(faults, []);
  },

  async 'shows INVALID by reason'({ browser, server }) {
    const { page, faults } = await open(browser, server);
    await fetch(server.url + '/qrcode?type=encoed&data=a');
    await page.getByText('INVALID by reason').click();
    await page.waitForFunction(() => /qrcode_other type\s*[1-9]/.test(document.querySelector('#invalid').innerText));
    assert.deepEqual(faults, []);
  },

  async 'has a dark mode'({ browser, server }) {
    const { page, faults } = await open(browser, server, { colorScheme: 'dark' });
    await page.waitForFunction(() => past.seconds.length >= 5);
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const brightness = Math.max(...background.match(/\d+/g).map(Number));
    assert.ok(brightness < 60, background);
    await page.locator('#chart-latency .plot').hover({ position: { x: 500, y: 80 } });
    await isAccessible(page);
    await page.screenshot({ path: join(screenshots, 'dark.png'), fullPage: true });
    assert.deepEqual(faults, []);
  },

  async 'has no controls without a token'({ browser }) {
    const plain = await serve();
    try {
      const { page, faults } = await open(browser, plain);
      assert.ok(await page.locator('#controls').isHidden());
      // Only the page asks this server: its own polls, and the refused control below, do not count as traffic.
      await fetch(plain.admin + '/admin/cache/clear', { method: 'POST' });
      await page.waitForFunction(() => past.seconds.length >= 6);
      const asked = await page.evaluate(() => past.seconds.map(p => [p.all.requests, p.all.errors, p.all.p99_us]));
      assert.ok(asked.every(([requests, errors, p99]) => requests === 0 && errors === 0 && p99 === null), JSON.stringify(asked));
      for (const chart of ['hits', 'entries', 'held']) assert.ok(await page.locator('#chart-' + chart).isHidden(), `${chart} of no cache`);
      assert.match(await page.locator('#controls-note').textContent(), /^Off\. Set admin_token/);
      const refused = await fetch(plain.admin + '/admin/cache/clear', { method: 'POST' });
      assert.equal(refused.status, 403);
      assert.deepEqual(faults, []);
    } finally {
      plain.stop();
    }
  },

  async 'drains when asked twice'({ browser, server }) {
    const { page } = await open(browser, server);
    await page.fill('#token', TOKEN);
    await page.getByRole('button', { name: 'Drain and stop' }).click();
    await page.getByRole('button', { name: 'Keep serving' }).click();
    assert.equal((await fetch(server.url + '/readyz')).status, 200);
    await page.locator('[data-do=drain]').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Drain and stop' }).click();
    await page.waitForFunction(() => document.querySelector('#phase').textContent === 'draining');
    await page.waitForFunction(() => document.querySelector('#phase').textContent.startsWith('no answer'));
    assert.equal(await server.ended, 0);
    const { dim, soft, right, enabled, newest, badge } = await page.evaluate(() => ({
      dim: [...document.querySelectorAll('.plot path')].map(at => Number(getComputedStyle(at).opacity)),
      soft: getComputedStyle(document.querySelector('.tile dd')).color === getComputedStyle(document.querySelector('.tile dt')).color,
      right: [...document.querySelectorAll('#chart-requests text')].map(text => text.textContent),
      enabled: [...document.querySelectorAll('#controls button')].filter(button => !button.disabled).length,
      newest: clock(past.seconds.at(-1).at_ms),
      badge: document.querySelector('#phase').textContent,
    }));
    assert.ok(soft && dim.every(opacity => opacity < 0.6), 'figures of a server that is gone look like those of one that is there');
    assert.equal(badge, `no answer since ${newest}`);
    assert.ok(right.includes(newest) && !right.includes('now'), `the axis goes on: ${right}`);
    assert.equal(enabled, 0, 'buttons that reach nobody can be pressed');
    await looksRight(page, 'gone');
  },
};

// Long enough that the page, which asks every second, sees it drain on a busy machine too.
const server = await serve('--cache-bytes', '4194304', '--set', `admin_token=${TOKEN}`, '--set', 'drain.accept_ms=10000', '--set', 'drain.quiet_ms=0');
const browser = await launch();
let over = false;
const loading = load(server, () => over);
let failed = 0;
try {
  for (const [name, run] of Object.entries(cases)) {
    if (name.startsWith('drains')) { over = true; await loading; }
    try {
      await run({ browser, server });
      console.log(`ok   the page ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAIL the page ${name}\n${error.stack}`);
    }
  }
} finally {
  over = true;
  await browser.close();
  server.stop();
  if (process.argv[3] === undefined) rmSync(screenshots, { recursive: true });
}
process.exit(failed ? 1 : 0);
