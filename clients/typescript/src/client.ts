import { setMaxListeners } from "node:events";

import { parseAddresses } from "./address.js";
import { asFetch, type FetchFunction } from "./as_fetch.js";
import { BodySink } from "./body.js";
import { wrong } from "./check.js";
import { ListIntake, StreamIntake } from "./intake.js";
import { List, type Sink } from "./list.js";
import { Pool } from "./pool.js";
import { fitsOneCall } from "./queue.js";
import type { RequestInput, Requests } from "./request.js";
import type { Result } from "./result.js";
import { checkListOptions, Settings } from "./settings.js";
import type { CheckedListOptions, ClientOptions, ListOptions, StreamOptions } from "./settings.js";
import { Collector, Results } from "./sinks.js";

/**
 * A client of fetchd. It connects when it is first used, and its methods can be called any number
 * of times, also at the same time.
 */
export class Client {
  readonly #settings: Settings;
  readonly #pool: Pool;
  /** The lists that are being fetched, by what ends them with an error. */
  readonly #open = new Set<(error: unknown) => void>();
  #isClosed = false;

  /**
   * Creates a client. Throws a TypeError if an option is wrong.
   *
   * @param endpoints Where the service listens: `host:port`, `http://host:port` (default port 50051)
   * or `https://host:port` (443), one or several: a list, or separated by commas. A name may have
   * many addresses.
   */
  constructor(endpoints: string | readonly string[], options: ClientOptions = {}) {
    const addresses = parseAddresses(endpoints);
    this.#settings = new Settings(options);
    if (this.#settings.tls && !addresses.some(({ hasTls }) => hasTls)) {
      throw new TypeError("tls: expected an endpoint that begins with https://, got none");
    }
    this.#pool = new Pool(addresses, this.#settings.tls, this.#settings.authorization);
  }

  /**
   * Fetches all requests. The results are in the order of the requests. A request that fails has an
   * error in its result; the promise is only rejected if an argument is wrong (TypeError), or with
   * the reason of the signal.
   */
  async fetchAll(requests: Requests, options: ListOptions = {}): Promise<Result[]> {
    const checked = this.#check(options);
    const source = await check(requests, checked);
    return new Promise((resolve, reject) => {
      const collector = new Collector(source instanceof ListIntake ? source.length : 0, () => {
        run.stop();
        resolve(collector.results);
      });
      const run = this.#run(source, checked, collector, reject);
      run.turn();
    });
  }

  /**
   * Fetches all requests, and yields each result when it arrives. The iterable may be asynchronous
   * and of any length; requests are taken from it as they are needed. Leaving the loop cancels the
   * rest.
   */
  fetch(requests: Requests, options: ListOptions = {}): AsyncIterableIterator<Result> {
    const checked = this.#check(options);
    const checking = check(requests, checked);
    if (checking instanceof Promise) {
      // Reported with the first result.
      checking.catch(() => {});
    }
    let run: Run | undefined;
    const start = (source: ListIntake | Requests) => {
      try {
        run = this.#run(source, checked, results, (error) => results.fail(error));
      } catch (error) {
        results.fail(error);
      }
      run?.turn();
    };
    const results: Results = new Results({
      start: () => {
        if (checking instanceof Promise) {
          checking.then(start, (error: unknown) => results.fail(error));
        } else {
          start(checking);
        }
      },
      readMore: () => run?.turn(),
      stop: () => run?.stop(),
    });
    return results;
  }

  /**
   * Fetches one request, and streams its body, which may be larger than memory. The promise is
   * rejected with a FetchError if there is no response, and reading the body fails with one if it is
   * incomplete. Read the body or cancel it, since it keeps a call open.
   */
  async stream(request: RequestInput, options: StreamOptions = {}): Promise<Response> {
    const checked = this.#check(options);
    const source = await ListIntake.of([request], checked.headers);
    const sink: BodySink = new BodySink(source.firstUrl, {
      readMore: () => run.turn(),
      stop: () => run.stop(),
    });
    const run = this.#run(source, checked, sink, (error) => sink.fail(error), sink);
    run.turn();
    return sink.response;
  }

  /**
   * Returns a function with the signature of the global `fetch`, for code that has one. Calls that
   * are made at the same time share a list. The bodies of the responses are in memory.
   */
  asFetch(options: Omit<ListOptions, "signal"> = {}): FetchFunction {
    this.#check(options);
    return asFetch((requests, signal) => this.fetch(requests, { ...options, signal }));
  }

  /** Cancels all that is open, and closes the connections. */
  close(): void {
    this.#isClosed = true;
    for (const end of [...this.#open]) {
      end(closed());
    }
    this.#pool.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #check(options: ListOptions): CheckedListOptions {
    const checked = checkListOptions(options, this.#settings.defaults);
    this.#throwIfEnded(checked.signal);
    return checked;
  }

  #throwIfEnded(signal: AbortSignal | undefined): void {
    if (this.#isClosed) {
      throw closed();
    }
    signal?.throwIfAborted();
  }

  /**
   * Prepares the list. It begins with the first turn. Throws if it has ended since its options were
   * checked: signals don't repeat their event.
   */
  #run(
    source: ListIntake | Requests,
    options: CheckedListOptions,
    sink: Sink,
    fail: (error: unknown) => void,
    body?: BodySink,
  ): Run {
    const { signal } = options;
    this.#throwIfEnded(signal);
    const abort = () => end(signal?.reason);
    const stop = () => {
      list.close();
      this.#open.delete(end);
      signal?.removeEventListener("abort", abort);
    };
    const end = (error: unknown) => {
      stop();
      fail(error);
    };
    const intake =
      source instanceof ListIntake
        ? source
        : new StreamIntake(source, options.headers, () => list.arrived(), end);
    const list = new List(this.#pool, intake, sink, {
      ...options,
      giveUpAfter: this.#settings.giveUpAfter,
      silenceTimeout: this.#settings.silenceTimeout,
      fitsOneCall: source instanceof ListIntake && fitsOneCall(source),
      ...(body && { body }),
    });
    this.#open.add(end);
    if (signal) {
      // One signal may end any number of lists. They remove their listeners.
      setMaxListeners(0, signal);
      signal.addEventListener("abort", abort);
    }
    return { turn: list.turn, stop };
  }
}

/** A list that is being fetched. */
interface Run {
  /** Goes on after something has changed. */
  turn(): void;
  /** Cancels what is open, and forgets the signals. */
  stop(): void;
}

/** Checks the requests if they are in memory. Others are checked as they come. */
function check(
  requests: Requests,
  { headers }: CheckedListOptions,
): ListIntake | Promise<ListIntake> | Requests {
  if (Array.isArray(requests)) {
    return ListIntake.of(requests, headers);
  }
  const isIterable =
    Object(requests) === requests &&
    (Symbol.iterator in requests || Symbol.asyncIterator in requests);
  if (!isIterable) {
    throw wrong("requests", "a list, or another iterable or async iterable, of requests", requests);
  }
  return requests;
}

function closed(): Error {
  return new Error("the client is closed");
}
