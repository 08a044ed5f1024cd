import { FetchError } from "./error.js";
import type { Failure } from "./failure.js";

/**
 * If the endpoints are full, the client waits this many times longer: they do answer, and will
 * have room sooner or later.
 */
const FULL_FACTOR = 4;

/**
 * Measures for how long no endpoint has answered, from the point of view of one list. If that is
 * too long, all its requests end together.
 */
export class Outage {
  readonly #giveUpAfter: number;
  #current: { readonly since: number; readonly last: Failure } | undefined;

  /** Creates the tracker. An outage may last `giveUpAfter` milliseconds. */
  constructor(giveUpAfter: number) {
    this.#giveUpAfter = giveUpAfter;
  }

  /** When the outage has lasted too long. Undefined if there is none. */
  get end(): number | undefined {
    return this.#current && this.#current.since + this.#limit();
  }

  /** Ends the outage, because a call was answered or no request is waiting. */
  reset(): void {
    this.#current = undefined;
  }

  /** Records that a call or a probe failed. */
  recordFailure(last: Failure, now: number): void {
    this.#current = { since: this.#current?.since ?? now, last };
  }

  /** Records that a probe was answered. A full endpoint answers probes, and still has no room. */
  recordProbeAnswer(): void {
    if (!this.#isFull()) {
      this.reset();
    }
  }

  /** Creates the error for all open requests. */
  error(endpoints: readonly string[]): FetchError {
    const time = `${this.#limit() / 1000}s`;
    const last = this.#current ? `; last error: ${this.#current.last.error.message}` : "";
    const names = endpoints.join(", ");
    return FetchError.serviceLost(`no replica accepted a request for ${time} (of ${names})${last}`);
  }

  #limit(): number {
    return this.#isFull() ? this.#giveUpAfter * FULL_FACTOR : this.#giveUpAfter;
  }

  #isFull(): boolean {
    return this.#current?.last.retryAfter !== undefined;
  }
}
