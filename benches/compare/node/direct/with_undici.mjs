// Fetches with undici's request.

import { Agent, request, setGlobalDispatcher } from "undici";

import { fetchAll, serve, streamed } from "../jobs.mjs";

async function fetchOne(url) {
  const { statusCode: status, headers, body } = await request(url);
  return { status, headers, body: await body.bytes() };
}

await serve(async (job) => {
  const agent = new Agent({ connections: job.concurrency });
  // Cheaper than to name the agent in each request.
  setGlobalDispatcher(agent);
  const bytes =
    job.mode === "stream"
      ? await streamed((await request(job.url)).body)
      : await fetchAll(job, fetchOne);
  await agent.close();
  return bytes;
});
