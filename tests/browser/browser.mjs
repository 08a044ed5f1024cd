// Opens pages in Chromium and watches them: console errors, uncaught errors and requests.
//
// `make browser` installs the tools, in target/ci. The browser itself is the system's.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

/// Loads what `make browser` has installed.
export const tool = createRequire(new URL('../../target/ci/', import.meta.url));

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Nothing but loopback has an address, whatever a page asks for.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

/// How long a page may take for anything, in milliseconds.
const TIMEOUT = 30_000;

/// Starts Chromium with a new, empty profile, passes it to `test`, and ends it.
export async function withBrowser(test) {
  const { chromium } = tool('playwright-core');
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: FLAGS, timeout: TIMEOUT });
  try {
    await test(new Browser(browser));
  } finally {
    await browser.close();
  }
}

class Browser {
  #browser;

  constructor(browser) {
    this.#browser = browser;
  }

  /// Opens `url` in a window of its own. `options` are those of a browser context.
  async open(url, { width = 1280, height = 800, colorScheme = 'light', ...options } = {}) {
    const context = await this.#browser.newContext({
      viewport: { width, height },
      colorScheme,
      ...options,
    });
    context.setDefaultTimeout(TIMEOUT);
    const window = new Window(await context.newPage(), url);
    await window.page.goto(String(url), { waitUntil: 'load' });
    return window;
  }
}

/// A page, and what it has done so far.
class Window {
  /// Playwright's page.
  page;
  /// Errors on the console, violations of the content security policy included, and
  /// uncaught errors.
  errors = [];
  /// The URLs of all requests, that of the page included.
  requests = [];
  #url;

  constructor(page, url) {
    this.page = page;
    this.#url = new URL(url);
    page.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(message.text());
    });
    page.on('pageerror', (error) => this.errors.push(String(error)));
    page.on('request', (request) => this.requests.push(request.url()));
    page.on('websocket', (socket) => this.requests.push(socket.url()));
  }

  /// Returns the requests that didn't go to the page's own origin. If the page is a file,
  /// that's all but the one for itself.
  elsewhere() {
    const isOwn = (url) =>
      this.#url.protocol === 'file:'
        ? url === this.#url.href
        : new URL(url).origin === this.#url.origin;
    return this.requests.filter((url) => !isOwn(url));
  }

  /// Asserts that the page had no error and made no request to anywhere else.
  assertQuiet() {
    assert.deepEqual(this.errors, [], 'errors of the page');
    assert.deepEqual(this.elsewhere(), [], 'requests to elsewhere');
  }

  /// Asserts that the page doesn't scroll sideways.
  async assertFits() {
    const [content, window] = await this.page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    assert.ok(content <= window, `the page is ${content} px wide in a window of ${window} px`);
  }

  /// Writes a picture of the window to `path`. `options` are those of Playwright.
  async screenshot(path, options = {}) {
    await mkdir(dirname(path), { recursive: true });
    await this.page.screenshot({ path, animations: 'disabled', caret: 'hide', ...options });
  }

  async close() {
    await this.page.context().close();
  }
}
