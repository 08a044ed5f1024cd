import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { status as Code } from "@grpc/grpc-js";
import { Client, FetchError, type ClientOptions, type Result } from "fetchd";

import { fetchd } from "../generated/messages.js";
import { complete, details, failed, FakeService, succeed, type Behaviour } from "./fake.js";

const url = (index: number) => `http://o/${index}`;
const urls = (count: number) => Array.from({ length: count }, (_, index) => url(index));
const post = (index: number) => ({ url: url(index), method: "POST" });

/** A client that is closed when the test ends. */
function connect(t: test.TestContext, endpoints: string | string[], options?: ClientOptions): Client {
  const client = new Client(endpoints, options);
  t.after(() => client.close());
  return client;
}

async function start(t: test.TestContext, behaviour?: Behaviour, options?: ClientOptions) {
  const service = await FakeService.start(t, behaviour);
  return { service, client: connect(t, service.address, options) };
}

const sent = ({ calls }: FakeService) => calls.map(({ batch }) => batch.requests.map((one) => one.url));

const texts = (results: Result[]) =>
  Promise.all(results.map(async ({ response, error }) => error?.reason ?? response?.text()));

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
    for (let open = requests.length, index = 0; index < requests.length; ) {
      const before = Math.min(concurrency, open);
      inFlight += index === 0 ? before : 0;
      most = Math.max(most, inFlight);
      const count = Math.min(10, open);
      open -= count;
      inFlight -= before - Math.min(concurrency, open);
      call.send(...Array.from({ length: count }, () => complete(index, requests[index++]?.url ?? "")));
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
  assert.ok(messages < 150 && requests <= 1_000, `${messages} messages of 64 KiB, ${requests} requests`);
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

test("the first call is preceded by a probe, and a POST if nothing was answered lately", async (t) => {
  const { service, client } = await start(t);
  await client.fetchAll([url(0)]);
  assert.equal(service.probes, 1);
  await client.fetchAll([url(0), post(1)]);
  assert.equal(service.probes, 1);
  await sleep(1_050);
  await client.fetchAll([url(0)]);
  assert.equal(service.probes, 1);
  await sleep(1_050);
  await client.fetchAll([post(0)]);
  assert.equal(service.probes, 2);
});

test("nothing was dispatched if the probe fails", async (t) => {
  const { service, client } = await start(t);
  service.onProbe = (call) => {
    service.onProbe = (next) => next.end();
    call.fail(Code.UNAVAILABLE, "later");
  };
  assert.deepEqual(await texts(await client.fetchAll([post(0)])), [url(0)]);
  assert.deepEqual([service.probes, service.calls.length], [2, 1]);
});

test("lost requests are sent again if they may be sent twice", async (t) => {
  const { service, client } = await start(t, (call, number) => {
    if (number > 1) {
      return succeed(call, number);
    }
    call.send(complete(0, "kept"), { index: 1, head: { status: 200 }, body: Buffer.from("ha") });
    call.fail(Code.UNAVAILABLE, "gone");
  });
  const results = await client.fetchAll([post(0), url(1), post(2)]);
  assert.deepEqual(await texts(results), ["kept", url(1), "SERVICE_LOST"]);
  const { message, code, retryable } = results[2]?.error ?? {};
  assert.match(String(message), /gone; the request may have reached its origin and was not sent again$/);
  assert.deepEqual([code, retryable], ["UNAVAILABLE", true]);
  assert.deepEqual(sent(service), [[url(0), url(1), url(2)], [url(1)]]);
});

test("requests that were not dispatched are sent again", async (t) => {
  const full = details("RetryInfo", { retryDelay: { nanos: 300_000_000 } });
  const draining = details("ErrorInfo", { reason: "DRAINING", domain: "fetchd" });
  const { service, client } = await start(t, (call, number) => {
    if (number === 1) {
      call.fail(Code.RESOURCE_EXHAUSTED, "full", full);
    } else if (number === 2) {
      call.fail(Code.UNAVAILABLE, "draining", draining);
    } else {
      succeed(call, number);
    }
  });
  const begun = performance.now();
  assert.deepEqual(await texts(await client.fetchAll([post(0)])), [url(0)]);
  const took = performance.now() - begun;
  assert.ok(service.calls.length === 3 && took >= 500 && took < 2_500, `${took} ms`);
});

test("a service that shuts down leaves requests to the next", async (t) => {
  const { REASON_SHUTTING_DOWN: reason } = fetchd.v1.Reason;
  const { service, client } = await start(t, (call, number) => {
    if (number > 1) {
      return succeed(call, number);
    }
    call.send(failed(0, reason, 0), failed(1, reason, 1), failed(2, reason, 1));
    call.end();
  });
  const results = await client.fetchAll([post(0), url(1), post(2)]);
  assert.deepEqual(await texts(results), [url(0), url(1), "SHUTTING_DOWN"]);
  assert.deepEqual(sent(service)[1]?.sort(), [url(0), url(1)]);
});

test("a refused call goes to another endpoint, and is final without one", async (t) => {
  const refusing = await FakeService.start(t, (call) => call.fail(Code.INVALID_ARGUMENT, "no"));
  const other = await FakeService.start(t);
  const alone = await connect(t, refusing.address).fetchAll([url(0)]);
  const { reason, code, message, retryable } = alone[0]?.error ?? {};
  assert.deepEqual([reason, code, retryable], ["CALL_FAILED", "INVALID_ARGUMENT", false]);
  assert.equal(message, "the call failed (INVALID_ARGUMENT): no");
  const both = connect(t, [refusing.address, other.address]);
  for (const requests of [[url(0)], [post(1)], urls(30)]) {
    assert.ok((await both.fetchAll(requests)).every(({ ok }) => ok));
  }
});

test("several endpoints share a list: slow requests evenly, fast ones in larger calls", async (t) => {
  let delay = 100;
  const behave: Behaviour = async (call, number) => {
    await sleep(delay);
    succeed(call, number);
  };
  const services = [await FakeService.start(t, behave), await FakeService.start(t, behave)];
  const client = connect(t, services.map(({ address }) => address));
  assert.ok((await client.fetchAll(urls(100))).every(({ ok }) => ok));
  const sizes = services.map((service) => sent(service).map(({ length }) => length));
  assert.deepEqual(sizes, [[25, 25], [25, 25]]);
  delay = 1;
  assert.ok((await client.fetchAll(urls(20_000))).every(({ ok }) => ok));
  const counts = services.map(({ calls }) => calls.length);
  assert.ok(counts.every((count) => count < 150), `${counts} calls`);
});

test("a token that is not accepted is final at once", async (t) => {
  const { service, client } = await start(t);
  service.onProbe = (call) => call.fail(Code.UNAUTHENTICATED, "who?");
  const [result] = await client.fetchAll([url(0)]);
  assert.deepEqual([result?.error?.reason, result?.error?.code], ["CALL_FAILED", "UNAUTHENTICATED"]);
});

test("all open requests end together if no endpoint answers", async (t) => {
  const client = connect(t, ["127.0.0.1:1", "127.0.0.1:2"], { giveUpAfter: 400 });
  const begun = performance.now();
  const results = await client.fetchAll([...urls(100), post(100)]);
  const took = performance.now() - begun;
  assert.ok(took >= 400 && took < 1_000, `${took} ms`);
  assert.ok(results.every(({ error }) => error?.reason === "SERVICE_LOST" && error.retryable));
  const expected = /^no replica accepted a request for 0\.4s \(of 127\.0\.0\.1:1, 127\.0\.0\.1:2\); last error: 127\.0\.0\.1:[12]: the call failed \(UNAVAILABLE\): connect ECONNREFUSED 127\.0\.0\.1:[12]$/;
  assert.match(String(results[0]?.error?.message), expected);
});

test("requests that come after the client has given up fail until a service answers", async (t) => {
  const service = await FakeService.start(t);
  const client = connect(t, service.address, { giveUpAfter: 300 });
  let isUp = false;
  service.onProbe = (call) => (isUp ? call.end() : call.fail(Code.UNAVAILABLE));
  async function* slow() {
    yield* [url(0), url(1)];
    await sleep(600);
    yield url(2);
    isUp = true;
    await sleep(1_500);
    yield url(3);
  }
  const results = await client.fetchAll(slow());
  assert.deepEqual(await texts(results), ["SERVICE_LOST", "SERVICE_LOST", "SERVICE_LOST", url(3)]);
});

test("a silent call is lost, but not while the caller reads nothing", async (t) => {
  const { service, client } = await start(
    t,
    (call, number) => {
      if (number === 1) {
        call.send(...Array.from({ length: 1_500 }, (_, index) => complete(index, "a")));
      } else {
        succeed(call, number);
      }
    },
    { silenceTimeout: 300 },
  );
  const results = client.fetch([...urls(1_501), post(1_501)]);
  await results.next();
  await sleep(600);
  assert.equal(service.calls.length, 1);
  const errors: string[] = [];
  for await (const { error } of results) {
    errors.push(...(error ? [error.message] : []));
  }
  assert.equal(errors.length, 1);
  assert.match(String(errors[0]), /the service sent nothing for 0\.3s while requests were open; the request may/);
  assert.deepEqual(sent(service)[1], [url(1_500)]);
});

test("empty messages keep a call alive", async (t) => {
  const { client } = await start(
    t,
    async (call, number) => {
      for (let count = 0; count < 5; count++) {
        await sleep(150);
        call.send();
      }
      succeed(call, number);
    },
    { silenceTimeout: 300 },
  );
  assert.deepEqual(await texts(await client.fetchAll([post(0)])), [url(0)]);
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
  assert.deepEqual(lines, [["x-a: 1", "User-Agent: b"], ["X-A: 3", "User-Agent: b"]]);
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
    [{ index: 0, head }, { index: 0, head, end: {} }],
    [{ index: 0, head }, { index: 1, end: {} }],
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
