import { wrong } from "./check.js";
import type { HeaderMessage } from "./messages.js";

/** Header lines: a `Headers` object, pairs, or an object whose values may be lists. */
export type HeadersInput =
  | Headers
  | Iterable<readonly [string, string]>
  | Readonly<Record<string, string | readonly string[]>>;

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** A value consists of the characters of Latin-1, each of which is one byte. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Converts header lines. `name` is for errors. */
export function toHeaders(name: string, headers: HeadersInput): HeaderMessage[] {
  if (typeof headers !== "object" || headers === null) {
    throw wrong(name, "a Headers object, pairs or an object", headers);
  }
  const lines = Symbol.iterator in headers ? [...headers] : Object.entries(headers);
  return lines.flatMap((line) => {
    if (!Array.isArray(line) || line.length !== 2) {
      throw wrong(name, "pairs of a name and a value", line);
    }
    const [key, values] = line;
    return (Array.isArray(values) ? values : [values]).map((value) => toHeader(name, key, value));
  });
}

function toHeader(place: string, name: unknown, value: unknown): HeaderMessage {
  if (typeof name !== "string" || !NAME.test(name)) {
    throw wrong(place, "names of header fields (tokens of ASCII characters)", name);
  }
  if (typeof value !== "string" || !VALUE.test(value)) {
    // Values may be secrets.
    const expected = "a string of Latin-1 characters without control characters";
    throw wrong(
      `${place}: ${name}`,
      expected,
      value,
      typeof value === "string" ? "another" : undefined,
    );
  }
  return { name, value: Buffer.from(value, "latin1") };
}
