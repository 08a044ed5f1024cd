// Origins on loopback, which answer in many ways, and a list of requests to them.

import { createServer } from 'node:http';

/// Starts the origins, each at an address of its own.
export async function startOrigins() {
  const origins = [];
  for (const address of ['127.0.0.1', '127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5']) {
    // Each is slower than the one before.
    const delay = 2 ** origins.length;
    const server = createServer((request, response) => answer(request, response, delay));
    await new Promise((resolve) => server.listen(0, address, resolve));
    origins.push({ server, url: `http://${address}:${server.address().port}` });
  }
  return origins;
}

export function stopOrigins(origins) {
  for (const { server } of origins) {
    server.closeAllConnections();
    server.close();
  }
}

/// The path says how to answer, and its number spreads the delays.
function answer(request, response, delay) {
  const [, kind, text] = request.url.split('/');
  const number = Number(text) || 0;
  const wait = delay * (1 + (((number * 7919) % 101) / 12) ** 1.5);
  const end = (status, headers, body) => {
    response.writeHead(status, { 'content-type': 'text/plain', ...headers });
    response.write(body.slice(0, 1));
    setTimeout(() => response.end(body.slice(1)), wait / 4);
  };
  const kinds = {
    page: () => end(200, {}, 'x'.repeat(1 + ((number * 104729) % 40_000))),
    moved: () => end(302, { location: `/page/${number}` }, '-'),
    missing: () => end(404, {}, 'nothing here'),
    broken: () => end(500, {}, 'broken'),
    busy: () => end(503, {}, 'busy'),
    reset: () => request.socket.destroy(),
    silent: () => {},
  };
  setTimeout(kinds[kind] ?? kinds.page, wait);
}

/// Returns `count` URLs. A few in a hundred fail, in different ways.
export function urls(origins, count) {
  const special = {
    3: 'moved',
    17: 'missing',
    23: 'broken',
    31: 'moved',
    47: 'missing',
    61: 'reset',
    79: 'busy',
  };
  const list = Array.from({ length: count }, (_, number) => {
    const kind = special[number % 100] ?? 'page';
    return `${origins[number % origins.length].url}/${kind}/${number}`;
  });
  // Once each.
  const [{ url }] = origins;
  list[40] = `${url}/silent/40`;
  list[41] = 'http://127.0.0.1:1/nobody-listens';
  list[42] = url.replace('http:', 'https:');
  list[43] = 'http://10.0.0.1/blocked';
  list[44] = 'not a URL';
  list[45] = `${url}/page/45?</script><img src=x onerror=alert(1)>`;
  list[46] = url.replace('http://', 'http://user:hunter2@');
  return list;
}
