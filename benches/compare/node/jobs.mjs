// Reads jobs from standard input and writes results to standard output, as lines of JSON.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";

// Runs each job from standard input with `work`, which returns the total size of the
// bodies, and prints its result.
export async function serve(work) {
  console.log("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    const started = performance.now();
    const bytes = await work(JSON.parse(line));
    const wall_s = (performance.now() - started) / 1e3;
    console.log(JSON.stringify({ wall_s, bytes }));
  }
}

// Calls `fetchOne`, which returns status, headers and body, for each fetch of `job`, with
// the concurrency of the job. Returns the total size of the bodies.
export async function fetchAll(job, fetchOne) {
  const kept = [];
  let remaining = job.count;
  let bytes = 0;
  const work = async () => {
    while (remaining-- > 0) {
      const result = await fetchOne(job.url);
      assert.equal(result.status, 200);
      bytes += result.body.length;
      if (job.mode === "collect") kept.push(result);
    }
  };
  await Promise.all(Array.from({ length: job.concurrency }, work));
  return bytes;
}

// Reads a body as a stream, and returns its size.
export async function streamed(body) {
  let size = 0;
  for await (const chunk of body) size += chunk.length;
  return size;
}
