// Writes the messages of the contract, and their types, to generated/ or to another folder.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("..", import.meta.url));
const folder = resolve(process.argv[2] ?? join(here, "generated"));
const code = join(folder, "messages.js");
const types = join(folder, "messages.d.ts");

function run(tool, ...args) {
  const stdio = ["ignore", "inherit", "inherit"];
  execFileSync(process.execPath, [`node_modules/protobufjs-cli/bin/${tool}`, ...args], {
    cwd: here,
    stdio,
  });
}

mkdirSync(folder, { recursive: true });
run(
  "pbjs",
  ...["--target", "static-module", "--wrap", "scripts/wrapper.js", "--es6"],
  ...["--dependency", "protobufjs/minimal.js", "--root", "fetchd", "--force-number"],
  ...[
    "--no-create",
    "--no-verify",
    "--no-convert",
    "--no-delimited",
    "--no-typeurl",
    "--no-service",
  ],
  ...["--path", "../../proto", "--path", "../proto"],
  ...["--out", code, "fetchd/v1/fetchd.proto", "fetchd/internal/status.proto"],
);
run("pbts", "--out", types, code);

// No field is a Long, and the package "long" is no direct dependency.
writeFileSync(types, readFileSync(types, "utf8").replace('import Long = require("long");\n', ""));
