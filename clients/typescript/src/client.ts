import { parseAddresses } from "./address.js";
import { wrong } from "./check.js";
import { checkAll, ListIntake, StreamIntake, type Requests } from "./intake.js";
import { List, type Sink } from "./list.js";
import type { Pending } from "./pending.js";
import { Pool } from "./pool.js";
import { fitsOneCall } from "./queue.js";
import type { Result } from "./result.js";
import { checkListOptions, Settings } from "./settings.js";
import type { CheckedListOptions, ClientOptions, ListOptions } from "./settings.js";
import { Collector, Results } from "./sinks.js";

/**
 * A client of fetchd. It connects when it is first used, and its methods can be called any number
 * of times, also at the same time.
 */
export class Client {
  readonly #settings: Settings;
  readonly #pool: Pool;
  readonly #closed = new AbortController();

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
      const collector = new Collector(() => {
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
    let run: Run | undefined;
    const start = (source: Pending[] | Requests) => {
      run = this.#run(source, checked, results, (error) => results.fail(error));
      run.turn();
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

  /** Cancels all that is open, and closes the connections. */
  close(): void {
    this.#closed.abort(new Error("the client is closed"));
    this.#pool.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #check(options: ListOptions): CheckedListOptions {
    this.#closed.signal.throwIfAborted();
    const checked = checkListOptions(options, this.#settings.defaults);
    checked.signal?.throwIfAborted();
    return checked;
  }

  /** Prepares the list. It begins with the first turn. */
  #run(
    source: Pending[] | Requests,
    options: CheckedListOptions,
    sink: Sink,
    fail: (error: unknown) => void,
  ): Run {
    const signals = [this.#closed.signal, ...(options.signal ? [options.signal] : [])];
    const abort = ({ target }: { target: unknown }) => end((target as AbortSignal).reason);
    const stop = () => {
      list.close();
      signals.forEach((signal) => signal.removeEventListener("abort", abort));
    };
    const end = (error: unknown) => {
      stop();
      fail(error);
    };
    const intake = Array.isArray(source)
      ? new ListIntake(source as Pending[])
      : new StreamIntake(source as Requests, options.headers, () => list.arrived(), end);
    const list = new List(this.#pool, intake, sink, {
      ...options,
      giveUpAfter: this.#settings.giveUpAfter,
      silenceTimeout: this.#settings.silenceTimeout,
      fitsOneCall: Array.isArray(source) && fitsOneCall(source as Pending[]),
    });
    signals.forEach((signal) => signal.addEventListener("abort", abort));
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
): Pending[] | Promise<Pending[]> | Requests {
  if (Array.isArray(requests)) {
    return checkAll(requests, headers);
  }
  const isIterable = Object(requests) === requests
    && (Symbol.iterator in requests || Symbol.asyncIterator in requests);
  if (!isIterable) {
    throw wrong("requests", "a list, or another iterable or async iterable, of requests", requests);
  }
  return requests;
}
