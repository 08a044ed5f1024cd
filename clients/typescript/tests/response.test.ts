import assert from "node:assert/strict";
import test from "node:test";
import { inspect } from "node:util";

import { readParts } from "../dist/part.js";
import { bufferedResponse } from "../dist/response.js";
import { fetchd } from "../generated/messages.js";

interface Lines {
  status?: number;
  headers?: [string, string][];
  redirects?: number;
}

function response(
  body: string | Uint8Array,
  { status = 200, headers = [], redirects = 0 }: Lines = {},
) {
  const bytes = Buffer.from(body);
  const lines = headers.map(([name, value]) => ({ name, value: Buffer.from(value, "latin1") }));
  const head = { status, url: "http://o/final", headers: lines };
  const message = fetchd.v1.FetchBatchResponse.encode({
    parts: [{ head, body: bytes, end: { bodyBytes: bytes.length, redirects } }],
  });
  const [part] = readParts(Buffer.from(message.finish()));
  assert.ok(part);
  return bufferedResponse(part);
}

/** Ways to read a body, whose outcome has to be that of a plain Response. */
const readers: Record<string, (response: Response) => Promise<unknown>> = {
  text: (r) => r.text(),
  json: (r) => r.json(),
  arrayBuffer: async (r) => Buffer.from(await r.arrayBuffer()).toString("hex"),
  blob: async (r) => [
    await (await r.blob()).text(),
    (await r.clone().blob().catch(String)) !== null,
  ],
  formData: async (r) => [...(await r.formData())],
  stream: async (r) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of r.body ?? []) {
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("hex");
  },
  clone: async (r) => [await r.clone().text(), await r.text()],
  "clone of a stream": async (r) => [r.body === null, await r.clone().text(), await r.text()],
  "text twice": async (r) => [await r.text(), await r.text()],
  "text after the stream": async (r) => [await r.body?.cancel(), await r.text()],
  "clone after text": async (r) => [await r.text(), r.clone().status],
  "locked body": async (r) => [r.body?.getReader() !== undefined, r.bodyUsed, await r.text()],
  used: async (r) => [r.bodyUsed, await r.text(), r.bodyUsed],
  "stream after text": async (r) => [await r.text(), r.body?.locked, r.bodyUsed],
};

const form = { "content-type": "application/x-www-form-urlencoded" };
const bodies: [string | Uint8Array, Record<string, string>][] = [
  ['{"a": "é"}', { "content-type": "application/json" }],
  ["", {}],
  ["\ufeffbom", { "content-type": "text/plain" }],
  [Uint8Array.of(0xff, 0x61, 0xc3), {}],
  ["a=1&b=2", form],
];

for (const [name, read] of Object.entries(readers)) {
  test(`${name}: same as a plain Response`, async () => {
    for (const [body, headers] of bodies) {
      const outcome = (one: Response) =>
        read(one).then(
          (value) => ({ value }),
          (error: Error) => ({ error: error.name }),
        );
      const plain = new Response(body, { headers });
      const ours = response(body, { headers: Object.entries(headers) });
      assert.deepEqual(await outcome(ours), await outcome(plain), JSON.stringify(body));
    }
  });
}

test("it is a Response", () => {
  const one = response("", { redirects: 1 });
  assert.ok(one instanceof Response);
  assert.equal(Object.prototype.toString.call(one), "[object Response]");
  const { url, redirected, statusText, type } = one;
  assert.deepEqual([url, redirected, statusText, type], ["http://o/final", true, "", "default"]);
  assert.equal(one.clone().url, "http://o/final");
});

test("each member of a Response is there", async () => {
  for (const name of Object.getOwnPropertyNames(Response.prototype)) {
    const one = response("{}", { headers: [["content-type", "application/x-www-form-urlencoded"]] });
    const member = one[name as keyof Response];
    assert.notEqual(member, undefined, name);
    if (typeof member === "function" && name !== "constructor") {
      await (member as () => unknown).call(one);
    }
  }
  assert.match(inspect(response("abc")), /^Response \{\n {2}status: 200/);
});

test("statuses that the constructor refuses", async () => {
  for (const status of [100, 101, 103, 204, 205, 304, 600, 999]) {
    const one = response("", { status });
    assert.deepEqual([one.status, one.ok], [status, status === 204 || status === 205]);
    assert.equal(one.body === null, ![100, 600, 999].includes(status), `${status}`);
    assert.deepEqual([one.clone().status, await one.text()], [status, ""]);
  }
  assert.deepEqual(
    [299, 300].map((status) => response("", { status }).ok),
    [true, false],
  );
});

test("headers are Latin-1, and each Set-Cookie is kept", () => {
  const headers: [string, string][] = [
    ["set-cookie", "a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT"],
    ["set-cookie", "b=2"],
    ["vary", "a"],
    ["vary", "b"],
    ["x-name", "caf\u00e9"],
  ];
  const one = response("", { headers });
  assert.deepEqual(one.headers.getSetCookie(), [headers[0]?.[1], "b=2"]);
  assert.deepEqual([one.headers.get("vary"), one.headers.get("X-Name")], ["a, b", "caf\u00e9"]);
  assert.equal(one.headers, one.headers);
});

test("bytes are there without a stream", async () => {
  const one = response("abc") as Response & { bytes(): Promise<Uint8Array> };
  const bytes = await one.bytes();
  assert.deepEqual([bytes.constructor, bytes.length, one.bodyUsed], [Uint8Array, 3, true]);
  await assert.rejects(one.bytes(), TypeError);
});
