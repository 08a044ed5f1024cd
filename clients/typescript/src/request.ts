import { boolean, integer, keys, milliseconds, text, wrong } from "./check.js";
import { toDuration } from "./duration.js";
import { toHeaders, type HeadersInput } from "./headers.js";
import {
  BodyOverflow,
  type HeaderMessage,
  type OptionsMessage,
  type RequestMessage,
} from "./messages.js";

/** Options of a request. The service lowers values above its maximum. */
export interface FetchOptions {
  /**
   * The time limit in milliseconds, from the dispatch of the request to the last byte of its body,
   * with redirects and retries. Default: 30 s.
   */
  readonly timeout?: number | undefined;
  /** The time for which the origin may be silent, in milliseconds. Default: 15 s. */
  readonly idleTimeout?: number | undefined;
  /** The time limit for DNS, TCP and TLS, in milliseconds. Default: 5 s. */
  readonly connectTimeout?: number | undefined;
  /** The number of redirects to follow. If 0, a redirect is the response. Default: 10. */
  readonly maxRedirects?: number | undefined;
  /** The maximum size of the decompressed body in bytes. Default: 10 MiB. */
  readonly maxBodyBytes?: number | undefined;
  /** Cuts larger bodies at `maxBodyBytes`. By default, the request fails. */
  readonly truncate?: boolean | undefined;
  /** The maximum number of attempts, with the first. Default: 3. */
  readonly maxAttempts?: number | undefined;
}

/** A request as a plain object. */
export interface FetchRequest extends FetchOptions {
  /** An absolute http or https URL. */
  readonly url: string | URL;
  /** Default: GET. */
  readonly method?: string | undefined;
  /** The header lines to send. */
  readonly headers?: HeadersInput | undefined;
  /** The body. A string is sent as UTF-8, and no type of content is added. */
  readonly body?: string | ArrayBuffer | ArrayBufferView | null | undefined;
}

/** What can be fetched: a URL, a standard `Request`, whose body is read into memory, or an object. */
export type RequestInput = string | URL | Request | FetchRequest;

/** The requests of a list: in memory, or produced one after the other. */
export type Requests = Iterable<RequestInput> | AsyncIterable<RequestInput>;

const OPTIONS = [
  "timeout",
  "idleTimeout",
  "connectTimeout",
  "maxRedirects",
  "maxBodyBytes",
  "truncate",
  "maxAttempts",
] as const;

const FIELDS = ["url", "method", "headers", "body", ...OPTIONS];

/** Options that all requests of a list or client have in common. */
export const DEFAULTS = ["headers", ...OPTIONS];

/**
 * Converts a request. The result is a promise only if its body has to be read. `name` is for the
 * TypeError if the request cannot be sent.
 */
export function toMessage(
  name: string,
  input: RequestInput,
): RequestMessage | Promise<RequestMessage> {
  if (typeof input === "string") {
    return { url: text(name, input) };
  }
  if (input instanceof URL) {
    return { url: input.href };
  }
  if (isStandardRequest(input)) {
    return fromStandard(name, input);
  }
  if (typeof input !== "object" || input === null) {
    throw wrong(name, "a string, a URL, a Request or an object with a url", input);
  }
  return fromObject(name, input);
}

/** Converts options. Returns null if none is set. */
export function toOptions(name: string, options: FetchOptions): OptionsMessage | null {
  const message: OptionsMessage = {};
  for (const key of OPTIONS) {
    const value = options[key];
    if (value !== undefined) {
      setOption(message, key, `${name}${key}`, value);
    }
  }
  return Object.keys(message).length > 0 ? message : null;
}

function setOption(
  message: OptionsMessage,
  key: (typeof OPTIONS)[number],
  name: string,
  value: unknown,
): void {
  switch (key) {
    case "timeout":
    case "idleTimeout":
    case "connectTimeout":
      message[key] = toDuration(milliseconds(name, value));
      break;
    case "maxRedirects":
      message[key] = integer(name, value, 0);
      break;
    case "maxBodyBytes":
      message[key] = integer(name, value, 0, Number.MAX_SAFE_INTEGER);
      break;
    case "maxAttempts":
      message[key] = integer(name, value, 1);
      break;
    case "truncate":
      message.bodyOverflow = boolean(name, value)
        ? BodyOverflow.BODY_OVERFLOW_TRUNCATE
        : BodyOverflow.BODY_OVERFLOW_FAIL;
      break;
  }
}

function fromObject(name: string, request: FetchRequest): RequestMessage {
  keys(name, request, FIELDS);
  const { url, method, headers, body } = request;
  const message: RequestMessage = {
    url: url instanceof URL ? url.href : text(`${name}.url`, url),
    options: toOptions(`${name}.`, request),
  };
  if (method !== undefined) {
    message.method = text(`${name}.method`, method);
  }
  if (headers !== undefined) {
    message.headers = toHeaders(`${name}.headers`, headers);
  }
  if (body !== undefined && body !== null) {
    message.body = toBytes(`${name}.body`, body);
  }
  return message;
}

/** True for the global `Request` and for that of a package such as undici. */
function isStandardRequest(input: unknown): input is Request {
  return Object.prototype.toString.call(input) === "[object Request]";
}

function fromStandard(name: string, request: Request): RequestMessage | Promise<RequestMessage> {
  // The service sets the length itself.
  const lines = [...request.headers].filter(([key]) => key !== "content-length");
  const message: RequestMessage = {
    url: request.url,
    method: request.method,
    headers: toHeaders(`${name}.headers`, lines),
  };
  if (request.redirect === "error") {
    throw wrong(`${name}.redirect`, '"follow" or "manual"', request.redirect);
  }
  if (request.redirect === "manual") {
    message.options = { maxRedirects: 0 };
  }
  if (request.body === null) {
    return message;
  }
  return request.arrayBuffer().then((body) => ({ ...message, body: new Uint8Array(body) }));
}

function toBytes(name: string, body: unknown): Uint8Array {
  if (typeof body === "string") {
    return Buffer.from(text(name, body));
  }
  if (ArrayBuffer.isView(body)) {
    return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  }
  if (body instanceof ArrayBuffer) {
    return new Uint8Array(body);
  }
  throw wrong(name, "a string, an ArrayBuffer, a typed array or a DataView", body);
}

/** Adds the default headers that the message doesn't have. */
export function addHeaders(message: RequestMessage, defaults: readonly HeaderMessage[]): void {
  const lower = (line: HeaderMessage) => (line.name ?? "").toLowerCase();
  const own = new Set(message.headers?.map(lower));
  const missing = defaults.filter((line) => !own.has(lower(line)));
  message.headers = [...(message.headers ?? []), ...missing];
}

/** Returns an upper bound of the size of the encoded message, in bytes. */
export function sizeOf({ url, headers, body }: RequestMessage): number {
  let size = Buffer.byteLength(url ?? "") + (body?.length ?? 0) + 128;
  for (const line of headers ?? []) {
    size += (line.name?.length ?? 0) + (line.value?.length ?? 0) + 16;
  }
  return size;
}
