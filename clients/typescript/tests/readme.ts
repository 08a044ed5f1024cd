/**
 * Installs the package in an empty folder as the README says, and runs its samples as printed, but
 * with services and an origin of this machine.
 */

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { startOrigin, startService } from "./service.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const README = readFileSync(join(ROOT, "clients/typescript/README.md"), "utf8");

/** Returns the code blocks of a language. */
function blocks(language: string): string[] {
  const found = README.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"));
  return [...found].map(([, code]) => code ?? "");
}

/** Copies the client as it is in a new clone, without dependencies and built files. */
function copyClone(target: string): void {
  const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "clients"];
  const files = execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).split("\0");
  for (const file of files.filter((name) => name !== "")) {
    mkdirSync(dirname(join(target, file)), { recursive: true });
    cpSync(join(ROOT, file), join(target, file));
  }
}

/** Compiles the samples, with the types of Node.js only and with those of browsers. */
function compile(folder: string, files: string[]): void {
  const tools = join(ROOT, "clients/typescript/node_modules");
  for (const lib of [["es2022"], ["es2022", "dom", "dom.iterable", "dom.asynciterable"]]) {
    const typeRoots = [join(tools, "@types")];
    const compilerOptions = {
      target: "es2022",
      module: "nodenext",
      strict: true,
      lib,
      typeRoots,
      types: ["node"],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
    execFileSync(process.execPath, [join(tools, "typescript/bin/tsc")], {
      cwd: folder,
      stdio: "inherit",
    });
  }
}

test("the README is right", async (t) => {
  const parent = mkdtempSync(join(tmpdir(), "fetchd-readme-"));
  t.after(() => rmSync(parent, { recursive: true }));
  copyClone(join(parent, "fetchd"));
  const folder = join(parent, "project");
  mkdirSync(folder);
  const commands = blocks("console")
    .join("")
    .split("\n")
    .filter((line) => line.startsWith("$ "));
  assert.ok(commands.some((command) => command.includes("npm install")));
  for (const command of commands) {
    execFileSync("sh", ["-c", command.slice(2)], {
      cwd: folder,
      stdio: ["ignore", "ignore", "inherit"],
    });
  }

  const secrets = join(folder, "secrets");
  execFileSync(join(ROOT, "deploy/secrets.sh"), [secrets, "reader"], { stdio: "ignore" });
  cpSync(join(secrets, "callers/reader"), secrets, { recursive: true });
  const bodies: Record<string, string> = { "/large": "x".repeat(20_000_000) };
  const origin = await startOrigin(t, (request, response) => {
    response.statusCode = request.url === "/missing" ? 404 : 200;
    request.method === "PUT" ? request.pipe(response) : response.end(bodies[request.url ?? ""]);
  });
  const secret = (name: string) => join(secrets, name);
  const tls = ["--tls-cert", secret("server/tls.crt"), "--tls-key", secret("server/tls.key")];
  const guarded = [
    ...tls,
    "--tls-client-ca",
    secret("ca.crt"),
    "--auth-token-file",
    secret("tokens"),
  ];
  const ports = new Map<string, string>();
  for (const [port, flags] of [
    ["50051", []],
    ["50052", guarded],
    ["50053", guarded],
  ] as const) {
    const { address } = await startService(t, ...flags);
    ports.set(port, address.slice(address.indexOf(":") + 1));
  }

  const samples = blocks("ts").map((code) =>
    code
      .replaceAll("https://example.com", origin)
      .replaceAll(/localhost:(\d+)/g, (_, port: string) => `localhost:${ports.get(port)}`),
  );
  const files = samples.map((code, index) => {
    writeFileSync(join(folder, `sample${index}.ts`), code);
    return `sample${index}.ts`;
  });
  compile(folder, files);
  const outputs: string[] = [];
  for (const file of files) {
    const options = { cwd: folder, timeout: 30_000 };
    const program = [file.replace(".ts", ".js")];
    outputs.push((await promisify(execFile)(process.execPath, program, options)).stdout);
  }
  const [first, items, large, replicas] = outputs;
  assert.equal(first, `${origin}/ 200\n${origin}/missing 404\n`);
  const lines = items?.trim().split("\n").sort() ?? [];
  assert.deepEqual([lines.length, lines[0]], [1_000, "0 { id: 0 }"]);
  assert.equal(large, "2\n");
  assert.equal(readFileSync(join(folder, "large")).length, 20_000_000);
  assert.equal(replicas, "true\n");
});
