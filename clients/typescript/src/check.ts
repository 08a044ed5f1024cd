/** Checks of values that the caller passes. Each error names the value and what is accepted. */

/** Creates the error for a wrong value. Pass `shown` if the value is a secret. */
export function wrong(
  name: string,
  expected: string,
  value: unknown,
  shown = show(value),
): TypeError {
  return new TypeError(`${name}: expected ${expected}, got ${shown}`);
}

/** Checks a duration in milliseconds. */
export function milliseconds(name: string, value: unknown): number {
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) {
    throw wrong(name, "a number of milliseconds greater than 0", value);
  }
  return value;
}

/** Checks a whole number of at least `min`. */
export function integer(name: string, value: unknown, min: number, max = 2 ** 32 - 1): number {
  if (!Number.isInteger(value) || Number(value) < min || Number(value) > max) {
    throw wrong(name, `an integer from ${min} to ${max}`, value);
  }
  return Number(value);
}

/** Checks a flag. */
export function boolean(name: string, value: unknown): boolean {
  if (typeof value !== "boolean") {
    throw wrong(name, "true or false", value);
  }
  return value;
}

/** Checks a text that can be encoded as UTF-8. */
export function text(name: string, value: unknown): string {
  if (typeof value !== "string" || !isWellFormed(value)) {
    throw wrong(name, "a string without lone surrogates", value);
  }
  return value;
}

/** Checks that an object has no other keys than these. */
export function keys(name: string, value: object, known: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) {
      const place = name ? `${name}.${key}` : key;
      throw new TypeError(`${place}: unknown option, expected one of ${known.join(", ")}`);
    }
  }
}

const LONE_SURROGATE = /\p{Surrogate}/u;

/** `String.prototype.isWellFormed`, which Node.js 18 lacks. */
const isWellFormed: (value: string) => boolean =
  "isWellFormed" in String.prototype
    ? (value) => (value as string & { isWellFormed(): boolean }).isWellFormed()
    : (value) => !LONE_SURROGATE.test(value);

function show(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);
  }
  if (typeof value === "object" && value !== null) {
    return value.constructor?.name ? `an object of type ${value.constructor.name}` : "an object";
  }
  return typeof value === "bigint" ? `${value}n` : String(value);
}
