// Opens the page of examples/fastapi_app in a browser.
//
// Usage: fastapi.mjs FETCHD ROOT

import { withBrowser } from './browser.mjs';
import { withExample } from './example.mjs';
import { checkLeaving, checkList } from './slow_list.mjs';

const [fetchd, root] = process.argv.slice(2);
const command = ['uvicorn', '--app-dir', 'examples/fastapi_app', 'app:app', '--port', '0'];

await withExample(fetchd, root, command, (example) =>
  withBrowser(async (browser) => {
    await checkList(browser, example);
    await checkLeaving(browser, example, { trickle: 0 });
  }),
);
