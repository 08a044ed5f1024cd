import { setMaxListeners } from "node:events";

import type { Result } from "./result.js";

/** A function with the signature of the global `fetch`. */
export type FetchFunction = (
  input: string | URL | Request,
  init?: RequestInit,
) => Promise<Response>;

/** Fetches a list. */
type FetchList = (requests: Iterable<Request>, signal: AbortSignal) => AsyncIterable<Result>;

/** A call of the function that waits for its response. */
interface Waiting {
  readonly request: Request;
  readonly resolve: (response: Response) => void;
  readonly reject: (error: unknown) => void;
  /** Set when the caller has aborted the call. */
  isAborted: boolean;
  /** Called then, once the list has begun. */
  abandon: () => void;
}

/**
 * Makes a function like the global `fetch`. All calls of one turn of the event loop, such as those
 * of a `Promise.all`, become one list.
 */
export function asFetch(fetchList: FetchList): FetchFunction {
  let batch: Waiting[] = [];
  const flush = () => {
    void fetchBatch(batch, fetchList);
    batch = [];
  };
  return async (input, init) => {
    const signal = signalOf(input, init);
    // A Request would listen to its signal until it is collected as garbage.
    const request = new Request(input, { ...init, signal: null } as never);
    signal?.throwIfAborted();
    let abort = () => {};
    try {
      return await new Promise<Response>((resolve, reject) => {
        const waiting = { request, resolve, reject, isAborted: false, abandon: () => {} };
        abort = () => {
          waiting.isAborted = true;
          waiting.abandon();
          reject(signal?.reason);
        };
        if (signal) {
          setMaxListeners(0, signal);
          signal.addEventListener("abort", abort);
        }
        batch.push(waiting);
        if (batch.length === 1) {
          setImmediate(flush);
        }
      });
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  };
}

function signalOf(input: string | URL | Request, init?: RequestInit): AbortSignal | undefined {
  const own = init?.signal;
  return own === undefined && input instanceof Request ? input.signal : (own ?? undefined);
}

async function fetchBatch(calls: readonly Waiting[], fetchList: FetchList): Promise<void> {
  const batch = calls.filter(({ isAborted }) => !isAborted);
  const open = new Set(batch);
  const abandoned = new AbortController();
  for (const waiting of batch) {
    waiting.abandon = () => {
      open.delete(waiting);
      if (open.size === 0) {
        abandoned.abort();
      }
    };
  }
  try {
    // An iterator, since a list would be refused as a whole if one request cannot be sent.
    const requests = batch.map(({ request }) => request).values();
    for await (const { index, response, error } of fetchList(requests, abandoned.signal)) {
      const waiting = batch[index] as Waiting;
      open.delete(waiting);
      error ? waiting.reject(error) : waiting.resolve(response);
    }
  } catch (error) {
    open.forEach(({ reject }) => reject(error));
  }
}
