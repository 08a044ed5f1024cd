import type { Disposition } from "./failure.js";

/** How long the first ejection lasts, and the longest, in milliseconds before jitter. */
const BACKOFF_MIN = 200;
const BACKOFF_MAX = 5_000;

/** A full endpoint says when to come back. The client waits no longer than this. */
const RETRY_AFTER_MAX = 60_000;

type State = { name: "admitted" } | { name: "ejected"; until: number } | { name: "probed" };

/**
 * The health of an endpoint: admitted, ejected, or being probed.
 *
 * If an endpoint fails, it gets no requests for a while: first 0.2 s, then twice as long with each
 * further failure, up to 5 s. Then it is probed, and admitted again if it answers. So an endpoint
 * that is gone costs each request at most one attempt.
 */
export class Health {
  #state: State = { name: "admitted" };
  /** The number of failures since the last result. */
  #failures = 0;

  get isAdmitted(): boolean {
    return this.#state.name === "admitted";
  }

  /** True if nothing has failed since the last result. */
  get isProven(): boolean {
    return this.#failures === 0;
  }

  /** When the next probe is due. Undefined if none is needed, or if one is running. */
  get probeDue(): number | undefined {
    return this.#state.name === "ejected" ? this.#state.until : undefined;
  }

  recordSuccess(): void {
    this.#failures = 0;
  }

  /** Ejects the endpoint, unless it is ejected already: then this is a result of the same problem. */
  recordFailure(disposition: Disposition, now: number, retryAfter?: number): void {
    if (this.isAdmitted && disposition !== "final" && disposition !== "refused") {
      this.#eject(now, retryAfter);
    }
  }

  /** Starts the probe if one is due. Returns true if it did. */
  startProbe(now: number): boolean {
    const isDue = this.probeDue !== undefined && this.probeDue <= now;
    if (isDue) {
      this.#state = { name: "probed" };
    }
    return isDue;
  }

  /** Records that the probe was answered. */
  admit(): void {
    this.#state = { name: "admitted" };
  }

  /** Records that the probe failed. */
  recordFailedProbe(now: number, retryAfter?: number): void {
    this.#eject(now, retryAfter);
  }

  #eject(now: number, retryAfter?: number): void {
    const backoff = Math.min(BACKOFF_MIN * 2 ** this.#failures, BACKOFF_MAX);
    const wait = Math.min(Math.max(retryAfter ?? backoff, backoff / 2), RETRY_AFTER_MAX);
    this.#failures += 1;
    // Without jitter, all clients would come back at the same time.
    this.#state = { name: "ejected", until: now + wait * (1 + Math.random() / 2) };
  }
}
