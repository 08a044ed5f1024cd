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
  return (input, init) =>
    new Promise((resolve, reject) => {
      const request = new Request(input, init);
      const { signal } = request;
      signal.throwIfAborted();
      signal.addEventListener("abort", () => reject(signal.reason));
      batch.push({ request, resolve, reject });
      if (batch.length === 1) {
        setImmediate(flush);
      }
    });
}

async function fetchBatch(calls: readonly Waiting[], fetchList: FetchList): Promise<void> {
  const batch = calls.filter(({ request }) => !request.signal.aborted);
  const open = new Set(batch);
  const abandoned = new AbortController();
  for (const waiting of batch) {
    waiting.request.signal.addEventListener("abort", () => {
      open.delete(waiting);
      if (open.size === 0) {
        abandoned.abort();
      }
    });
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
