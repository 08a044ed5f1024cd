// Opens the pages of `fetchd get --report` in a browser.
//
// Usage: report.mjs FETCHD ROOT [--screenshots FOLDER]

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { withBrowser } from './browser.mjs';
import { checkArchive } from './har.mjs';
import { startOrigins, stopOrigins, urls } from './origin.mjs';

const [fetchd, root, flag, screenshots] = process.argv.slice(2);
assert.ok(fetchd && root && (!flag || (flag === '--screenshots' && screenshots)), 'wrong usage');

const WIDTHS = [375, 1280];
const SCHEMES = ['light', 'dark'];

/// No more rows than these may be in the document. A window shows about 30.
const MAX_DRAWN = 60;

/// How long a page may take until its rows are there, in milliseconds.
const MAX_OPENING = 5_000;

/// The size of a picture for the documentation, in bytes.
const MAX_PICTURE = 150_000;

/// Fetches `count` URLs. Returns the paths of the page and of the archive.
async function report(origins, count) {
  const list = join(folder, `list-${count}`);
  const page = join(folder, `report-${count}.html`);
  await writeFile(list, urls(origins, count).join('\n'));
  const archive = join(folder, `report-${count}.har`);
  const concurrency = ['-c', String(count / 20)];
  const flags = [...concurrency, '--allow-net', '127.0.0.0/8', '--no-body', '--quiet', '--timeout', '1s'];
  const arguments_ = ['get', '-i', list, ...flags, '--report', page, '--har', archive];
  const get = spawn(fetchd, arguments_, { stdio: ['ignore', 'ignore', 'inherit'] });
  const code = await new Promise((resolve) => get.on('close', resolve));
  assert.equal(code, 1, 'some of the requests fail');
  return { page, archive };
}

/// The rows in the document, from the top.
function rows(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll('.row')]
      .map((row) => ({
        top: row.getBoundingClientRect().top,
        place: Number(row.ariaRowIndex) - 2,
        index: Number(row.querySelector('.index').textContent),
        outcome: row.querySelector('.outcome').textContent,
        url: row.querySelector('.url').title,
      }))
      .sort((one, other) => one.top - other.top),
  );
}

const settled = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

async function checkScrolling(page, count) {
  for (const share of [0, 0.31, 0.5, 0.99, 1]) {
    await page.evaluate((share) => {
      const list = document.getElementById('list');
      list.scrollTop = share * list.scrollHeight;
    }, share);
    await settled(page);
    const drawn = await rows(page);
    assert.ok(drawn.length > 5 && drawn.length <= MAX_DRAWN, `${drawn.length} rows are drawn`);
    const places = drawn.map((row) => row.place);
    assert.deepEqual(places, places.map((_, position) => places[0] + position));
    const { top, bottom } = await page.locator('#list').evaluate((list) => list.getBoundingClientRect());
    const inView = drawn.filter((row) => row.top >= top && row.top < bottom);
    assert.ok(inView.length > 5, `only ${inView.length} rows are in view`);
    if (share === 1) assert.equal(places.at(-1), count - 1, 'the last row can be reached');
  }
}

async function checkKeys(page, count) {
  await page.locator('#list').focus();
  const current = () => page.locator('.row[aria-selected="true"]').getAttribute('aria-rowindex');
  await page.keyboard.press('End');
  assert.equal(await current(), String(count + 1));
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowDown');
  assert.equal(await current(), '3');
  await page.keyboard.press('Enter');
  const dialog = page.locator('#details');
  assert.ok(await dialog.isVisible());
  await page.keyboard.press('Escape');
  assert.ok(await dialog.isHidden());
  assert.equal(await page.evaluate(() => document.activeElement.id), 'list');
}

async function checkSorting(page, count) {
  await page.selectOption('#sort', 'index');
  assert.deepEqual((await rows(page)).slice(0, 3).map((row) => row.index), [0, 1, 2]);
  await page.click('#direction');
  assert.equal((await rows(page))[0].index, count - 1);
  for (const key of ['start', 'time', 'outcome', 'size', 'host', 'index']) {
    await page.selectOption('#sort', key);
    const values = await page.evaluate((key) => {
      const field = key === 'outcome' ? 'label' : key;
      return shown.map((row) => row[field]);
    }, key);
    const isDown = (await page.textContent('#direction')) === '↓';
    const order = isDown ? values.reverse() : values;
    const before = (one, other) => (typeof one === 'string' ? one.localeCompare(other) : one - other);
    assert.ok(order.every((value, place) => !place || before(order[place - 1], value) <= 0), key);
  }
}

async function checkFiltering(page, count) {
  const shown = () => page.textContent('#shown');
  const all = await shown();
  assert.equal(all, count.toLocaleString('en'));
  await page.fill('#filter', 'nobody-listens');
  assert.match(await shown(), /^1 of /);
  const [row] = await rows(page);
  assert.equal(row.outcome, 'CONNECT');
  await page.fill('#filter', '');
  await page.click('#outcomes [data-outcome="4xx"]');
  assert.equal(await shown(), `${(count / 50).toLocaleString('en')} of ${all}`);
  assert.ok((await rows(page)).every((row) => row.outcome === '404'));
  await page.click('#outcomes [data-outcome="4xx"]');
  assert.equal(await shown(), all);
}

/// The data shows as it is, but without credentials.
async function checkHostile(page) {
  await page.fill('#filter', 'onerror');
  const [row] = await rows(page);
  assert.ok(row.url.endsWith('</script><img src=x onerror=alert(1)>'), row.url);
  await page.click('.row');
  assert.ok((await page.textContent('#details-title')).endsWith('onerror=alert(1)>'));
  await page.keyboard.press('Escape');
  await page.fill('#filter', '');
  assert.equal(await page.locator('img').count(), 0);
  assert.ok(!(await page.content()).includes('hunter2'));
}

/// Numbers add up to the number of requests.
async function checkSums(page, count) {
  const sums = await page.evaluate(() => {
    const sum = (numbers) => numbers.reduce((one, other) => one + other, 0);
    return {
      outcomes: sum(Object.values(digest.counts)),
      histogram: sum(digest.histogram.map((bucket) => bucket.count)),
      undispatched: rows.filter((row) => !row.attempts).length,
      rows: rows.length,
    };
  });
  assert.equal(sums.outcomes, count);
  assert.equal(sums.rows, count);
  assert.equal(sums.histogram + sums.undispatched, count);
}

async function checkScales(page) {
  for (const scale of ['list', 'aligned', 'view']) {
    await page.selectOption('#scale', scale);
    await settled(page);
    const ends = await page.evaluate(() => {
      const { bottom } = document.getElementById('list').getBoundingClientRect();
      const tracks = [...document.querySelectorAll('.track')].map((track) => {
        const { left, width, top } = track.getBoundingClientRect();
        const bars = [...track.querySelectorAll('i:not([hidden])')];
        const ends = bars.map((bar) => bar.getBoundingClientRect().right);
        return { top, end: (Math.max(...ends) - left) / width };
      });
      return tracks.filter(({ top }) => top < bottom).map(({ end }) => end);
    });
    assert.ok(ends.every((end) => end > 0 && end < 1.05), `${scale}: ${ends}`);
  }
}

async function check(browser, path, count, width, colorScheme) {
  const start = performance.now();
  const height = width < 640 ? 760 : 790;
  const window = await browser.open(pathToFileURL(path), { width, height, colorScheme });
  const { page } = window;
  await page.locator('.row').first().waitFor();
  const opening = performance.now() - start;
  assert.ok(opening < MAX_OPENING, `the page took ${opening} ms`);
  await window.assertFits();
  if (screenshots && count === 1000) {
    const picture = resolve(screenshots, `report-${width}-${colorScheme}.png`);
    await window.screenshot(picture, { fullPage: width < 640 });
    assert.ok((await stat(picture)).size <= MAX_PICTURE, `${picture} is too large`);
  }
  await checkSums(page, count);
  await checkScrolling(page, count);
  await checkKeys(page, count);
  await checkSorting(page, count);
  await checkFiltering(page, count);
  await checkHostile(page);
  await checkScales(page);
  await window.assertFits();
  window.assertQuiet();
  await window.close();
  console.log(`${count} rows, ${width} px, ${colorScheme}: there after ${opening.toFixed(0)} ms`);
}

const folder = await mkdtemp(join(tmpdir(), 'fetchd-report-'));
const origins = await startOrigins();
try {
  for (const count of [1000, 10_000]) {
    const { page, archive } = await report(origins, count);
    for (const file of [page, archive]) assert.ok(!(await readFile(file, 'utf8')).includes('hunter2'));
    await checkArchive(archive, count);
    await withBrowser(async (browser) => {
      for (const width of WIDTHS) {
        for (const scheme of SCHEMES) await check(browser, page, count, width, scheme);
      }
    });
  }
} finally {
  stopOrigins(origins);
  await rm(folder, { recursive: true });
}
