import assert from "node:assert/strict";
import test from "node:test";

import { readParts, readStatus } from "../dist/part.js";
import { fetchd } from "../generated/messages.js";

const { FetchBatchResponse, FetchEnd, FetchError, Reason, ResponseHead } = fetchd.v1;

const encode = (...parts: fetchd.v1.IResultPart[]) =>
  Buffer.from(FetchBatchResponse.encode({ parts }).finish());

test("positions are those of the generated code", () => {
  const head = {
    status: 599,
    url: "http://o/é",
    headers: [{ name: "a", value: Buffer.from("b") }],
  };
  const error = { reason: Reason.REASON_TIMEOUT, message: "slow", retryable: true };
  const end = { attempts: 3, redirects: 2, bodyBytes: 1 << 20, truncated: true, error };
  const message = encode(
    { index: 300, head, body: Buffer.alloc(70_000, "x"), end },
    { index: 0, body: Buffer.from("y") },
    { index: 1, end: { attempts: 1, timing: { total: { seconds: 1 } } } },
  );
  const [all, body, onlyEnd] = readParts(message);
  assert.ok(all && body && onlyEnd);
  assert.equal(all.index, 300);
  assert.equal(readStatus(all), 599);
  assert.equal(ResponseHead.decode(all.head).url, "http://o/é");
  assert.deepEqual(Buffer.from(all.bytes), Buffer.alloc(70_000, "x"));
  assert.equal(FetchEnd.decode(all.end).redirects, 2);
  assert.equal(FetchError.decode(all.error).message, "slow");
  assert.deepEqual([all.attempts, all.totalBytes], [3, 1 << 20]);
  assert.deepEqual([body.hasHead, body.hasEnd, body.bodyLength], [false, false, 1]);
  assert.deepEqual([onlyEnd.hasEnd, onlyEnd.hasError, onlyEnd.attempts], [true, false, 1]);
});

test("fields of a later version are skipped", () => {
  const part = [0x08, 5, 0x78, 0x96, 0x01, 0x7a, 2, 1, 2, 0x22, 4, 0x10, 1, 0x98, 0x06];
  const unfinished = Buffer.from([0x0a, part.length, ...part]);
  assert.throws(() => readParts(unfinished), { reason: "CONTRACT_BROKEN" });
  const whole = Buffer.from([0x10, 1, 0x0a, part.length - 2, ...part.slice(0, 10), 2, 0x10, 1]);
  const [read] = readParts(whole);
  assert.deepEqual([read?.index, read?.attempts], [5, 1]);
});

test("a message that is cut anywhere breaks the contract or has fewer parts", () => {
  const message = encode({
    index: 1,
    head: { status: 200 },
    body: Buffer.from("abc"),
    end: { bodyBytes: 3 },
  });
  assert.equal(readParts(message).length, 1);
  for (let length = 1; length < message.length; length++) {
    const cut = message.subarray(0, length);
    assert.throws(() => readParts(cut), { reason: "CONTRACT_BROKEN" }, `${length} bytes`);
  }
});
