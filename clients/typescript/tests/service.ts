/** Starts the service, and origins for it, for the time of a test. */

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { TestContext } from "node:test";

const BINARY =
  process.env["FETCHD"] ?? fileURLToPath(new URL("../../../target/debug/fetchd", import.meta.url));

/** A running service. */
export interface Service {
  readonly address: string;
  readonly process: ChildProcess;
}

/** Starts a service that may reach this machine. */
export async function startService(test: TestContext, ...flags: string[]): Promise<Service> {
  const fixed = ["--listen", "127.0.0.1:0", "--admin-listen", "off", "--allow-net", "127.0.0.0/8"];
  const child = spawn(BINARY, ["serve", ...fixed, "--log-format", "json", ...flags], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  test.after(() => child.kill("SIGKILL"));
  for await (const line of createInterface({ input: child.stderr })) {
    const { message, address } = line.startsWith("{") ? JSON.parse(line) : { message: line };
    if (message !== "serving") {
      throw new Error(`the service has not started: ${message}`);
    }
    child.stderr.resume();
    return { address, process: child };
  }
  throw new Error(`${BINARY} cannot be run; FETCHD has the path of another binary`);
}

/** Starts an origin. Returns its URL, without a slash at the end. */
export async function startOrigin(test: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
