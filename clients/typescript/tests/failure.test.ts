import assert from "node:assert/strict";
import test from "node:test";

import { Metadata, status as Code } from "@grpc/grpc-js";

import { Failure } from "../dist/failure.js";
import { details } from "./fake.js";

function failure(code: Code, text = "", encoded?: Uint8Array, isEmpty = true): Failure {
  const metadata = new Metadata();
  if (encoded) {
    metadata.set("grpc-status-details-bin", Buffer.from(encoded));
  }
  return Failure.ofStatus({ code, details: text, metadata }, isEmpty);
}

const draining = details("ErrorInfo", { reason: "DRAINING", domain: "fetchd" });
const other = details("ErrorInfo", { reason: "DRAINING", domain: "mesh" });
const full = details("RetryInfo", { retryDelay: { seconds: 1, nanos: 500_000_000 } });

test("the status says whether anything was dispatched", () => {
  const cases: [Code, Uint8Array | undefined, string][] = [
    [Code.UNAVAILABLE, draining, "not dispatched"],
    [Code.UNAVAILABLE, other, "lost"],
    [Code.UNAVAILABLE, undefined, "lost"],
    [Code.UNAVAILABLE, Buffer.from("no message"), "lost"],
    [Code.RESOURCE_EXHAUSTED, full, "not dispatched"],
    [Code.RESOURCE_EXHAUSTED, undefined, "lost"],
    [Code.INVALID_ARGUMENT, undefined, "refused"],
    [Code.OUT_OF_RANGE, undefined, "refused"],
    [Code.UNAUTHENTICATED, undefined, "refused"],
    [Code.PERMISSION_DENIED, undefined, "foreign"],
    [Code.UNIMPLEMENTED, undefined, "foreign"],
    [Code.CANCELLED, undefined, "lost"],
    [Code.DEADLINE_EXCEEDED, undefined, "lost"],
    [Code.INTERNAL, undefined, "lost"],
    [Code.UNKNOWN, undefined, "lost"],
  ];
  for (const [code, encoded, disposition] of cases) {
    assert.equal(failure(code, "", encoded).disposition, disposition, Code[code]);
    assert.equal(failure(code, "", encoded, false).disposition, "lost", `${Code[code]}, late`);
  }
});

test("a full endpoint says when to come back", () => {
  assert.equal(failure(Code.RESOURCE_EXHAUSTED, "", full).retryAfter, 1_500);
  assert.equal(failure(Code.RESOURCE_EXHAUSTED, "", full, false).retryAfter, undefined);
});

test("the error names the endpoint, the code and the cause", () => {
  const { error } = failure(Code.UNAVAILABLE, "gone").at("a:1");
  assert.deepEqual(
    [error.reason, error.code, error.retryable],
    ["SERVICE_LOST", "UNAVAILABLE", true],
  );
  assert.equal(error.message, "a:1: the call failed (UNAVAILABLE): gone");
  assert.match(
    failure(Code.UNAVAILABLE, "gone").finalError().message,
    /gone; the request may have reached/,
  );
  const refused = failure(Code.INVALID_ARGUMENT, "too many").at("a:1").finalError();
  assert.deepEqual([refused.reason, refused.code], ["CALL_FAILED", "INVALID_ARGUMENT"]);
  assert.deepEqual(
    [refused.message, refused.retryable],
    ["the call failed (INVALID_ARGUMENT): too many", false],
  );
});

test("the cause is not wrapped in those of grpc-js", () => {
  const text =
    "round_robin: No connection established. Last error: No connection established. " +
    "Last error: Error: connect ECONNREFUSED 127.0.0.1:1. Resolution note: ";
  const { message } = failure(Code.UNAVAILABLE, text).error;
  assert.equal(message, "the call failed (UNAVAILABLE): connect ECONNREFUSED 127.0.0.1:1");
  const none = "No connection established. Last error: null. Resolution note: ";
  const unknown = failure(Code.UNAVAILABLE, none).error.message;
  assert.equal(unknown, "the call failed (UNAVAILABLE): no connection");
});

test("nothing was dispatched if the probe fails", () => {
  assert.equal(failure(Code.UNAVAILABLE).beforeDispatch().disposition, "not dispatched");
  assert.equal(failure(Code.UNAUTHENTICATED).beforeDispatch().disposition, "refused");
});
