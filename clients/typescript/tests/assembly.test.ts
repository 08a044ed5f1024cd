import assert from "node:assert/strict";
import test from "node:test";

import { Assembly } from "../dist/assembly.js";
import { readParts } from "../dist/part.js";
import { fetchd } from "../generated/messages.js";

const { FetchBatchResponse, FetchError, ResponseHead } = fetchd.v1;

/** A part as it is read from a message. */
function part(message: fetchd.v1.IResultPart) {
  const [read] = readParts(Buffer.from(FetchBatchResponse.encode({ parts: [message] }).finish()));
  assert.ok(read);
  return read;
}

const head = { status: 200, url: "http://o/" };
const body = (text: string) => Buffer.from(text);

test("parts of several results become whole results", () => {
  const assembly = new Assembly(2);
  assert.equal(assembly.add(part({ index: 1, head, body: body("ab") })), undefined);
  const zero = assembly.add(part({ index: 0, head, body: body("z"), end: { bodyBytes: 1 } }));
  assert.equal(zero?.body.toString(), "z");
  assert.equal(assembly.unfinished, 1);
  assert.equal(assembly.add(part({ index: 1 })), undefined);
  assert.equal(assembly.add(part({ index: 1, body: body("cd") })), undefined);
  const error = { message: "cut" };
  const one = assembly.add(
    part({ index: 1, body: body("e"), end: { bodyBytes: 5, attempts: 2, error } }),
  );
  assert.ok(one);
  assert.equal(one.body.toString(), "abcde");
  assert.equal(ResponseHead.decode(one.head).url, "http://o/");
  assert.equal(FetchError.decode(one.error).message, "cut");
  assert.deepEqual([one.index, one.attempts, assembly.unfinished], [1, 2, 0]);
});

const broken: Record<string, fetchd.v1.IResultPart[]> = {
  "index out of range": [{ index: 1, head, end: {} }],
  "after the end": [{ head, end: {} }, { body: body("x") }],
  "second head": [{ head }, { head }],
  "body before its head": [{ body: body("x") }],
  "of another size": [{ head, body: body("x"), end: { bodyBytes: 2 } }],
  "another size than": [
    { head, body: body("x") },
    { body: body("y"), end: { bodyBytes: 1 } },
  ],
  "neither head nor error": [{ end: {} }],
};

for (const [problem, parts] of Object.entries(broken)) {
  test(`the contract is broken: ${problem}`, () => {
    const assembly = new Assembly(1);
    const last = parts.pop();
    parts.forEach((message) => assembly.add(part(message)));
    const { unfinished } = assembly;
    const expected = { reason: "CONTRACT_BROKEN", retryable: false, message: RegExp(problem) };
    assert.throws(() => assembly.add(part(last ?? {})), expected);
    assert.equal(assembly.unfinished, unfinished);
  });
}

test("a piece does not keep its message in memory", () => {
  const [small, large] = readParts(
    Buffer.from(
      FetchBatchResponse.encode({
        parts: [
          { index: 0, head, body: body("x") },
          { index: 1, head, body: Buffer.alloc(60_000) },
        ],
      }).finish(),
    ),
  );
  assert.ok(small && large);
  const assembly = new Assembly(2);
  assembly.add(small);
  small.source.fill(0);
  assert.equal(assembly.add(part({ index: 0, end: { bodyBytes: 1 } }))?.body.toString(), "x");
});
