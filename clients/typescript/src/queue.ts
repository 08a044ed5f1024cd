import type { Pending } from "./pending.js";

/** Limits of one call, well below those that services usually have. */
export const MAX_CALL_REQUESTS = 1_000;
const MAX_SINGLE_CALL_REQUESTS = 10_000;
const MAX_CALL_BYTES = 8 << 20;

/** Requests that wait for a call, in order. */
export class Queue {
  #requests: Pending[] = [];
  #first = 0;

  get length(): number {
    return this.#requests.length - this.#first;
  }

  push(pending: Pending): void {
    this.#requests.push(pending);
  }

  /** True if the queue has enough requests for the largest call. */
  get isFull(): boolean {
    return this.length >= MAX_CALL_REQUESTS;
  }

  /** Removes all requests and returns them. */
  clear(): Pending[] {
    const requests = this.#requests.slice(this.#first);
    this.#requests = [];
    this.#first = 0;
    return requests;
  }

  /** Removes the requests of a call that should carry all of them. */
  takeSingleCall(): Pending[] {
    return this.take(Infinity, MAX_SINGLE_CALL_REQUESTS, () => true);
  }

  /**
   * Removes up to `max` requests for a call that has `slots`. `mayGo` says whether a request may go
   * into it.
   *
   * A call may have more requests than slots: the rest wait at the service. But those that are not
   * idempotent don't. If the call is lost, nobody can tell which requests were dispatched, so they
   * could not be sent again although they were only waiting.
   */
  take(slots: number, max: number, mayGo: (pending: Pending) => boolean): Pending[] {
    const taken: Pending[] = [];
    const skipped: Pending[] = [];
    let bytes = 0;
    let next = this.#first;
    for (; next < this.#requests.length && taken.length < max; next++) {
      const pending = this.#requests[next] as Pending;
      if (!mayGo(pending)) {
        skipped.push(pending);
        continue;
      }
      bytes += pending.size;
      const fits = bytes <= MAX_CALL_BYTES && (taken.length < slots || pending.isIdempotent);
      // A request above the limit goes alone.
      if (taken.length > 0 && !fits) {
        break;
      }
      taken.push(pending);
    }
    this.#remove(next, skipped);
    return taken;
  }

  /** Removes the requests before `next`, but keeps those that were `skipped`. */
  #remove(next: number, skipped: Pending[]): void {
    this.#first = next - skipped.length;
    skipped.forEach((pending, offset) => (this.#requests[this.#first + offset] = pending));
    if (this.#first > this.#requests.length / 2) {
      this.#requests = this.#requests.slice(this.#first);
      this.#first = 0;
    }
  }
}

/** True if a list fits in one call. */
export function fitsOneCall(list: { readonly length: number; readonly size: number }): boolean {
  return list.length <= MAX_SINGLE_CALL_REQUESTS && list.size <= MAX_CALL_BYTES;
}
