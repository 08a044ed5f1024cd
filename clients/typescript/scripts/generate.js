// Writes generated/ anew: the messages of proto/, with their types.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const tool = (name) => `node_modules/.bin/${name}`;
const run = (name, ...args) =>
  execFileSync(tool(name), args, { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
const folder = fileURLToPath(new URL("..", import.meta.url));

run(
  "pbjs",
  ...["--target", "static-module", "--wrap", "scripts/wrapper.js", "--es6"],
  ...["--dependency", "protobufjs/minimal.js", "--root", "fetchd", "--force-number"],
  ...["--no-create", "--no-verify", "--no-convert", "--no-delimited", "--no-typeurl", "--no-service"],
  ...["--path", "../../proto", "--path", "../proto"],
  ...["--out", "generated/messages.js"],
  "fetchd/v1/fetchd.proto",
  "fetchd/internal/status.proto",
);
run("pbts", "--out", "generated/messages.d.ts", "generated/messages.js");

// No field is a Long, and the package "long" is no direct dependency.
const types = fileURLToPath(new URL("../generated/messages.d.ts", import.meta.url));
writeFileSync(types, readFileSync(types, "utf8").replace('import Long = require("long");\n', ""));
