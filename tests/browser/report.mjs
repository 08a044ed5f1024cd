// Opens the pages of `fetchd get --report` in a browser.
//
// Usage: report.mjs FETCHD ROOT [--screenshots FOLDER]

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { withBrowser } from './browser.mjs';

const folder = await mkdtemp(join(tmpdir(), 'fetchd-report-'));
try {
  const page = join(folder, 'page.html');
  await writeFile(page, '<!doctype html><link rel="icon" href="data:,"><title>fetchd</title>');
  await withBrowser(async (browser) => {
    const window = await browser.open(pathToFileURL(page), { width: 375, height: 700 });
    await window.assertFits();
    window.assertQuiet();
    await window.close();
  });
} finally {
  await rm(folder, { recursive: true });
}
