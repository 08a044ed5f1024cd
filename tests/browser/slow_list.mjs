// The checks of a page that shows a list of slow URLs.

import assert from 'node:assert/strict';

/// How long the list may take on a busy machine, in seconds. It takes 1.5 s on an idle one.
const MAX_SECONDS = 4;

/// The rows of the list that fail, and what they say.
const FAILURES = {
  13: /^404$/,
  29: /^error\n.*connection/is,
  43: /^error\n.*10\.0\.0\.1/is,
  61: /^error\n.*scheme/is,
  78: /^500$/,
  90: /^error\n.*refused/is,
};

const VIEWS = [
  { width: 1280, colorScheme: 'light' },
  { width: 375, colorScheme: 'dark' },
];

/// Asserts that the page fills while results arrive, keeps the order, and shows each error
/// in its place.
export async function checkList(browser, { page: url, urls }) {
  for (const view of VIEWS) {
    const window = await browser.open(url, view);
    const { page } = window;
    await page.evaluate(recordArrivals);
    await page.click('#fetch');
    await says(page, '#message', 'All results are there.');

    const arrivals = await page.evaluate(() => arrivals);
    const rows = await page.$$eval('li', (rows) =>
      rows.map((row) => ({
        url: row.querySelector('.url').textContent,
        says: ['.status', '.error'].map((part) => row.querySelector(part).textContent).join('\n').trim(),
      })),
    );
    assert.deepEqual(rows.map((row) => row.url), urls, 'the order of the list');
    for (const [index, row] of rows.entries()) {
      assert.match(row.says, FAILURES[index + 1] ?? /^200$/, `row ${index + 1}`);
    }
    assert.equal(await text(page, '#done'), '100 of 100');
    assert.equal(await text(page, '#failed'), String(Object.keys(FAILURES).length));

    const seconds = arrivals.map((time) => time / 1000);
    assert.equal(seconds.length, urls.length);
    assert.ok(seconds.at(-1) - seconds[10] > 0.5, `the page fills at once, after ${seconds[10]} s`);
    assert.ok(parseFloat(await text(page, '#elapsed')) < MAX_SECONDS, 'the list takes too long');
    assert.ok(parseFloat(await text(page, '#sum')) > 70, 'one by one');
    const figures = [seconds[0], seconds.at(-1)].map((time) => time.toFixed(2));
    console.log(`${view.width} px: the first of 100 rows after ${figures[0]} s, the last after ${figures[1]} s`);

    await window.assertFits();
    window.assertQuiet();
    await window.close();
  }
}

/// Asserts that the fetches of a list end soon after its reader has left the page or pressed
/// the button. The URLs of `trickle` answer one after the other, and those of `held` don't.
export async function checkLeaving(browser, { page: url, origin }, { trickle }) {
  const held = 20;
  const list = [
    ...Array.from({ length: 3 }, (_, number) => `${origin.url}/first${number}?seconds=0.05`),
    ...Array.from({ length: trickle }, (_, number) => `${origin.url}/next${number}?seconds=${0.4 + number / 10}`),
    ...Array.from({ length: held }, (_, number) => `${origin.url}/held${number}?seconds=60`),
  ];
  const ways = {
    'leaving the page': ({ page }) => page.goto('about:blank'),
    'closing the window': (window) => window.close(),
    'the button': ({ page }) => page.click('#stop'),
  };
  let left = 0;
  for (const [way, leave] of Object.entries(ways)) {
    const window = await browser.open(url);
    await window.page.fill('#urls', list.join('\n'));
    await window.page.click('#fetch');
    await window.page.waitForFunction(() => document.querySelectorAll('li.ok').length >= 3);
    const started = performance.now();
    await leave(window);
    left += held;
    await origin.process.saysTimes(left, /^\/held\d+: the caller has left$/);
    const seconds = (performance.now() - started) / 1000;
    // Without a reader they would end with the time limit of the list, after 10 s.
    assert.ok(seconds < 6, `${way}: the fetches ended after ${seconds} s`);
    console.log(`${way}: the fetches ended after ${seconds.toFixed(2)} s`);
    await window.close();
  }
}

/// Runs in the page: records when each row gets its result, in milliseconds.
function recordArrivals() {
  window.arrivals = [];
  let started;
  document.querySelector('#fetch').addEventListener('click', () => (started = performance.now()));
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      if (['ok', 'bad'].includes(target.className)) arrivals.push(performance.now() - started);
    }
  }).observe(document.querySelector('ol'), { subtree: true, attributeFilter: ['class'] });
}

const text = (page, selector) => page.locator(selector).innerText();

function says(page, selector, part) {
  return page.waitForFunction(([at, part]) => document.querySelector(at).innerText.includes(part), [selector, part]);
}
