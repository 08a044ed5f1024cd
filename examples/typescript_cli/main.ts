/**
 * Fetches URLs through a fetchd service, and prints a line for each result as it arrives. It takes
 * the URLs from its arguments, or one a line from standard input:
 *
 *     node main.js https://example.com/ https://nodejs.org/
 *     node main.js < urls.txt
 */

import { stdin } from "node:process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { Client, type Result } from "fetchd";

const usage = `Usage: node main.js [OPTION...] [URL...]

  --server ADDRESS     addresses of the service, separated by commas [default: localhost:50051]
  --concurrency COUNT  requests in flight at once [default: 50]
  --timeout SECONDS    time limit of each request [default: 30]`;

/** Fetches the URLs. Returns the number of those that failed. */
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: {
      server: { type: "string", default: "localhost:50051" },
      concurrency: { type: "string", default: "50" },
      timeout: { type: "string", default: "30" },
      help: { type: "boolean", short: "h", default: false },
    },
    allowPositionals: true,
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  // Ctrl-C cancels all requests, and the service stops fetching them.
  const interrupt = new AbortController();
  process.once("SIGINT", () => interrupt.abort(new Error("interrupted")));

  const client = new Client(values.server);
  const urls = positionals.length > 0 ? positionals : lines(stdin);
  const results = client.fetch(urls, {
    concurrency: Number(values.concurrency),
    defaults: { timeout: Number(values.timeout) * 1000 },
    signal: interrupt.signal,
  });
  let failed = 0;
  for await (const result of results) {
    failed += result.ok ? 0 : 1;
    console.log(`${result.request} ${describe(result)}`);
  }
  client.close();
  return failed;
}

/** Returns the lines that are not empty. Each is read when it is wanted. */
async function* lines(input: NodeJS.ReadableStream): AsyncGenerator<string> {
  for await (const line of createInterface({ input })) {
    if (line.trim() !== "") {
      yield line.trim();
    }
  }
}

function describe({ response, error, bodyBytes, timing }: Result): string {
  if (error) {
    return `${error.reason}: ${error.message}`;
  }
  return `${response.status}, ${bodyBytes} bytes in ${Math.round(timing.total ?? 0)} ms`;
}

try {
  const failed = await main();
  if (failed > 0) {
    console.error(`${failed} of the requests failed`);
    process.exitCode = 1;
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(2);
}
