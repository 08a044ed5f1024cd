import { FetchError } from "./error.js";

/** After the deadline, the services have this many milliseconds to end the requests themselves. */
const GRACE = 1_000;

/** The deadline of a list. It may have none. */
export class Deadline {
  readonly #at: number | undefined;

  /** Sets the deadline to `timeout` milliseconds from now. */
  constructor(timeout: number | undefined, now: number) {
    this.#at = timeout === undefined ? undefined : now + timeout;
  }

  get at(): number | undefined {
    return this.#at;
  }

  /** When the client ends all requests itself. */
  get endOfGrace(): number | undefined {
    return this.#at === undefined ? undefined : this.#at + GRACE;
  }

  hasPassed(now: number): boolean {
    return this.#at !== undefined && this.#at <= now;
  }

  /** The time limit of a call that starts now, in milliseconds. Zero would mean none. */
  remaining(now: number): number | undefined {
    return this.#at === undefined ? undefined : Math.max(this.#at - now, 1);
  }

  /** Creates the error of requests that missed the deadline. */
  static error(): FetchError {
    const message = "the deadline of the batch passed first";
    return new FetchError("BATCH_DEADLINE", message, { retryable: true });
  }
}
