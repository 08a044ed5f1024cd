import assert from "node:assert/strict";
import test from "node:test";

import { Deadline } from "../dist/deadline.js";
import { FetchError } from "../dist/error.js";
import { Failure, type Disposition } from "../dist/failure.js";
import { Health } from "../dist/health.js";
import { Outage } from "../dist/outage.js";
import { Pending } from "../dist/pending.js";
import { fitsOneCall, Queue } from "../dist/queue.js";
import { mayResend } from "../dist/resend.js";

const pending = (method = "GET", position = 0, body = 0) =>
  new Pending(position, "", { url: "http://o/", method, body: new Uint8Array(body) });

const endpoints = (...names: string[]) => ({
  all: names.map((name) => ({ name })),
});

test("a POST is sent again only if it was not dispatched", () => {
  const may = (disposition: Disposition, method: string) =>
    mayResend(pending(method), disposition, "a", endpoints("a"));
  for (const method of ["", "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]) {
    assert.ok(may("lost", method), method);
  }
  for (const method of ["POST", "PATCH", "get", "PURGE"]) {
    assert.ok(!may("lost", method), method);
    assert.ok(may("not dispatched", method), method);
  }
  assert.ok(!may("final", "GET"));
});

test("a refused request goes to an endpoint that has not failed it", () => {
  for (const disposition of ["refused", "foreign"] as const) {
    const request = pending("POST");
    assert.ok(mayResend(request, disposition, "a", endpoints("a", "b")));
    assert.ok(request.avoids("a") && !request.avoids("b"));
    assert.ok(!mayResend(request, disposition, "b", endpoints("a", "b")));
  }
});

test("a request is lost six times, or twice for each endpoint", () => {
  const losses = (...names: string[]) => {
    const request = pending();
    let count = 1;
    while (mayResend(request, "lost", "a", endpoints(...names))) {
      count += 1;
    }
    assert.ok(mayResend(request, "not dispatched", "a", endpoints(...names)));
    return count;
  };
  assert.equal(losses("a"), 6);
  assert.equal(losses("a", "b", "c", "d"), 8);
});

test("a request is not sent again once the caller has a part of its body", () => {
  const request = pending();
  request.hasBegun = true;
  assert.ok(!mayResend(request, "not dispatched", "a", endpoints("a")));
});

test("ejections last longer with each failure", () => {
  const health = new Health();
  const waits: number[] = [];
  health.recordFailure("lost", 0);
  for (let now = 0; waits.length < 8;) {
    const due = health.probeDue ?? NaN;
    waits.push(due - now);
    assert.ok(!health.isAdmitted && !health.startProbe(due - 1) && health.startProbe(due));
    assert.ok(!health.startProbe(due), "one at a time");
    health.recordFailedProbe(due);
    now = due;
  }
  [200, 400, 800, 1600, 3200, 5000, 5000, 5000].forEach((backoff, index) => {
    const wait = waits[index] ?? NaN;
    assert.ok(wait >= backoff && wait <= backoff * 1.5, `${waits}`);
  });
  health.startProbe(Infinity);
  health.admit();
  health.recordSuccess();
  health.recordFailure("lost", 0);
  assert.ok((health.probeDue ?? NaN) <= 300);
});

test("a full endpoint is asked again after its delay, which is bounded", () => {
  const due = (retryAfter: number) => {
    const health = new Health();
    health.recordFailure("not dispatched", 0, retryAfter);
    return health.probeDue ?? NaN;
  };
  assert.ok(due(2_000) >= 2_000 && due(2_000) <= 3_000);
  assert.ok(due(1e9) <= 90_000);
  assert.ok(due(0) >= 100);
});

test("an endpoint that refuses a call or ends requests is not ejected", () => {
  const health = new Health();
  health.recordFailure("refused", 0);
  health.recordFailure("final", 0);
  assert.ok(health.isAdmitted && health.isProven);
});

test("an outage ends when a call is answered", () => {
  const gone = new Failure(FetchError.serviceLost("a: gone"), "lost");
  const outage = new Outage(30_000);
  outage.recordFailure(gone, 1_000);
  outage.recordFailure(gone, 9_000);
  assert.equal(outage.end, 31_000);
  const expected = "no replica accepted a request for 30s (of a, b); last error: a: gone";
  assert.equal(outage.error(["a", "b"]).message, expected);
  outage.recordProbeAnswer();
  assert.equal(outage.end, undefined);
});

test("the probe of a full endpoint ends no outage", () => {
  const full = new Failure(FetchError.serviceLost("full"), "not dispatched", 1_000);
  const outage = new Outage(30_000);
  outage.recordFailure(full, 0);
  outage.recordProbeAnswer();
  assert.equal(outage.end, 120_000);
  outage.reset();
  assert.equal(outage.end, undefined);
});

test("a call has at least a millisecond until the deadline", () => {
  const deadline = new Deadline(500, 1_000);
  assert.deepEqual([deadline.remaining(1_200), deadline.remaining(1_600)], [300, 1]);
  assert.deepEqual([deadline.hasPassed(1_499), deadline.hasPassed(1_500)], [false, true]);
  assert.equal(new Deadline(undefined, 0).remaining(0), undefined);
});

const anything = () => true;

function queueOf(...requests: Pending[]): Queue {
  const queue = new Queue();
  requests.forEach((request) => queue.push(request));
  return queue;
}

test("a call has at most 8 MiB, and a larger request goes alone", () => {
  const queue = queueOf(
    pending("GET", 0, 9 << 20),
    pending("GET", 1, 5 << 20),
    pending("GET", 2, 5 << 20),
  );
  const calls = [1, 2, 3].map(() => queue.take(10, 10, anything).map(({ position }) => position));
  assert.deepEqual(calls, [[0], [1], [2]]);
  assert.equal(queue.length, 0);
});

test("requests that are not idempotent do not wait at the service", () => {
  const methods = ["GET", "POST", "GET", "GET", "POST", "GET"];
  const queue = queueOf(...methods.map((method, position) => pending(method, position)));
  assert.deepEqual(
    queue.take(2, 100, anything).map(({ position }) => position),
    [0, 1, 2, 3],
  );
  assert.deepEqual(
    queue.take(2, 100, anything).map(({ position }) => position),
    [4, 5],
  );
});

test("requests that may not go stay in their order", () => {
  const queue = queueOf(...[0, 1, 2, 3, 4].map((position) => pending("GET", position)));
  const even = queue.take(10, 2, ({ position }) => position % 2 === 0);
  assert.deepEqual(
    even.map(({ position }) => position),
    [0, 2],
  );
  assert.deepEqual(
    queue.clear().map(({ position }) => position),
    [1, 3, 4],
  );
  assert.equal(queue.length, 0);
});

test("a list fits in one call up to 10,000 requests and 8 MiB", () => {
  assert.ok(fitsOneCall({ length: 10_000, size: 8 << 20 }));
  assert.ok(!fitsOneCall({ length: 10_001, size: 1 }));
  assert.ok(!fitsOneCall({ length: 1, size: (8 << 20) + 1 }));
});
