import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { status as Code } from "@grpc/grpc-js";

import { fetchd } from "../generated/messages.js";
import { connect, post, sent, start, texts, url, urls } from "./client.js";
import { complete, details, failed, FakeService, succeed } from "./fake.js";

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
  assert.match(
    String(message),
    /gone; the request may have reached its origin and was not sent again$/,
  );
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

test("a POST prefers an endpoint without a recent failure", async (t) => {
  const failing = await FakeService.start(t, (call) => call.fail(Code.UNAVAILABLE));
  const other = await FakeService.start(t);
  const client = connect(t, [failing.address, other.address]);
  while (failing.calls.length === 0) {
    assert.deepEqual(await texts(await client.fetchAll([url(0)])), [url(0)]);
  }
  await sleep(400);
  const probes = () => failing.probes;
  for (let count = 0, before = probes(); count < 10 || probes() === before; count++) {
    assert.deepEqual(await texts(await client.fetchAll([post(count)])), [url(count)]);
  }
  assert.equal(failing.calls.length, 1);
});

test("a token that is not accepted is final at once", async (t) => {
  const { service, client } = await start(t);
  service.onProbe = (call) => call.fail(Code.UNAUTHENTICATED, "who?");
  const [result] = await client.fetchAll([url(0)]);
  assert.deepEqual(
    [result?.error?.reason, result?.error?.code],
    ["CALL_FAILED", "UNAUTHENTICATED"],
  );
});

test("all open requests end together if no endpoint answers", async (t) => {
  const client = connect(t, ["127.0.0.1:1", "127.0.0.1:2"], { giveUpAfter: 400 });
  const begun = performance.now();
  const results = await client.fetchAll([...urls(100), post(100)]);
  const took = performance.now() - begun;
  assert.ok(took >= 400 && took < 1_000, `${took} ms`);
  assert.ok(results.every(({ error }) => error?.reason === "SERVICE_LOST" && error.retryable));
  const expected =
    /^no replica accepted a request for 0\.4s \(of 127\.0\.0\.1:1, 127\.0\.0\.1:2\); last error: 127\.0\.0\.1:[12]: the call failed \(UNAVAILABLE\): connect ECONNREFUSED 127\.0\.0\.1:[12]$/;
  assert.match(String(results[0]?.error?.message), expected);
});

test("a list that starts in an outage does not wait for the next probe", async (t) => {
  const client = connect(t, "127.0.0.1:1", { giveUpAfter: 300 });
  for (const list of ["first", "second"]) {
    const begun = performance.now();
    assert.deepEqual(await texts(await client.fetchAll([url(0)])), ["SERVICE_LOST"]);
    const took = performance.now() - begun;
    assert.ok(took >= 300 && took < 450, `${list}: ${took} ms`);
  }
});

test("an outage counts from when a request waits", async (t) => {
  const client = connect(t, "127.0.0.1:1", { giveUpAfter: 300 });
  const begun = performance.now();
  async function* late() {
    await client.fetchAll([url(0)]);
    await sleep(200);
    yield url(1);
  }
  assert.deepEqual(await texts(await client.fetchAll(late())), ["SERVICE_LOST"]);
  const took = performance.now() - begun;
  assert.ok(took >= 800 && took < 1_000, `${took} ms`);
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
  assert.match(
    String(errors[0]),
    /the service sent nothing for 0\.3s while requests were open; the request may/,
  );
  assert.deepEqual(sent(service)[1], [url(1_500)]);
});

test("a large message may take longer to arrive", async (t) => {
  const { client } = await start(
    t,
    async (call, number) => {
      await sleep(600);
      succeed(call, number);
    },
    { silenceTimeout: 300 },
  );
  const request = { ...post(0), body: new Uint8Array(256 << 10) };
  assert.deepEqual(await texts(await client.fetchAll([request])), [url(0)]);
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
