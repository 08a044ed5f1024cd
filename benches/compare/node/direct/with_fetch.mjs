// Fetches with the fetch that Node.js has built in.

import { fetchAll, serve } from "../jobs.mjs";

async function fetchOne(url) {
  const response = await fetch(url);
  const body = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, body };
}

await serve((job) => fetchAll(job, fetchOne));
