// Opens the admin page of a running service in a browser.
//
// Usage: admin.mjs FETCHD ROOT [--screenshots FOLDER]

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:http2';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { withBrowser } from './browser.mjs';

const [fetchd, , flag, pictures] = process.argv.slice(2);

/// An origin that holds back `/held` until it's told to answer. The path of all others is
/// their status.
async function startOrigin() {
  const held = [];
  const server = createServer((request, response) => {
    const path = request.url.slice(1);
    if (path === 'held') {
      held.push(response);
    } else {
      response.statusCode = Number(path);
      response.end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: (host, path) => `http://${host}:${server.address().port}/${path}`,
    release: () => held.splice(0).forEach((response) => response.end('there')),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/// Starts `fetchd serve`, and returns its process and the addresses from its log.
async function startService(...flags) {
  const listen = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'];
  const args = ['serve', ...listen, '--allow-net', '127.0.0.0/8', '--log-format', 'json', ...flags];
  const child = spawn(fetchd, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  for await (const line of createInterface({ input: child.stderr })) {
    const { address, admin } = JSON.parse(line);
    if (admin) {
      child.stderr.resume();
      return { child, url: `http://${address}`, page: `http://${admin}/` };
    }
  }
  throw new Error('the service did not start');
}

/// Fetches `urls` as one batch, and waits for its end.
async function fetchBatch(service, urls) {
  const session = connect(service.url);
  // At the end, the service is killed during a call.
  session.on('error', () => {});
  const call = session.request({
    ':method': 'POST',
    ':path': '/fetchd.v1.FetchService/FetchBatch',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  // The requests are field 1 of the message, and the URL is field 1 of each.
  const field = (bytes) => Buffer.concat([Buffer.from([0x0a, bytes.length]), bytes]);
  const message = Buffer.concat(urls.map((url) => field(field(Buffer.from(url)))));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  call.end(Buffer.concat([prefix, message]));
  call.resume();
  await once(call, 'close');
  session.close();
}

const text = (page, selector) => page.locator(selector).innerText();
const says = (page, selector, part) =>
  page.waitForFunction(([at, part]) => document.querySelector(at)?.innerText.includes(part), [selector, part]);
const count = (page, selector, number) =>
  page.waitForFunction(([at, number]) => document.querySelectorAll(at).length === number, [selector, number]);

const VIEWS = [375, 1280].flatMap((width) => ['light', 'dark'].map((colorScheme) => ({ width, colorScheme })));

const origin = await startOrigin();
const service = await startService('--admin-hosts', '--max-concurrency', '2', '--max-batches', '1', '--drain-timeout', '100s');
try {
  await withBrowser(async (browser) => {
    if (flag === '--screenshots') return takePictures(browser);
    const windows = await Promise.all(VIEWS.map((view) => browser.open(service.page, view)));
    const everywhere = (check) => Promise.all(windows.map(check));

    await everywhere(({ page }) => says(page, '#stage', 'serving'));
    await everywhere(({ page }) => says(page, '#no-batches', 'No batch is running'));

    // A batch appears without a reload.
    const urls = Array(5).fill(origin.url('held.localhost', 'held'));
    const batch = fetchBatch(service, urls);
    await everywhere(async ({ page }) => {
      await says(page, '#batch-rows', '0 of 5');
      await says(page, '#batch-rows', 'concurrency');
      await says(page, '#batch-rows', '127.0.0.1');
      await says(page, '#m-in-flight', '2');
      await says(page, '#held-list', '3 for the concurrency of their batch');
      // None of its requests has ended, and it's the slowest host already.
      await says(page, '#slowest tr:first-child td:nth-child(1)', 'held.localhost');
      await says(page, '#slowest tr:first-child td:nth-child(2)', '2');
      await says(page, '#caller-rows', '127.0.0.1');
    });
    await everywhere(({ page }) => page.locator('#refused').waitFor({ state: 'hidden' }));

    // A call that the server refuses can't be overlooked.
    await fetchBatch(service, urls);
    await everywhere(async (window) => {
      await says(window.page, '#refused', '1 call ended with RESOURCE_EXHAUSTED in the last minute');
      await says(window.page, '#refused', '--max-batches');
      await window.assertFits();
    });

    // The batch goes on and leaves.
    while (!(await hasEnded(batch))) origin.release();
    await fetchBatch(service, [origin.url('failing.localhost', '503'), origin.url('fine.localhost', '404')]);
    await everywhere(async ({ page }) => {
      await count(page, '#batch-rows tr', 0);
      await says(page, '#failing', 'failing.localhost');
      await says(page, '#slowest', 'held.localhost');
      await says(page, '#plot-outcomes .legend', '5xx 1');
      for (const series of ['ok', 'client', 'server']) {
        assert.ok((await page.locator(`#plot-outcomes rect.${series}`).count()) > 0, series);
      }
      assert.match(await page.locator('#plot-latency path.p50').getAttribute('d'), /^M/);
      assert.match(await text(page, '#plot-latency .legend'), /p50 ≤ [\d.]+ (ms|s)/);
      await page.locator('summary').first().click();
      await says(page, '#egress', '127.0.0.0/8');
    });

    // The values of a single interval are shown if one points at it.
    const [{ page }] = windows;
    await page.locator('#plot-outcomes svg').focus();
    await page.keyboard.press('ArrowLeft');
    await says(page, '#plot-outcomes', 'now');
    for (const window of windows) {
      await window.assertFits();
      window.assertQuiet();
    }

    await assertOnlyText(browser);
    await assertRefreshes(browser);

    // A drain can't be overlooked, and neither can a service that's gone.
    const last = fetchBatch(service, urls);
    await everywhere(({ page }) => says(page, '#batch-rows', '0 of 5'));
    service.child.kill('SIGTERM');
    await everywhere(async (window) => {
      await says(window.page, '#stage', 'draining');
      await says(window.page, '#banner', '1 batch open');
      await window.assertFits();
      window.assertQuiet();
    });
    service.child.kill('SIGKILL');
    await everywhere(async (window) => {
      await says(window.page, '#banner', 'No answer for');
      await window.assertFits();
    });
    assert.match(await text(page, '#banner'), /The figures are from before that/);
    // However far one scrolls, and the old figures are still readable.
    for (const window of windows) {
      await window.page.evaluate(() => scrollTo(0, document.body.scrollHeight));
      const top = await window.page.evaluate(() => document.querySelector('#banner').getBoundingClientRect().top);
      assert.ok(top >= 0 && top < 20, `the banner is at ${top} px`);
      assert.equal(await window.page.evaluate(() => getComputedStyle(document.querySelector('main')).opacity), '1');
    }
    assert.equal(await page.title(), 'no answer – fetchd');
    await last;
  });
} finally {
  service.child.kill('SIGKILL');
  origin.close();
}

/// Asserts that hostile names are shown as they are.
async function assertOnlyText(browser) {
  const hostile = '<img src=x onerror=alert(1)><script>alert(1)</script>';
  const response = await fetch(`${service.page}status.json`);
  const status = busy(await response.json());
  status.batches.oldest[0].caller = hostile + 'x'.repeat(200);
  status.hosts.failing[0].host = hostile + 'y'.repeat(200);
  status.settings.egress.deny_host = [hostile];
  for (const view of VIEWS) {
    const window = await browser.open(service.page, view);
    const body = JSON.stringify(status);
    await window.page.route('**/status.json', (route) => route.fulfill({ contentType: 'application/json', body }));
    for (const selector of ['#batch-rows', '#failing']) await says(window.page, selector, hostile);
    assert.equal(await window.page.locator('img, main script').count(), 0);
    await window.page.locator('summary').first().click();
    await window.assertFits();
    window.assertQuiet();
    await window.close();
  }
}

/// Asserts that a refresh shows the new figures, keeps batches in the order of the status,
/// and moves no column.
async function assertRefreshes(browser) {
  const response = await fetch(`${service.page}status.json`);
  const status = busy(await response.json());
  const last = status.batches.oldest.pop();
  for (const view of VIEWS) {
    const window = await browser.open('about:blank', view);
    const { page } = window;
    let body = JSON.stringify(status);
    await page.route('**/status.json', (route) => route.fulfill({ contentType: 'application/json', body }));
    await page.goto(service.page);
    await count(page, '#batch-rows tr', 3);
    const edges = () =>
      page.$$eval('th', (cells) => cells.map((cell) => cell.getBoundingClientRect().left));
    const before = await edges();
    const next = structuredClone(status);
    next.batches.oldest.unshift(last);
    for (const host of next.hosts.slowest) Object.assign(host, { in_flight: 1_024, recent_mean_s: 599, mean_s: null });
    next.callers.busiest[0].queued = 1_234_567;
    next.batches.oldest[0].held_by = 'caller';
    next.queued_by_limit.caller = 12;
    body = JSON.stringify(next);
    await count(page, '#batch-rows tr', 4);
    assert.deepEqual(await edges(), before);
    await says(page, '#batch-rows tr:first-child', 'process');
    await says(page, '#held-list', '12 for a slot of the process: the free ones are kept for other callers');
    const ids = await page.locator('#batch-rows code').allInnerTexts();
    assert.deepEqual(ids, next.batches.oldest.map(({ id }) => id));
    await window.close();
  }
}

/// Returns whether `batch` has ended, after whatever can happen now has happened.
async function hasEnded(batch) {
  const turn = new Promise((resolve) => setTimeout(resolve, 5, false));
  return Promise.race([batch.then(() => true), turn]);
}

/// Takes pictures of a page with the figures of a busy day, which are made up.
async function takePictures(browser) {
  const response = await fetch(`${service.page}status.json`);
  const status = JSON.stringify(busy(await response.json()));
  for (const view of VIEWS) {
    const window = await browser.open('about:blank', view);
    await window.page.route('**/status.json', (route) => route.fulfill({ contentType: 'application/json', body: status }));
    await window.page.goto(service.page);
    await says(window.page, '#stage', 'serving');
    await window.screenshot(join(pictures, `admin-${view.width}-${view.colorScheme}.png`), { fullPage: true });
    await window.close();
  }
}

/// Fills in the figures of `status`.
function busy(status) {
  const length = 90;
  const series = (at) => Array.from({ length }, (_, interval) => Math.max(0, Math.round(at(interval))));
  const bucket = (seconds) => [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30].find((bound) => bound >= seconds);
  const wave = (interval) => 1 + 0.3 * Math.sin(interval / 9);
  const trouble = (interval) => (interval > 58 && interval < 74 ? Math.sin(((interval - 58) / 16) * Math.PI) : 0);
  status.uptime_s = 277_000;
  status.load = { batches: 4, in_flight: 312, queued: 6_480, queued_bytes: 41_200_000, connections: 37, stalled: 0 };
  status.queued_by_limit = { batch: 5_320, host: 1_160, caller: 0, process: 0, reader: 0 };
  status.settings.limits.max_per_host = 64;
  status.settings.limits.max_batches = 256;
  status.batches = {
    total: 4,
    oldest: [
      ['9f2c61d07ab34e58', 'spiffe://prod.example/ns/search/sa/indexer', 184.2, 10_000, 6_120, 200, 3_680, 'batch'],
      ['41e0c7b2958dfa36', 'billing', 42.7, 2_400, 1_188, 64, 1_148, 'host'],
      ['d3708ee1f4429bc5', 'link-checker', 12.4, 2_000, 312, 48, 1_640, 'batch'],
      ['07ba5d9c3e6f1a84', 'billing', 0.8, 12, 0, 0, 12, 'host'],
    ].map(([id, caller, age_s, size, done, in_flight, queued, held_by]) => ({ id, caller, age_s, size, done, in_flight, queued, held_by })),
  };
  status.callers = {
    total: 3,
    busiest: [
      { caller: 'spiffe://prod.example/ns/search/sa/indexer', batches: 1, in_flight: 200, queued: 3_680 },
      { caller: 'billing', batches: 2, in_flight: 64, queued: 1_160 },
      { caller: 'link-checker', batches: 1, in_flight: 48, queued: 1_640 },
    ],
  };
  status.history = {
    interval_s: Array(length).fill(10),
    calls: {
      OK: series((at) => 12 * wave(at)),
      RESOURCE_EXHAUSTED: series((at) => (at > 84 ? 52 : 0)),
    },
    outcomes: {
      '2xx': series((at) => 2_400 * wave(at) - 700 * trouble(at)),
      '3xx': series((at) => 90 * wave(at)),
      '4xx': series((at) => 110 * wave(at)),
      '5xx': series((at) => 12 + 640 * trouble(at)),
      timeout: series((at) => 3 + 260 * trouble(at)),
      dns: series((at) => (at % 11 === 0 ? 4 : 0)),
    },
    latency: Array.from({ length }, (_, at) => ({
      p50_s: bucket(0.085 * wave(at)),
      p90_s: bucket(0.42 * wave(at) + 2.1 * trouble(at)),
      p99_s: bucket(1.6 * wave(at) + 11 * trouble(at)),
    })),
    overall_latency: { p50_s: 0.1, p90_s: 1, p99_s: 5 },
    in_flight: [...series((at) => 300 * wave(at) + 180 * trouble(at)).slice(1), 312],
    queued: [...series((at) => 6_000 * wave(at) + 4_000 * trouble(at)).slice(1), 6_480],
    waits: { batch: series((at) => 1_400 * wave(at)), host: series((at) => 300 * wave(at)), process: series(() => 0) },
  };
  const host = (host, in_flight, recent_mean_s, requests, failures, mean_s, max_s) =>
    ({ host, in_flight, recent_mean_s, requests, failures, mean_s, max_s });
  status.hosts = {
    tracked: 184,
    evicted: 0,
    slowest: [
      host('reports.partner.example', 80, 11.9, 412, 31, 4.82, 30),
      host('media.archive.example', 12, 2.4, 1_930, 4, 2.61, 18.4),
      host('api.payments.example', 40, 0.31, 14_212, 2_310, 1.94, 30),
    ],
    failing: [
      host('api.payments.example', 40, 0.31, 14_212, 2_310, 1.94, 30),
      host('old-shop.example', 0, null, 96, 96, 0.02, 0.1),
      host('reports.partner.example', 80, 11.9, 412, 31, 4.82, 30),
    ],
  };
  return status;
}
