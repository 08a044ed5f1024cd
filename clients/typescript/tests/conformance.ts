/** Runs the jobs of the conformance suite with this client. See conformance/README.md. */

import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

import {
  Client,
  FetchError,
  type ClientOptions,
  type ListOptions,
  type RequestInput,
} from "fetchd";
import type { RequestDefaults, Result } from "fetchd";

interface RequestData extends OptionsData {
  url: string;
  method?: string;
  headers?: [string, string][];
  body_base64?: string;
}

interface OptionsData {
  timeout?: number;
  idle_timeout?: number;
  connect_timeout?: number;
  max_redirects?: number;
  max_body_bytes?: number;
  truncate?: boolean;
  max_attempts?: number;
}

interface Job {
  endpoints: string[];
  tls?: { ca?: string; cert?: string; key?: string };
  token?: string;
  token_file?: string;
  give_up_after?: number;
  silence_timeout?: number;
  mode: "collect" | "arrive" | "stream";
  concurrency?: number;
  timeout?: number;
  metadata?: Record<string, string>;
  options?: OptionsData;
  requests: RequestData[];
  stop_after?: number;
  cancel_after?: number;
}

const ms = (seconds: number | undefined) => (seconds === undefined ? undefined : seconds * 1000);

const now = () => Date.now() / 1000;

function clientOptions(job: Job): ClientOptions {
  const { tls, token, token_file: tokenFile } = job;
  const giveUpAfter = ms(job.give_up_after);
  return { tls, token, tokenFile, giveUpAfter, silenceTimeout: ms(job.silence_timeout) };
}

function listOptions({ concurrency, timeout, metadata, options }: Job): ListOptions {
  return { concurrency, timeout: ms(timeout), metadata, defaults: defaultsOf(options ?? {}) };
}

function defaultsOf(data: OptionsData): RequestDefaults {
  return {
    timeout: ms(data.timeout),
    idleTimeout: ms(data.idle_timeout),
    connectTimeout: ms(data.connect_timeout),
    maxRedirects: data.max_redirects,
    maxBodyBytes: data.max_body_bytes,
    truncate: data.truncate,
    maxAttempts: data.max_attempts,
  };
}

function requestOf(data: RequestData): RequestInput {
  if (Object.keys(data).length === 1) {
    return data.url;
  }
  const { url, method, headers, body_base64: body } = data;
  const bytes = body === undefined ? undefined : Buffer.from(body, "base64");
  return { url, method, headers, body: bytes, ...defaultsOf(data) };
}

function errorOf(error: FetchError | undefined): object | null {
  return error
    ? { name: error.reason, message: error.message, retryable: error.retryable, code: error.code }
    : null;
}

function headOf(response: Response | undefined): object {
  const headers = response ? [...response.headers] : [];
  return { status: response?.status ?? null, headers, url: response?.url ?? null };
}

// Without the text, since a Response decodes it as UTF-8 whatever its charset says.
async function resultOf(result: Result): Promise<object> {
  const { index, response, attempts, redirects, truncated, error } = result;
  const body = response ? Buffer.from(await response.arrayBuffer()) : Buffer.of();
  const sha256 = createHash("sha256").update(body).digest("hex");
  const version = result.httpVersion ?? null;
  const stats = { attempts, redirects, truncated, version };
  return { index, ...headOf(response), size: body.length, sha256, ...stats, error: errorOf(error) };
}

async function collect(client: Client, job: Job): Promise<object> {
  const cancel = new AbortController();
  let cancelledAt: number | null = null;
  if (job.cancel_after !== undefined) {
    setTimeout(() => {
      cancelledAt = now();
      cancel.abort();
    }, job.cancel_after * 1000);
  }
  const options = { ...listOptions(job), signal: cancel.signal };
  try {
    const results = await client.fetchAll(job.requests.map(requestOf), options);
    return await answerOf(results, cancelledAt);
  } catch (error) {
    if (cancelledAt === null) {
      throw error;
    }
    return answerOf([], cancelledAt);
  }
}

async function arrive(client: Client, job: Job): Promise<object> {
  const results: Result[] = [];
  let cancelledAt = null;
  for await (const result of client.fetch(job.requests.map(requestOf), listOptions(job))) {
    results.push(result);
    if (results.length === job.stop_after) {
      cancelledAt = now();
      break;
    }
  }
  return answerOf(results, cancelledAt);
}

async function answerOf(results: Result[], cancelledAt: number | null): Promise<object> {
  const compared = await Promise.all(results.map(resultOf));
  return { results: compared, order: results.map(({ index }) => index), cancelled_at: cancelledAt };
}

async function stream(client: Client, job: Job): Promise<object> {
  const { concurrency: _, timeout: __, ...options } = listOptions(job);
  const hash = createHash("sha256");
  const [chunks, cancelled] = [{ count: 0, size: 0, largest: 0 }, { at: null as number | null }];
  let response: Response | undefined;
  let error: FetchError | undefined;
  try {
    response = await client.stream(requestOf(job.requests[0] as RequestData), options);
    for await (const chunk of response.body ?? []) {
      hash.update(chunk);
      chunks.count += 1;
      chunks.size += chunk.length;
      chunks.largest = Math.max(chunks.largest, chunk.length);
      if (chunks.count === job.stop_after) {
        cancelled.at = now();
        break;
      }
    }
  } catch (caught) {
    if (!(caught instanceof FetchError)) {
      throw caught;
    }
    error = caught;
  }
  const body = { size: chunks.size, sha256: hash.digest("hex") };
  const result = { index: 0, ...headOf(response), ...body, error: errorOf(error) };
  const { count, largest } = chunks;
  return { results: [result], chunks: count, largest_chunk: largest, cancelled_at: cancelled.at };
}

const modes = { collect, arrive, stream };

async function run(job: Job): Promise<object> {
  try {
    const client = new Client(job.endpoints, clientOptions(job));
    try {
      return { failure: null, ...(await modes[job.mode](client, job)) };
    } finally {
      client.close();
    }
  } catch (error) {
    const { name, message } = error as Error;
    return { results: [], order: [], cancelled_at: null, failure: { name, message } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await run(JSON.parse(line))));
}
