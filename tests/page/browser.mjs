// Headless Chromium for the tests of pages, and what holds for every page.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** How long anything may take before it counts as hanging: an emulated machine may take the processors meanwhile. */
export const PATIENCE_MS = 300_000;

/** A browser that talks to nobody by itself; CHROMIUM names another one than Debian's. */
export const launch = () => chromium.launch({
  timeout: PATIENCE_MS,
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
});

/** Notes what a page must not do: errors, warnings, requests to anybody but `origin`. */
export function watch(page, origin) {
  const faults = [];
  page.on('console', message => { if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text()); });
  page.on('pageerror', error => faults.push(String(error)));
  page.on('request', request => { if (!request.url().startsWith(origin) && !request.url().startsWith('data:')) faults.push(`request to ${request.url()}`); });
  return faults;
}

export async function isAccessible(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  const told = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html.slice(0, 120) + ' ' + node.failureSummary).join('\n   ')}`);
  assert.deepEqual(told, []);
}

export const fits = page => page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);
