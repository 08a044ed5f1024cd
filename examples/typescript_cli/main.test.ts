import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import test from "node:test";
import { fileURLToPath } from "node:url";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// By default, this is where `cargo build` leaves it.
const binary = process.env.FETCHD ?? here("../../target/debug/fetchd");

/** Starts the service. Returns its address. */
async function serve(t: test.TestContext): Promise<string> {
  const flags = ["--listen", "127.0.0.1:0", "--admin-listen", "off", "--log-format", "json"];
  const service = spawn(binary, ["serve", ...flags, "--allow-net", "127.0.0.0/8"]);
  t.after(() => service.kill("SIGKILL"));
  for await (const line of createInterface({ input: service.stderr })) {
    service.stderr.resume();
    return JSON.parse(line).address;
  }
  throw new Error(`build the service with \`cargo build\`, or set FETCHD to its path`);
}

/** Starts an origin. Returns its URL. */
async function origin(t: test.TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  t.after(() => server.close().closeAllConnections());
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const run = (...args: string[]) => spawn(process.execPath, [here("main.js"), ...args]);

/** Waits for the end of the program. Returns its lines, its errors and its exit code. */
async function finish(program: ChildProcess) {
  let [output, problems] = ["", ""];
  program.stdout?.on("data", (text) => (output += text));
  program.stderr?.on("data", (text) => (problems += text));
  const [code] = await once(program, "close");
  return { lines: output.trim().split("\n").sort(), problems, code };
}

test("URLs of the arguments", async (t) => {
  const url = await origin(t, (_, response) => response.end("there"));
  const program = run("--server", await serve(t), `${url}/a`, "http://[::1]/", `${url}/b`);
  const { lines, problems, code } = await finish(program);
  assert.match(lines[0], RegExp(`^${url}/a 200, 5 bytes in \\d+ ms$`));
  assert.match(lines[1], RegExp(`^${url}/b 200, 5 bytes in \\d+ ms$`));
  assert.match(lines[2], /^http:\/\/\[::1\]\/ BLOCKED: /);
  assert.deepEqual([lines.length, problems, code], [3, "1 of the requests failed\n", 1]);
});

test("a result is printed while standard input is still open", async (t) => {
  const url = await origin(t, (_, response) => response.end("there"));
  const program = run("--server", await serve(t));
  for (const path of ["/0", "/1", "/2"]) {
    program.stdin.write(`${url}${path}\n\n`);
    const [line] = await once(program.stdout, "data");
    assert.match(String(line), RegExp(`^${url}${path} 200, `));
  }
  program.stdin.end();
  assert.deepEqual(await once(program, "close"), [0, null]);
});

test("Ctrl-C cancels the requests", async (t) => {
  let cancelled: Promise<unknown> | undefined;
  let arrived = () => {};
  const isThere = new Promise<void>((resolve) => (arrived = resolve));
  const url = await origin(t, (_, response) => {
    cancelled = once(response, "close");
    arrived();
  });
  const program = run("--server", await serve(t), url);
  await isThere;
  program.kill("SIGINT");
  const { problems, code } = await finish(program);
  assert.deepEqual([problems, code], ["interrupted\n", 2]);
  await cancelled;
});

test("a wrong option is named", async () => {
  const { problems, code } = await finish(run("--concurrency", "many", "http://o/"));
  assert.match(problems, /^concurrency: expected an integer from 1/);
  assert.equal(code, 2);
});
