import { integer, keys, milliseconds, wrong } from "./check.js";
import type { MetadataInput } from "./endpoint.js";
import { toHeaders, type HeadersInput } from "./headers.js";
import type { HeaderMessage, OptionsMessage } from "./messages.js";
import { DEFAULTS, toOptions, type FetchOptions } from "./request.js";
import type { TlsOptions } from "./tls.js";
import { tokenFrom, tokenFromFile, type Authorization, type TokenSource } from "./token.js";

/** What applies to all requests that don't set it themselves. */
export interface RequestDefaults extends FetchOptions {
  /** Headers for each request that doesn't have one of the same name. */
  readonly headers?: HeadersInput | undefined;
}

/** Settings of a client. All times are in milliseconds. */
export interface ClientOptions {
  /** For `https` endpoints. */
  readonly tls?: TlsOptions | undefined;
  /** The token that identifies this client, or a function that returns it for each call. */
  readonly token?: TokenSource | undefined;
  /** The path of a file with the token. It is read for each call. */
  readonly tokenFile?: string | undefined;
  /** Open requests fail if no replica answers for this long. Default: 30 s. */
  readonly giveUpAfter?: number | undefined;
  /** A call is lost if the service sends nothing for this long. Default: 30 s. */
  readonly silenceTimeout?: number | undefined;
  /** What applies to all requests of this client. */
  readonly defaults?: RequestDefaults | undefined;
}

/** Options of one list. */
export interface ListOptions {
  /** The maximum number of requests in flight. Default: that of the service, usually 50. */
  readonly concurrency?: number | undefined;
  /** The time limit of the whole list, in milliseconds. Default: none. */
  readonly timeout?: number | undefined;
  /** Cancels the list. */
  readonly signal?: AbortSignal | undefined;
  /** gRPC metadata for the service, such as `traceparent`. */
  readonly metadata?: MetadataInput | undefined;
  /** What applies to all requests of this list. */
  readonly defaults?: RequestDefaults | undefined;
}

/** Options of a single request. */
export type StreamOptions = Pick<ListOptions, "signal" | "metadata" | "defaults">;

const DEFAULT_TIME = 30_000;

/** The checked options of a client. */
export class Settings {
  readonly tls: TlsOptions | undefined;
  readonly authorization: Authorization | undefined;
  readonly giveUpAfter: number;
  readonly silenceTimeout: number;
  readonly defaults: RequestDefaults;

  constructor(options: ClientOptions) {
    const known = ["tls", "token", "tokenFile", "giveUpAfter", "silenceTimeout", "defaults"];
    checkObject("options", options, known);
    const { tls, token, tokenFile, giveUpAfter, silenceTimeout, defaults = {} } = options;
    if (token !== undefined && tokenFile !== undefined) {
      throw new TypeError("tokenFile: expected no token besides it, got both");
    }
    this.tls = tls;
    this.authorization =
      tokenFile === undefined
        ? token === undefined
          ? undefined
          : tokenFrom(token)
        : tokenFromFile(tokenFile);
    this.giveUpAfter = milliseconds("giveUpAfter", giveUpAfter ?? DEFAULT_TIME);
    this.silenceTimeout = milliseconds("silenceTimeout", silenceTimeout ?? DEFAULT_TIME);
    readDefaults(defaults);
    this.defaults = defaults;
  }
}

/** The checked options of a list. */
export interface CheckedListOptions {
  readonly concurrency: number | undefined;
  readonly timeout: number | undefined;
  readonly signal: AbortSignal | undefined;
  readonly metadata: MetadataInput | undefined;
  readonly options: OptionsMessage | null;
  readonly headers: HeaderMessage[];
}

/** Checks the options of a list, and adds those of the client. */
export function checkListOptions(input: ListOptions, client: RequestDefaults): CheckedListOptions {
  checkObject("options", input, ["concurrency", "timeout", "signal", "metadata", "defaults"]);
  const { concurrency, timeout, signal, metadata, defaults = {} } = input;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw wrong("signal", "an AbortSignal", signal);
  }
  const own = readDefaults(defaults);
  const inherited = readDefaults(client);
  const names = new Set(own.headers.map(({ name }) => name?.toLowerCase()));
  const headers = inherited.headers.filter(({ name }) => !names.has(name?.toLowerCase()));
  const options = { ...inherited.options, ...own.options };
  return {
    concurrency: concurrency === undefined ? undefined : integer("concurrency", concurrency, 1),
    timeout: timeout === undefined ? undefined : milliseconds("timeout", timeout),
    signal,
    metadata: metadata && checkMetadata(metadata),
    options: Object.keys(options).length > 0 ? options : null,
    headers: [...headers, ...own.headers],
  };
}

function readDefaults(defaults: RequestDefaults) {
  checkObject("defaults", defaults, DEFAULTS);
  const headers = defaults.headers && toHeaders("defaults.headers", defaults.headers);
  return { headers: headers ?? [], options: toOptions("defaults.", defaults) };
}

function checkMetadata(metadata: MetadataInput): MetadataInput {
  for (const [key, value] of Object.entries(metadata)) {
    const isBinary = key.endsWith("-bin");
    const fits = isBinary ? value instanceof Uint8Array : typeof value === "string";
    if (
      !/^[0-9a-zA-Z_.-]+$/.test(key) ||
      !fits ||
      (!isBinary && !/^[\x20-\x7e]*$/.test(String(value)))
    ) {
      const expected =
        "names of ASCII letters with ASCII strings, or bytes if the name ends in -bin";
      throw wrong(`metadata.${key}`, expected, value, "another value");
    }
  }
  return metadata;
}

function checkObject(name: string, value: unknown, known: readonly string[]): void {
  if (typeof value !== "object" || value === null) {
    throw wrong(name, "an object", value);
  }
  keys(name === "options" ? "" : name, value, known);
}
