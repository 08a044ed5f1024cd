// Opens the page of examples/flask_app in a browser.
//
// Usage: flask.mjs FETCHD ROOT

import assert from 'node:assert/strict';

import { withBrowser } from './browser.mjs';
import { withExample } from './example.mjs';
import { checkLeaving, checkList } from './slow_list.mjs';

const [fetchd, root] = process.argv.slice(2);
const command = ['flask', '--app', 'examples/flask_app/app', 'run', '--port', '0'];

await withExample(fetchd, root, command, (example) =>
  withBrowser(async (browser) => {
    await checkList(browser, example);
    // A WSGI server notices that a reader has left when it sends the next results.
    await checkLeaving(browser, example, { trickle: 20 });
    await checkJson(browser, example);
  }),
);

/// Asserts that the list can be had as JSON, without a script.
async function checkJson(browser, { page: url, urls }) {
  const window = await browser.open(url, { javaScriptEnabled: false });
  await window.page.click('[name=json]');
  const rows = JSON.parse(await window.page.innerText('body'));
  assert.deepEqual(rows.map((row) => row.index), urls.map((_, index) => index));
  assert.deepEqual(window.elsewhere(), []);
  await window.close();
}
