import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { status as Code } from "@grpc/grpc-js";
import { FetchError } from "fetchd";

import { start, url, urls } from "./client.js";
import { complete, succeed } from "./fake.js";

test("a signal cancels all calls", async (t) => {
  const { service, client } = await start(t, () => {});
  const cancel = new AbortController();
  const all = client.fetchAll(urls(2), { signal: cancel.signal });
  const one = client.stream(url(2), { signal: cancel.signal });
  const results = client.fetch(urls(3), { signal: cancel.signal });
  const next = results.next();
  while (service.calls.length < 3) {
    await sleep(5);
  }
  cancel.abort(new Error("enough"));
  await Promise.all([all, one, next].map((promise) => assert.rejects(promise, /^Error: enough$/)));
  await Promise.all(service.calls.map((call) => call.cancelled()));
  assert.equal((await results.next()).done, true);
  await assert.rejects(client.fetchAll(urls(1), { signal: cancel.signal }), /enough/);
});

test("closing the client cancels all calls", async (t) => {
  const { service, client } = await start(t, () => {});
  const all = client.fetchAll(urls(2));
  while (service.calls.length < 1) {
    await sleep(5);
  }
  client.close();
  await assert.rejects(all, /^Error: the client is closed$/);
  await service.calls[0]?.cancelled();
  await assert.rejects(client.fetchAll([]), /the client is closed/);
});

test("metadata, token and user agent are sent with each call", async (t) => {
  let count = 0;
  const { service, client } = await start(t, succeed, { token: async () => `t${++count}` });
  const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const metadata = { traceparent: trace, "a-bin": Uint8Array.of(1, 2) };
  await client.fetchAll([url(0)], { metadata });
  const received = service.calls[0]?.metadata.getMap();
  assert.equal(received?.["traceparent"], trace);
  assert.deepEqual(received?.["a-bin"], Buffer.of(1, 2));
  assert.equal(received?.["authorization"], "Bearer t2", "the probe has the first");
  assert.match(String(received?.["user-agent"]), /^fetchd-typescript\/\d/);
});

test("defaults of the client and of the list are those of each request", async (t) => {
  const defaults = { timeout: 1_000, maxRedirects: 1, headers: { "user-agent": "a", "x-a": "1" } };
  const { service, client } = await start(t, succeed, { defaults });
  const own = { url: url(1), headers: { "X-A": "3" } };
  const headers = { "User-Agent": "b" };
  await client.fetchAll([url(0), own], { defaults: { maxRedirects: 0, headers } });
  const batch = service.calls[0]?.batch;
  assert.deepEqual([batch?.options?.timeout?.seconds, batch?.options?.maxRedirects], [1, 0]);
  const lines = batch?.requests.map((request) =>
    request.headers?.map(({ name, value }) => `${name}: ${Buffer.from(value ?? [])}`),
  );
  assert.deepEqual(lines, [
    ["x-a: 1", "User-Agent: b"],
    ["X-A: 3", "User-Agent: b"],
  ]);
});

test("a streamed body that breaks off ends with an error, and is not sent again", async (t) => {
  const { service, client } = await start(t, (call) => {
    call.send({ index: 0, head: { status: 200, url: url(0) }, body: Buffer.from("abc") });
    setTimeout(() => call.fail(Code.UNAVAILABLE, "gone"), 50);
  });
  const response = await client.stream(url(0));
  assert.equal(response.redirected, false);
  const reader = response.body?.getReader();
  assert.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), "abc");
  const expected = (error: Error) => error instanceof FetchError && error.reason === "SERVICE_LOST";
  await assert.rejects(async () => reader?.read(), expected);
  assert.equal(service.calls.length, 1);
});

test("a streamed body breaks the contract", async (t) => {
  const head = { status: 200, url: url(0) };
  const broken = [
    [{ index: 0, head, body: Buffer.from("a"), end: { bodyBytes: 2 } }],
    [
      { index: 0, head },
      { index: 0, head, end: {} },
    ],
    [
      { index: 0, head },
      { index: 1, end: {} },
    ],
    [{ index: 0, head }],
  ];
  const { service, client } = await start(t, (call, number) => {
    call.send(...(broken[number - 1] ?? []));
    call.end();
  });
  for (const _ of broken) {
    const response = await client.stream(url(0));
    await assert.rejects(response.text(), { reason: "CONTRACT_BROKEN" });
  }
  assert.equal(service.calls.length, broken.length);
});

test("a streamed body may be empty", async (t) => {
  const { client } = await start(t, (call) => {
    call.send(complete(0, "", call.batch.requests[0]?.url === url(204) ? 204 : 200));
    call.end();
  });
  const [empty, none] = [await client.stream(url(0)), await client.stream(url(204))];
  assert.deepEqual([empty.body === null, await empty.text()], [false, ""]);
  assert.deepEqual([none.status, none.body, await none.text()], [204, null, ""]);
});

test("a stream is sent again before its response begins", async (t) => {
  const { service, client } = await start(t, (call, number) =>
    number === 1 ? call.fail(Code.UNAVAILABLE) : succeed(call, number),
  );
  assert.equal(await (await client.stream(url(0))).text(), url(0));
  await assert.rejects(client.stream({ url: url(0), timeout: -1 }), TypeError);
  assert.equal(service.calls.length, 2);
});

test("calls of one turn of a fetch function share a list", async (t) => {
  const { service, client } = await start(t);
  const fetch = client.asFetch();
  const cancel = new AbortController();
  const all = Promise.all(urls(100).map(async (one) => (await fetch(one)).text()));
  const aborted = fetch(url(100), { signal: cancel.signal });
  const refused = fetch(url(101), { redirect: "error" });
  cancel.abort();
  await Promise.all([
    assert.rejects(aborted, { name: "AbortError" }),
    assert.rejects(refused, { reason: "INVALID_REQUEST" }),
    all.then((bodies) => assert.deepEqual(bodies, urls(100))),
  ]);
  assert.equal(service.calls.length, 1);
  await assert.rejects(fetch("nonsense"), TypeError);
});

test("a fetch function whose calls are all aborted cancels the list", async (t) => {
  const { service, client } = await start(t, () => {});
  const signal = AbortSignal.timeout(200);
  await assert.rejects(client.asFetch()(url(0), { signal }), { name: "TimeoutError" });
  await service.calls[0]?.cancelled();
});
