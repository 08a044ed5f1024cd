// Builds the package when npm installs it from this folder. npm does not install the compiler
// then, nor, if it links the folder, the dependencies.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("..", import.meta.url));
const compiler = `${folder}/node_modules/typescript/bin/tsc`;

// Settings of the npm that runs this, such as --omit=dev or --global, are not for the one below.
const foreign = /^npm_config_(global|prefix|omit|only|production|dry_run|install_links|location)$/;
const environment = Object.entries(process.env).filter(([name]) => !foreign.test(name));

function run(command, ...args) {
  const env = Object.fromEntries(environment);
  execFileSync(command, args, { cwd: folder, env, stdio: ["ignore", "inherit", "inherit"] });
}

if (!existsSync(compiler)) {
  run("npm", "ci", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund");
}
run(process.execPath, compiler);
