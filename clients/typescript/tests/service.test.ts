import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { Client, type ClientOptions } from "fetchd";

import { startOrigin, startService } from "./service.js";

/** Starts an origin, a service and a client for it. */
async function setUp(
  t: test.TestContext,
  listener: (request: IncomingMessage, response: ServerResponse, url: URL) => void,
  options?: ClientOptions,
) {
  const origin = await startOrigin(t, (request, response) =>
    listener(request, response, new URL(request.url ?? "", "http://o")),
  );
  const service = await startService(t);
  const client = new Client(service.address, options);
  t.after(() => client.close());
  return { origin, service, client };
}

test("results have the response, the stats and the request", async (t) => {
  const { origin, client } = await setUp(t, (request, response, { pathname }) => {
    if (pathname === "/moved") {
      response.writeHead(302, { location: "/final" }).end();
    } else {
      const headers = {
        "content-type": "text/plain",
        "x-name": "caf\u00e9",
        "set-cookie": ["a=1", "b=2"],
      };
      response.writeHead(pathname === "/teapot" ? 418 : 200, headers);
      request.pipe(response);
    }
  });
  const echo = { url: `${origin}/teapot`, method: "POST", body: "tea" };
  const results = await client.fetchAll([
    `${origin}/moved`,
    new URL(origin),
    echo,
    "http://[::1]:1/",
  ]);
  const [moved, plain, teapot, blocked] = results;
  assert.ok(moved?.ok && plain?.ok && teapot?.ok && blocked && !blocked.ok);
  assert.deepEqual([moved.response.url, moved.response.redirected], [`${origin}/final`, true]);
  assert.deepEqual([moved.redirects, moved.attempts, moved.httpVersion], [1, 1, "HTTP/1.1"]);
  assert.deepEqual(
    [plain.response.redirected, plain.response.headers.get("x-name")],
    [false, "caf\u00e9"],
  );
  assert.deepEqual(plain.response.headers.getSetCookie(), ["a=1", "b=2"]);
  assert.deepEqual([teapot.status, teapot.response.ok, teapot.request], [418, false, echo]);
  assert.deepEqual([await teapot.response.text(), teapot.bodyBytes], ["tea", 3]);
  assert.deepEqual(teapot.bytes, new Uint8Array(Buffer.from("tea")));
  const { total, queued, firstByte, connectionReused } = plain.timing;
  assert.ok(Number(total) >= Number(firstByte) && Number(firstByte) > 0 && queued >= 0);
  assert.equal(typeof connectionReused, "boolean");
  assert.deepEqual(
    [blocked.index, blocked.error.reason, blocked.error.retryable],
    [3, "BLOCKED", false],
  );
  assert.deepEqual(
    [blocked.response, blocked.status, blocked.timing.dns],
    [undefined, undefined, undefined],
  );
  assert.equal(`${blocked.error.name}`, "FetchError");
});

test("options of a request", async (t) => {
  const { origin, client } = await setUp(t, (_, response, { pathname }) => {
    if (pathname === "/large") {
      response.end("x".repeat(5_000));
    } else if (pathname === "/cut") {
      response.writeHead(200, { "content-length": 10 }).write("part");
      setTimeout(() => response.destroy(), 50);
    }
  });
  const large = `${origin}/large`;
  const results = await client.fetchAll(
    [
      { url: large, maxBodyBytes: 100 },
      { url: large, maxBodyBytes: 100, truncate: true },
      { url: `${origin}/silent`, timeout: 100 },
      { url: `${origin}/silent`, idleTimeout: 100 },
      { url: `${origin}/cut` },
    ],
    { defaults: { maxAttempts: 1 } },
  );
  const reasons = results.map(({ error }) => error?.reason);
  assert.deepEqual(reasons, ["BODY_TOO_LARGE", undefined, "TIMEOUT", "TIMEOUT", "DISCONNECTED"]);
  assert.deepEqual([results[1]?.truncated, results[1]?.bodyBytes], [true, 100]);
  const cut = results[4];
  assert.deepEqual([cut?.ok, cut?.status, await cut?.response?.text()], [false, 200, "part"]);
});

test("20,000 results", async (t) => {
  const { origin, client } = await setUp(t, (_, response, { pathname }) => response.end(pathname));
  const urls = Array.from({ length: 20_000 }, (_, index) => `${origin}/${index}`);
  const results = await client.fetchAll(urls, { concurrency: 200 });
  for (const [index, { response }] of results.entries()) {
    assert.equal(await response?.text(), `/${index}`);
  }
});

test("a large body is linear in time, in one piece and as a stream", async (t) => {
  const { origin, client } = await setUp(t, (_, response, { searchParams }) => {
    response.end(Buffer.alloc(Number(searchParams.get("size")), "x"));
  });
  const defaults = { maxBodyBytes: 128 << 20 };
  await client.fetchAll([`${origin}/?size=${1 << 20}`], { defaults });
  const size = 64 << 20;
  const begun = performance.now();
  const [result] = await client.fetchAll([`${origin}/?size=${size}`], { defaults });
  assert.equal(result?.bodyBytes, size);
  const response = await client.stream(`${origin}/?size=${size}`, { defaults });
  let received = 0;
  for await (const chunk of response.body ?? []) {
    received += chunk.length;
  }
  assert.equal(received, size);
  assert.ok(performance.now() - begun < 5_000);
});

test("a stream that is not read stops its origin", async (t) => {
  let sent = 0;
  const { origin, client } = await setUp(t, async (_, response) => {
    const chunk = Buffer.alloc(1 << 20, "x");
    for (let count = 0; count < 200 && !response.destroyed; count++) {
      sent += chunk.length;
      if (!response.write(chunk)) {
        await Promise.race([once(response, "drain"), once(response, "close")]);
      }
    }
    response.end();
  });
  const response = await client.stream(origin, { defaults: { maxBodyBytes: 1 << 30 } });
  const reader = response.body?.getReader();
  let received = (await reader?.read())?.value?.length ?? 0;
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.ok(sent < 60 << 20, `${sent} bytes were sent`);
  const before = process.memoryUsage().rss;
  for (let next = await reader?.read(); next?.value; next = await reader?.read()) {
    received += next.value.length;
  }
  assert.equal(received, 200 << 20);
  const growth = process.memoryUsage().rss - before;
  assert.ok(growth < 150 << 20, `${growth} bytes more`);
});

test("an unread list does not block other calls", async (t) => {
  const { origin, client } = await setUp(t, (_, response) => response.end(Buffer.alloc(1 << 20)));
  const results = client.fetch(Array<string>(100).fill(origin));
  await results.next();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const response = await client.stream(origin);
  assert.equal((await response.arrayBuffer()).byteLength, 1 << 20);
  await results.return?.();
});

test("the origin sees at once that the caller has left", async (t) => {
  let closed = 0;
  let arrived = 0;
  const { origin, client } = await setUp(t, (_, response, { pathname }) => {
    if (pathname === "/fast") {
      response.end();
    } else {
      arrived += 1;
      response.on("close", () => (closed += 1));
      response.write("x".repeat(100_000));
    }
  });
  const until = async (condition: () => boolean) => {
    while (!condition()) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const urls = (count: number) => Array.from({ length: count }, () => `${origin}/slow`);
  const ways: [number, () => Promise<unknown>][] = [
    [
      20,
      async () => {
        for await (const _ of client.fetch([...urls(20), `${origin}/fast`])) {
          await until(() => arrived === 20);
          break;
        }
      },
    ],
    [
      10,
      async () => {
        const cancel = new AbortController();
        const all = client.fetchAll(urls(10), { signal: cancel.signal });
        await until(() => arrived === 10);
        cancel.abort();
        await assert.rejects(all, { name: "AbortError" });
      },
    ],
    [1, async () => (await client.stream(`${origin}/slow`)).body?.cancel()],
  ];
  for (const [count, leave] of ways) {
    [arrived, closed] = [0, 0];
    await leave();
    const left = performance.now();
    await until(() => closed === count);
    assert.ok(performance.now() - left < 150, `${performance.now() - left} ms`);
  }
});

test("TLS with certificates on both sides, and a token in a file", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "fetchd-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const script = fileURLToPath(new URL("../../../deploy/secrets.sh", import.meta.url));
  execFileSync(script, [folder, "crawler"], { stdio: "ignore" });
  const file = (name: string) => join(folder, name);
  const origin = await startOrigin(t, (_, response) => response.end("safe"));
  const service = await startService(
    t,
    ...["--tls-cert", file("server/tls.crt"), "--tls-key", file("server/tls.key")],
    ...["--tls-client-ca", file("ca.crt"), "--auth-token-file", file("tokens")],
  );
  const endpoint = `https://localhost:${service.address.split(":")[1]}`;
  const own = (name: string) => file(`callers/crawler/${name}`);
  const tls = { ca: own("ca.crt"), cert: own("tls.crt"), key: own("tls.key") };
  const tokenFile = own("token");
  const reasonOf = async (options: ClientOptions) => {
    const client = new Client(endpoint, { giveUpAfter: 300, ...options });
    t.after(() => client.close());
    const [result] = await client.fetchAll([origin]);
    return result?.error
      ? [result.error.reason, result.error.code]
      : await result?.response?.text();
  };
  assert.equal(await reasonOf({ tls, tokenFile }), "safe");
  const pem = {
    ca: readFileSync(tls.ca),
    cert: readFileSync(tls.cert, "utf8"),
    key: pathToFileURL(tls.key),
  };
  assert.equal(await reasonOf({ tls: pem, token: readFileSync(tokenFile, "utf8") }), "safe");
  assert.deepEqual(await reasonOf({ tls, token: "wrong" }), ["CALL_FAILED", "UNAUTHENTICATED"]);
  assert.deepEqual(await reasonOf({ tls: { ca: tls.ca }, tokenFile }), ["SERVICE_LOST", undefined]);
  assert.deepEqual(await reasonOf({ tokenFile }), ["SERVICE_LOST", undefined]);
});

test("a client that is idle does not keep the process alive", async (t) => {
  const { origin, service } = await setUp(t, (_, response) => response.end("x"));
  const script = `
    import { Client } from "fetchd";
    const client = new Client("${service.address}");
    const [result] = await client.fetchAll(["${origin}"]);
    console.log(result.status);
  `;
  const folder = fileURLToPath(new URL("..", import.meta.url));
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { cwd: folder });
  const begun = performance.now();
  const [[output], [code]] = await Promise.all([once(child.stdout, "data"), once(child, "exit")]);
  assert.deepEqual([String(output), code], ["200\n", 0]);
  assert.ok(performance.now() - begun < 3_000);
});
