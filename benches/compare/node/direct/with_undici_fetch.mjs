// Fetches with undici's fetch.

import { Agent, fetch, setGlobalDispatcher } from "undici";

import { fetchAll, serve } from "../jobs.mjs";

async function fetchOne(url) {
  const response = await fetch(url);
  return { status: response.status, headers: response.headers, body: await response.bytes() };
}

await serve(async (job) => {
  const agent = new Agent({ connections: job.concurrency });
  setGlobalDispatcher(agent);
  const bytes = await fetchAll(job, fetchOne);
  await agent.close();
  return bytes;
});
