import assert from "node:assert/strict";
import { EventEmitter, getEventListeners, once } from "node:events";
import test from "node:test";

import { Client } from "fetchd";

import { start, url, urls } from "./client.js";
import { FakeService } from "./fake.js";

const aborted = { name: "AbortError" };

test("a signal that aborts before the list has begun ends it", async (t) => {
  const { service, client } = await start(t);
  const one = new AbortController();
  const collected = client.fetchAll(urls(3), { signal: one.signal });
  one.abort();
  await assert.rejects(collected, aborted);

  const two = new AbortController();
  const results = client.fetch(urls(3), { signal: two.signal });
  two.abort();
  await assert.rejects(results.next(), aborted);
  assert.equal((await results.next()).done, true);

  const three = new AbortController();
  const body = new ReadableStream({
    pull: (controller) => {
      three.abort();
      controller.close();
    },
  });
  const request = new Request(url(0), { method: "POST", body, duplex: "half" } as RequestInit);
  await assert.rejects(client.fetchAll([request], { signal: three.signal }), aborted);
  assert.equal(service.calls.length, 0);
});

test("a list that has not begun ends when the client is closed", async (t) => {
  const { client } = await start(t);
  const collected = client.fetchAll(urls(3));
  const results = client.fetch(urls(3));
  client.close();
  await assert.rejects(collected, /the client is closed/);
  await assert.rejects(results.next(), /the client is closed/);
});

test("a client can be closed while a probe waits for its token", async (t) => {
  const service = await FakeService.start(t);
  const events = new EventEmitter();
  const token = async (): Promise<string> => {
    events.emit("asked");
    const [secret] = await once(events, "given");
    return secret as string;
  };
  const client = new Client(service.address, { token });
  const asked = once(events, "asked");
  const collected = client.fetchAll(urls(1));
  await asked;
  client.close();
  events.emit("given", "secret");
  await assert.rejects(collected, /the client is closed/);
  // A rejection that nobody handles would fail the test.
  await new Promise(setImmediate);
  assert.equal(service.probes, 0);
});

test("an input may abort the list", async (t) => {
  const { service, client } = await start(t);
  const cancel = new AbortController();
  function* input() {
    yield url(0);
    cancel.abort();
    yield url(1);
  }
  await assert.rejects(client.fetch(input(), { signal: cancel.signal }).next(), aborted);
  await client.fetchAll(urls(1));
  assert.equal(service.calls.length, 1);
});

test("an input that violates the protocol of iterators ends the list", async (t) => {
  const { client } = await start(t);
  const broken = { [Symbol.asyncIterator]: () => ({ next: async () => undefined }) };
  await assert.rejects(client.fetchAll(broken as never), TypeError);
  const refusing = {
    [Symbol.iterator]: () => {
      throw new Error("no iterator");
    },
  };
  const results = client.fetch(refusing as never);
  await assert.rejects(results.next(), /no iterator/);
  assert.equal((await results.next()).done, true);
});

test("lists share a signal without a warning of a leak", async (t) => {
  const { client } = await start(t);
  const { signal } = new AbortController();
  const warnings: Error[] = [];
  const warn = (warning: Error) => warnings.push(warning);
  process.on("warning", warn);
  t.after(() => process.off("warning", warn));
  await Promise.all(Array.from({ length: 20 }, () => client.fetchAll(urls(1), { signal })));
  assert.equal(getEventListeners(signal, "abort").length, 0);
  await new Promise(setImmediate);
  assert.deepEqual(warnings, []);
});

test("calls of a fetch function leave no listeners", async (t) => {
  const { client } = await start(t);
  const fetch = client.asFetch();
  const { signal } = new AbortController();
  await Promise.all(urls(20).map(async (one) => (await fetch(one, { signal })).text()));
  await assert.rejects(fetch(url(0), { signal, redirect: "error" }));
  assert.equal(getEventListeners(signal, "abort").length, 0);
  const cancel = new AbortController();
  const aborted = fetch(new Request(url(0), { signal: cancel.signal }));
  cancel.abort();
  await assert.rejects(aborted, { name: "AbortError" });
});
