import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

import { Client, type ClientOptions, type ListOptions, type RequestInput } from "fetchd";

import { parseAddresses } from "../dist/address.js";
import { toDuration, toMilliseconds } from "../dist/duration.js";
import { toMessage, toOptions } from "../dist/request.js";
import { tokenFromFile } from "../dist/token.js";
import { VERSION } from "../dist/version.js";

test("addresses have a port, and TLS if they begin with https", () => {
  const cases: [string | string[], string[]][] = [
    ["localhost", ["localhost:50051"]],
    ["a:1, http://b/ ,https://c", ["a:1", "b:50051", "c:443"]],
    [
      ["[::1]:7", "https://[::1]:8"],
      ["[::1]:7", "[::1]:8"],
    ],
    ["a:1,a:1", ["a:1"]],
  ];
  for (const [endpoints, names] of cases) {
    assert.deepEqual(
      parseAddresses(endpoints).map(({ name }) => name),
      names,
    );
  }
  assert.deepEqual(
    parseAddresses("http://a,https://b").map(({ hasTls }) => hasTls),
    [false, true],
  );
});

test("other addresses are refused, without their secrets", () => {
  for (const wrong of [
    "",
    "a:0",
    "a:65536",
    "a:",
    "grpc://a",
    "a/b",
    "a b",
    "http://u:secret@a:1",
  ]) {
    const check = ({ message }: Error) =>
      message.startsWith("endpoints: expected host:port, http") && !message.includes("secret");
    assert.throws(() => parseAddresses(wrong), check, wrong);
  }
  assert.throws(() => parseAddresses([]), /endpoints: expected/);
  assert.throws(() => new Client(7 as never), /endpoints: expected .*, got 7/);
});

test("durations keep their fractions", () => {
  assert.deepEqual(toDuration(1_500.25), { seconds: 1, nanos: 500_250_000 });
  assert.equal(toMilliseconds({ seconds: 2, nanos: 1_000_000 }), 2_001);
  assert.deepEqual(toDuration(Number.MAX_VALUE), { seconds: 315_576_000_000, nanos: 0 });
});

test("requests are strings, URLs, Requests and objects", async () => {
  assert.deepEqual(toMessage("r", "http://a/"), { url: "http://a/" });
  assert.deepEqual(toMessage("r", new URL("http://a/b")), { url: "http://a/b" });
  const init = { method: "PUT", headers: { "x-a": "é" }, body: "ü", redirect: "manual" } as const;
  const { url, method, headers, body, options } = await toMessage(
    "r",
    new Request("http://a/", init),
  );
  assert.deepEqual([url, method, options], ["http://a/", "PUT", { maxRedirects: 0 }]);
  assert.deepEqual(Buffer.from(body ?? []), Buffer.from("ü"));
  const lines = headers?.map(({ name, value }) => [
    name,
    Buffer.from(value ?? []).toString("latin1"),
  ]);
  assert.deepEqual(lines, [
    ["content-type", "text/plain;charset=UTF-8"],
    ["x-a", "é"],
  ]);
});

test("an object has headers, a body and options", () => {
  const bytes = (value: string) => Buffer.from(value);
  const message = toMessage("r", {
    url: "http://a/",
    method: "POST",
    headers: { a: "1", b: ["2", "3"] },
    body: new Uint16Array([0x6261]),
    timeout: 1_500,
    truncate: true,
    maxAttempts: 1,
  });
  assert.deepEqual(message, {
    url: "http://a/",
    method: "POST",
    headers: ["a1", "b2", "b3"].map(([name, value]) => ({ name, value: bytes(value ?? "") })),
    body: new Uint8Array(bytes("ab")),
    options: { timeout: { seconds: 1, nanos: 500_000_000 }, bodyOverflow: 2, maxAttempts: 1 },
  });
  assert.equal(toOptions("", {}), null);
});

const wrongRequests: [unknown, RegExp][] = [
  [7, /^requests\[0\]: expected a string, a URL, a Request or an object with a url, got 7$/],
  [null, /^requests\[0\]: expected a string, .*, got null$/],
  [{ method: "GET" }, /^requests\[0\]\.url: expected a string .*, got undefined$/],
  ["http://a/\ud800", /^requests\[0\]: expected a string without lone surrogates/],
  [{ url: "http://a/", method: 1 }, /^requests\[0\]\.method: expected a string/],
  [{ url: "http://a/", body: 1 }, /^requests\[0\]\.body: expected a string, an ArrayBuffer/],
  [
    { url: "http://a/", timeout: -1 },
    /^requests\[0\]\.timeout: expected a number of milliseconds greater than 0, got -1$/,
  ],
  [{ url: "http://a/", timeout: "1s" }, /^requests\[0\]\.timeout: .*, got "1s"$/],
  [{ url: "http://a/", timeout: Infinity }, /^requests\[0\]\.timeout: .*, got Infinity$/],
  [
    { url: "http://a/", maxAttempts: 0 },
    /^requests\[0\]\.maxAttempts: expected an integer from 1 to 4294967295, got 0$/,
  ],
  [{ url: "http://a/", maxRedirects: 1.5 }, /^requests\[0\]\.maxRedirects: expected an integer/],
  [{ url: "http://a/", truncate: 1 }, /^requests\[0\]\.truncate: expected true or false, got 1$/],
  [
    { url: "http://a/", retries: 1 },
    /^requests\[0\]\.retries: unknown option, expected one of url, method/,
  ],
  [
    { url: "http://a/", headers: { ä: "1" } },
    /^requests\[0\]\.headers: expected names of header fields .*, got "ä"$/,
  ],
  [
    { url: "http://a/", headers: { a: "secret\n" } },
    /^requests\[0\]\.headers: a: expected a string of Latin-1 .*, got another$/,
  ],
  [{ url: "http://a/", headers: { a: "€" } }, /^requests\[0\]\.headers: a: expected/],
  [
    { url: "http://a/", headers: 7 },
    /^requests\[0\]\.headers: expected a Headers object, pairs or an object, got 7$/,
  ],
];

test("a request that cannot be sent is refused by name, before anything is sent", async () => {
  const client = new Client("127.0.0.1:1");
  for (const [request, message] of wrongRequests) {
    const expected = { name: "TypeError", message };
    await assert.rejects(client.fetchAll([request as RequestInput]), expected);
    assert.throws(() => client.fetch([request as RequestInput]), expected);
    await assert.rejects(client.stream(request as RequestInput), expected);
  }
});

test("wrong options are refused by name", async () => {
  const lists: [unknown, RegExp][] = [
    [{ concurrency: 0 }, /^concurrency: expected an integer from 1/],
    [{ timeout: 0 }, /^timeout: expected a number of milliseconds greater than 0, got 0$/],
    [{ signal: 1 }, /^signal: expected an AbortSignal, got 1$/],
    [{ metadata: { ä: "1" } }, /^metadata\.ä: expected names of ASCII letters/],
    [
      { metadata: { "a-bin": "1" } },
      /^metadata\.a-bin: expected .* bytes if the name ends in -bin/,
    ],
    [{ defaults: { timeout: -1 } }, /^defaults\.timeout: expected/],
    [{ retries: 1 }, /^retries: unknown option, expected one of concurrency, timeout/],
    [7, /^options: expected an object, got 7$/],
  ];
  for (const [options, message] of lists) {
    const promise = new Client("127.0.0.1:1").fetchAll([], options as ListOptions);
    await assert.rejects(promise, { name: "TypeError", message });
  }
  await assert.rejects(
    new Client("a").fetchAll("http://a/" as never),
    /^TypeError: requests: expected a list/,
  );
});

test("wrong settings are refused when the client is made, without secrets", () => {
  const settings: [unknown, RegExp][] = [
    [{ giveUpAfter: 0 }, /^giveUpAfter: expected/],
    [{ silenceTimeout: "1" }, /^silenceTimeout: expected/],
    [{ token: "secret with space" }, /^token: expected a token .*, got another$/],
    [{ token: "" }, /^token: expected a token .*, got an empty one$/],
    [{ token: "a", tokenFile: "b" }, /^tokenFile: expected no token besides it, got both$/],
    [
      { tokenFile: "/nowhere" },
      /^tokenFile: expected the path of a file with a token, got .*ENOENT/,
    ],
    [{ tls: { ca: "/nowhere" } }, /^tls\.ca: expected the path of a PEM file, got .*ENOENT/],
    [{ tls: { ca: Buffer.from("secret") } }, /^tls\.ca: expected a PEM .*, got other content$/],
    [
      { tls: { key: "-----BEGIN " } },
      /^tls\.cert: expected a PEM, since tls\.key is set, got none$/,
    ],
    [{ tls: { crt: "" } }, /^tls\.crt: unknown option, expected one of ca, cert, key$/],
    [{ retries: 1 }, /^retries: unknown option/],
  ];
  for (const [options, message] of settings) {
    const make = () => new Client("https://a", options as ClientOptions);
    assert.throws(make, { name: "TypeError", message });
  }
  assert.throws(
    () => new Client("a", { tls: {} }),
    /^TypeError: tls: expected an endpoint that begins/,
  );
});

test("a token file is read for each call, and may be gone for a moment", (t) => {
  const path = join(tmpdir(), `fetchd-token-${process.pid}`);
  t.after(() => rmSync(path, { force: true }));
  writeFileSync(path, "one\n");
  const authorization = tokenFromFile(path);
  assert.equal(authorization(), "Bearer one");
  writeFileSync(path, "");
  assert.equal(authorization(), "Bearer one");
  writeFileSync(path, "two");
  assert.equal(authorization(), "Bearer two");
});

test("the version is that of the package", () => {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  assert.equal(VERSION, version);
});
