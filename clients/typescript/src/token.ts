import { readFileSync } from "node:fs";

import { wrong } from "./check.js";

/** A token, or a function that returns it for each call. */
export type TokenSource = string | (() => string | Promise<string>);

/** Returns the value of the `authorization` header of a call. */
export type Authorization = () => string | Promise<string>;

const TOKEN = /^[\x21-\x7e]+$/;
const EXPECTED = "a token of visible ASCII characters without spaces";

/** Uses a fixed token or a function. */
export function tokenFrom(source: TokenSource): Authorization {
  if (typeof source === "function") {
    return async () => bearer("token", await source());
  }
  const fixed = bearer("token", source);
  return () => fixed;
}

/**
 * Reads the token from a file, now and for each call. It is tiny, and there is no sure way to tell
 * that a file hasn't changed. While somebody replaces it, it may be missing or empty for a moment,
 * so the last valid token stays in use.
 */
export function tokenFromFile(path: string): Authorization {
  let last = read(path);
  return () => {
    try {
      last = read(path);
    } catch {
      // The last one it is.
    }
    return last;
  };
}

function read(path: string): string {
  let content;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    throw new TypeError(
      `tokenFile: expected the path of a file with a token, got ${String(error)}`,
    );
  }
  return bearer("tokenFile", content);
}

function bearer(name: string, value: unknown): string {
  const token = typeof value === "string" ? value.trim() : "";
  if (!TOKEN.test(token)) {
    // The value is a secret, and so may be a part of a wrong one.
    const got = typeof value === "string" ? (token === "" ? "an empty one" : "another") : undefined;
    throw wrong(name, EXPECTED, value, got);
  }
  return `Bearer ${token}`;
}
