import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { connect, sent, start, texts, url, urls } from "./client.js";
import { complete, FakeService, succeed, type Behaviour } from "./fake.js";

test("a list that fits goes out as one call, with the concurrency of the caller", async (t) => {
  const { service, client } = await start(t);
  const results = await client.fetchAll(urls(10_000));
  assert.deepEqual(await texts(results), urls(10_000));
  await client.fetchAll(urls(3), { concurrency: 200, timeout: 5_000 });
  const [first, second] = service.calls.map(({ batch }) => batch);
  assert.deepEqual([first?.requests.length, first?.concurrency, first?.timeout], [10_000, 0, null]);
  assert.deepEqual([second?.requests.length, second?.concurrency], [3, 200]);
  const { seconds, nanos } = second?.timeout ?? {};
  assert.ok(seconds === 4 && Number(nanos) > 5e8, `${seconds} s`);
});

test("longer lists go out in calls of 1,000, whose slots add up to the concurrency", async (t) => {
  let inFlight = 0;
  let most = 0;
  const { service, client } = await start(t, async (call) => {
    const { requests, concurrency } = call.batch;
    assert.ok(requests.length <= 1_000);
    // Less than half of the slots is not worth a call.
    assert.ok(concurrency >= 50, `${concurrency} slots`);
    for (let open = requests.length, index = 0; index < requests.length;) {
      const before = Math.min(concurrency, open);
      inFlight += index === 0 ? before : 0;
      most = Math.max(most, inFlight);
      const count = Math.min(10, open);
      open -= count;
      inFlight -= before - Math.min(concurrency, open);
      call.send(
        ...Array.from({ length: count }, () => complete(index, requests[index++]?.url ?? "")),
      );
      await sleep(0);
    }
    call.end();
  });
  const results = await client.fetchAll(urls(12_345).values(), { concurrency: 100 });
  assert.deepEqual(await texts(results), urls(12_345));
  assert.ok(service.calls.length < 30, `${service.calls.length} calls`);
  assert.ok(most <= 100, `${most} in flight`);
});

test("an endless input is read as it is needed, and closed in the end", async (t) => {
  const { client } = await start(t);
  let [read, closed] = [0, false];
  async function* endless() {
    try {
      for (;;) {
        yield url(read++);
      }
    } finally {
      closed = true;
    }
  }
  const seen: number[] = [];
  for await (const result of client.fetch(endless())) {
    seen.push(result.index);
    if (seen.length === 5_000) {
      break;
    }
  }
  assert.ok(read <= 5_000 + 3_000, `${read} read`);
  await sleep(0);
  assert.ok(closed);
});

test("nothing is read if the caller reads no results", async (t) => {
  let sentMessages = 0;
  const { client } = await start(t, async (call) => {
    const body = Buffer.alloc(64 << 10, "x");
    for (let index = 0; index < call.batch.requests.length && !call.isCancelled; index++) {
      sentMessages += 1;
      if (!call.send(complete(index, body))) {
        await Promise.race([call.drained(), call.cancelled()]);
      }
    }
  });
  let read = 0;
  function* counted() {
    for (; ; read++) {
      yield url(read);
    }
  }
  const results = client.fetch(counted());
  assert.ok((await results.next()).value?.ok);
  await sleep(300);
  const [messages, requests] = [sentMessages, read];
  await sleep(300);
  assert.deepEqual([sentMessages, read], [messages, requests]);
  assert.ok(
    messages < 150 && requests <= 1_000,
    `${messages} messages of 64 KiB, ${requests} requests`,
  );
  for (let count = 1; count < 500; count++) {
    assert.ok((await results.next()).value?.ok);
  }
  assert.ok(sentMessages >= 500);
  await results.return?.();
});

test("requests that arrive slowly are sent at once", async (t) => {
  const { service, client } = await start(t);
  async function* slow() {
    yield* urls(3);
    await once(first, "result");
    yield url(3);
  }
  const first = new EventTarget();
  const seen: number[] = [];
  for await (const { index } of client.fetch(slow())) {
    seen.push(index);
    if (seen.length === 3) {
      first.dispatchEvent(new Event("result"));
    }
  }
  assert.deepEqual(seen, [0, 1, 2, 3]);
  assert.deepEqual(sent(service), [urls(3), [url(3)]]);
});

test("an empty list needs no service", async (t) => {
  const client = connect(t, "127.0.0.1:1");
  assert.deepEqual(await client.fetchAll([]), []);
  assert.deepEqual(await client.fetchAll((async function* () {})()), []);
  assert.equal((await client.fetch([]).next()).done, true);
});

test("a request of a stream that cannot be sent has an error in its place", async (t) => {
  const { client } = await start(t);
  const results = await client.fetchAll([url(0), { url: url(1), timeout: -1 }, url(2)].values());
  assert.deepEqual(await texts(results), [url(0), "INVALID_REQUEST", url(2)]);
  assert.match(String(results[1]?.error?.message), /requests\[1\]\.timeout: expected/);
});

test("an input that throws ends the list", async (t) => {
  const { client } = await start(t, () => {});
  async function* broken() {
    yield url(0);
    throw new Error("no more");
  }
  await assert.rejects(client.fetchAll(broken()), /no more/);
});

test("several endpoints share a list: slow requests evenly, fast ones in larger calls", async (t) => {
  let delay = 100;
  const behave: Behaviour = async (call, number) => {
    await sleep(delay);
    succeed(call, number);
  };
  const services = [await FakeService.start(t, behave), await FakeService.start(t, behave)];
  const client = connect(
    t,
    services.map(({ address }) => address),
  );
  assert.ok((await client.fetchAll(urls(100))).every(({ ok }) => ok));
  const sizes = services.map((service) => sent(service).map(({ length }) => length));
  assert.deepEqual(sizes, [
    [25, 25],
    [25, 25],
  ]);
  const before = services.map(({ calls }) => calls.length);
  delay = 1;
  for (let count = 0; count < 4; count++) {
    await client.fetchAll([url(0)]);
  }
  const small = services.map(({ calls }, index) => calls.length - (before[index] ?? 0));
  assert.deepEqual(small, [2, 2], "small lists go to one endpoint after the other");
  assert.ok((await client.fetchAll(urls(20_000))).every(({ ok }) => ok));
  const counts = services.map(({ calls }) => calls.length);
  assert.ok(
    counts.every((count) => count < 150),
    `${counts} calls`,
  );
});

test("the client ends what the service does not end by the deadline", async (t) => {
  const { client } = await start(t, (call) => void call.send(complete(0, "a")));
  const begun = performance.now();
  const results = await client.fetchAll(urls(2), { timeout: 300 });
  const took = performance.now() - begun;
  assert.deepEqual(await texts(results), ["a", "BATCH_DEADLINE"]);
  assert.ok(took >= 1_300 && took < 1_800, `${took} ms`);
  assert.equal(results[1]?.error?.message, "the deadline of the batch passed first");
  const early = performance.now();
  const late = await connect(t, "127.0.0.1:1").fetchAll([url(0)], { timeout: 200 });
  assert.deepEqual(await texts(late), ["BATCH_DEADLINE"]);
  assert.ok(performance.now() - early < 1_000);
});
