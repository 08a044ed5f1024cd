import type { FetchResult } from "./fetch_result.js";
import type { Sink } from "./list.js";
import type { Result } from "./result.js";

/** Collects all results of a list. */
export class Collector implements Sink {
  readonly isFull = false;
  readonly results: Result[];
  readonly #done: () => void;

  /** Calls `done` when the results are complete. `length` is their number if it is known. */
  constructor(length: number, done: () => void) {
    this.results = new Array<Result>(length);
    this.#done = done;
  }

  push(result: FetchResult): void {
    this.results[result.index] = result as Result;
  }

  end(): void {
    this.#done();
  }
}

/** The most results, and bytes of their bodies, that may wait for the caller. */
const MAX_RESULTS = 1_000;
const MAX_BYTES = 1 << 20;

/** Where the results come from. */
interface Source {
  /** Called for the first result. */
  start(): void;
  /** Called when the caller has read all results of a full buffer. */
  readMore(): void;
  /** Called when there is no next result, or the caller leaves its loop. */
  stop(): void;
}

/** A caller that waits for a result. */
interface Waiting {
  readonly resolve: (result: IteratorResult<Result, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

/** Hands out the results of a list one by one, as an async iterator. */
export class Results implements Sink, AsyncIterableIterator<Result> {
  readonly #source: Source;
  #ready: FetchResult[] = [];
  #next = 0;
  #bytes = 0;
  #isFull = false;
  #state: "new" | "running" | "ended" = "new";
  #error: { readonly cause: unknown } | undefined;
  #waiting: Waiting[] = [];

  constructor(source: Source) {
    this.#source = source;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  push(result: FetchResult): void {
    const waiting = this.#waiting.shift();
    if (waiting) {
      waiting.resolve({ done: false, value: result as Result });
      return;
    }
    this.#ready.push(result);
    this.#bytes += result.bodyBytes;
    this.#isFull ||= this.#ready.length >= MAX_RESULTS || this.#bytes >= MAX_BYTES;
  }

  end(): void {
    this.#state = "ended";
    this.#source.stop();
    for (const { resolve } of this.#waiting.splice(0)) {
      resolve({ done: true, value: undefined });
    }
  }

  /** Ends the iteration with an error, without the results that are still here. */
  fail(cause: unknown): void {
    const [first, ...others] = this.#waiting.splice(0);
    this.#waiting = others;
    this.#discard();
    if (first) {
      first.reject(cause);
    } else {
      this.#error = { cause };
    }
    this.end();
  }

  next(): Promise<IteratorResult<Result, undefined>> {
    const result = this.#take();
    if (result) {
      return Promise.resolve({ done: false, value: result as Result });
    }
    if (this.#error) {
      const { cause } = this.#error;
      this.#error = undefined;
      return Promise.reject(cause);
    }
    if (this.#state === "ended") {
      return Promise.resolve({ done: true, value: undefined });
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (this.#state === "new") {
        this.#state = "running";
        this.#source.start();
      }
    });
  }

  /** Called when the caller leaves its loop. Cancels what is left. */
  return(): Promise<IteratorResult<Result, undefined>> {
    this.#discard();
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #take(): FetchResult | undefined {
    const result = this.#ready[this.#next];
    if (result) {
      this.#next += 1;
      if (this.#next === this.#ready.length) {
        this.#discard();
      }
    }
    return result;
  }

  #discard(): void {
    this.#ready = [];
    this.#next = 0;
    this.#bytes = 0;
    if (this.#isFull) {
      this.#isFull = false;
      this.#source.readMore();
    }
  }
}
