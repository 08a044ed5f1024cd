import type { FetchError } from "./error.js";
import type { RequestInput } from "./request.js";

/** The durations of the phases of a request, in milliseconds. Undefined if not reached. */
export interface Phases {
  /** The time spent waiting for a slot. */
  readonly queued: number;
  /** From the dispatch to the head of the response. */
  readonly firstByte: number | undefined;
  /** From the first dispatch to the end. */
  readonly total: number | undefined;
  /** In the last hop of the last attempt, like the next three. */
  readonly dns: number | undefined;
  readonly connect: number | undefined;
  readonly tls: number | undefined;
  /** True if that hop used a connection that had carried a request before. */
  readonly connectionReused: boolean;
  /** The time that earlier attempts and redirects took. */
  readonly earlier: number | undefined;
}

/** What all results have. */
export interface ResultInfo {
  /** The position of the request in the list, from 0. */
  readonly index: number;
  /** The request, as it was passed. */
  readonly request: RequestInput;
  /** The size of the body, in bytes. */
  readonly bodyBytes: number;
  /** The number of attempts. 0 if the request was never dispatched. */
  readonly attempts: number;
  /** The number of redirects followed in the last attempt. */
  readonly redirects: number;
  /** True if the body was cut at `maxBodyBytes`. */
  readonly truncated: boolean;
  /** The HTTP version of the response, such as `HTTP/1.1`. */
  readonly httpVersion: string | undefined;
  readonly timing: Phases;
}

/** A complete response, of any status. */
export interface Success extends ResultInfo {
  readonly ok: true;
  readonly response: Response;
  /** The status of the response. Unlike `response.status`, this makes no Response. */
  readonly status: number;
  /** The body. Unlike `response.bytes()`, this makes no Response, and is there at once. */
  readonly bytes: Uint8Array;
  readonly error: undefined;
}

/** A request that failed. If a part of its response has arrived, `response` has it. */
export interface Failed extends ResultInfo {
  readonly ok: false;
  readonly response: Response | undefined;
  readonly status: number | undefined;
  readonly bytes: Uint8Array | undefined;
  readonly error: FetchError;
}

/** The result of a request. `ok` says whether there is a complete response, of any status. */
export type Result = Success | Failed;
