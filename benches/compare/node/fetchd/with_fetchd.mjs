// Fetches through the service with the TypeScript client.

import assert from "node:assert/strict";

import { Client } from "fetchd";

import { serve, streamed } from "../jobs.mjs";

// Reads each result of a list when it arrives, and returns the total size of the bodies.
async function arrive(client, { url, count, concurrency }) {
  const urls = Array.from({ length: count }, () => url);
  let bytes = 0;
  for await (const { response, error } of client.fetch(urls, { concurrency })) {
    check(response, error);
    bytes += (await response.bytes()).length;
  }
  return bytes;
}

// Fetches a list into memory, and returns the total size of the bodies.
async function collect(client, { url, count, concurrency, max_body_bytes }) {
  const urls = Array.from({ length: count }, () => url);
  const defaults = max_body_bytes ? { maxBodyBytes: max_body_bytes } : {};
  let bytes = 0;
  for (const { response, error } of await client.fetchAll(urls, { concurrency, defaults })) {
    check(response, error);
    bytes += (await response.bytes()).length;
  }
  return bytes;
}

function check(response, error) {
  assert.equal(error, undefined);
  assert.equal(response.status, 200);
}

// Reads one body as a stream, and returns its size.
async function stream(client, { url, max_body_bytes }) {
  const response = await client.stream({ url, maxBodyBytes: max_body_bytes });
  assert.equal(response.status, 200);
  return streamed(response.body);
}

const modes = { arrive, collect, stream };

await serve(async (job) => {
  const client = new Client(job.server);
  let bytes = 0;
  for (let repeat = 0; repeat < job.repeat; repeat++) {
    bytes += await modes[job.mode](client, job);
  }
  client.close();
  return bytes;
});
