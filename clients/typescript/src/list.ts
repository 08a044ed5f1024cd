import type { BodySink } from "./body.js";
import { Call, type CallListener } from "./call.js";
import { Deadline } from "./deadline.js";
import { toDuration } from "./duration.js";
import type { Endpoint, MetadataInput } from "./endpoint.js";
import type { FetchError } from "./error.js";
import { dispositionOfShutdown, type Disposition, type Failure } from "./failure.js";
import { FetchResult } from "./fetch_result.js";
import type { Intake } from "./intake.js";
import { FetchBatchRequest, type OptionsMessage } from "./messages.js";
import { Outage } from "./outage.js";
import type { Part } from "./part.js";
import { Pending } from "./pending.js";
import { candidates, earliest, type Pool } from "./pool.js";
import { MAX_CALL_REQUESTS, Queue } from "./queue.js";
import { mayResend } from "./resend.js";

/** Settings of a list. Times are in milliseconds. */
export interface ListSettings {
  /** The maximum number of requests in flight. Undefined means the service's default. */
  readonly concurrency: number | undefined;
  readonly timeout: number | undefined;
  readonly metadata: MetadataInput | undefined;
  /** The options of all requests. */
  readonly options: OptionsMessage | null;
  readonly giveUpAfter: number;
  readonly silenceTimeout: number;
  /** True if all requests are known and fit in one call. */
  readonly fitsOneCall: boolean;
  /** Takes the response of a single request while it arrives. */
  readonly body?: BodySink;
}

/** Takes the results of a list. */
export interface Sink {
  /** True if the caller has to read results before there can be more. */
  readonly isFull: boolean;
  push(result: FetchResult): void;
  /** All requests have their result. */
  end(): void;
}

/** Services have the same default. */
const DEFAULT_CONCURRENCY = 50;

/**
 * With several endpoints, a call gets as many requests as take this long, in milliseconds, and at
 * least one for each of its slots. With more, an endpoint could have requests left while another is
 * idle; with fewer, calls of fast requests would be tiny, and a call costs as much as 50 results.
 */
const MAX_TIME_AHEAD = 50;

/** The maximum number of open calls per endpoint. Each message has results of one call only. */
const MAX_CALLS = 32;

/**
 * Sends the requests of a list. This takes as many calls as necessary, and requests that are lost
 * are sent again, until each has its result.
 */
export class List implements CallListener {
  readonly #pool: Pool;
  readonly #intake: Intake;
  readonly #sink: Sink;
  readonly #settings: ListSettings;
  readonly #deadline: Deadline;
  readonly #outage: Outage;
  readonly #queue = new Queue();
  readonly #calls = new Set<Call>();
  /** Set once the outage has lasted too long, until an endpoint is admitted again. */
  #unavailable: FetchError | undefined;
  /** How long a request occupied its slot in the last call, in milliseconds. */
  #timePerRequest = Infinity;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #isPaused = false;
  #isClosed = false;

  constructor(pool: Pool, intake: Intake, sink: Sink, settings: ListSettings) {
    this.#pool = pool;
    this.#intake = intake;
    this.#sink = sink;
    this.#settings = settings;
    this.#deadline = new Deadline(settings.timeout, performance.now());
    this.#outage = new Outage(settings.giveUpAfter);
    pool.listen(this.#probed);
  }

  /** Does everything that can be done now. Call this after anything has changed. */
  readonly turn = (): void => {
    if (this.#isClosed) {
      return;
    }
    const now = performance.now();
    this.#pool.startProbes(now);
    this.#endLateRequests(now);
    this.#applyBackPressure();
    this.#fill(now);
    if (this.#isClosed) {
      // The iterator with the requests has cancelled the list.
      return;
    }
    this.#makeCalls(now);
    this.#trackOutage(now);
    if (this.#intake.hasEnded && this.#queue.length === 0 && this.#calls.size === 0) {
      this.close();
      this.#sink.end();
    } else {
      this.#schedule(now);
    }
  };

  /**
   * Takes requests that have just arrived, but makes no calls before all that arrive at the same
   * time are there. An iterator often has many, each in a promise of its own.
   */
  readonly arrived = (): void => {
    if (!this.#isClosed) {
      this.#fill(performance.now());
      this.#immediate ??= setImmediate(() => {
        this.#immediate = undefined;
        this.turn();
      });
    }
  };

  /** Cancels all calls, and stops. */
  close(): void {
    this.#isClosed = true;
    this.#pool.unlisten(this.#probed);
    clearTimeout(this.#timer);
    this.#intake.close();
    this.#cancelCalls();
  }

  answered(call: Call): void {
    call.endpoint.recordAnswer();
    this.#outage.reset();
  }

  ended(call: Call, pending: Pending, part: Part): void {
    const result = new FetchResult(pending, part);
    const disposition = dispositionOf(result);
    if (disposition === "final") {
      call.endpoint.health.recordSuccess();
      this.#sink.push(result);
    } else {
      call.endpoint.health.recordFailure(disposition, performance.now());
      if (mayResend(pending, disposition, call.endpoint.name, this.#pool)) {
        this.#queue.push(pending);
      } else {
        this.#sink.push(result);
      }
    }
  }

  progressed(): void {
    this.turn();
  }

  closed(call: Call, open: Pending[], failure: Failure | undefined): void {
    this.#calls.delete(call);
    if (failure) {
      this.#resend(call.endpoint, open, failure);
    } else {
      this.#timePerRequest = call.timePerRequest(performance.now());
    }
    this.turn();
  }

  #resend({ name, health }: Endpoint, open: Pending[], failure: Failure): void {
    const { disposition, retryAfter } = failure;
    const now = performance.now();
    this.#pool.lastFailure = failure;
    this.#outage.recordFailure(failure, now);
    health.recordFailure(disposition, now, retryAfter);
    const error = failure.finalError();
    for (const pending of open) {
      if (mayResend(pending, disposition, name, this.#pool)) {
        this.#queue.push(pending);
      } else {
        this.#sink.push(FetchResult.failed(pending, error));
      }
    }
  }

  readonly #probed = (failure: Failure | undefined): void => {
    if (failure) {
      this.#outage.recordFailure(failure, performance.now());
    } else {
      this.#outage.recordProbeAnswer();
    }
    this.turn();
  };

  /** Reads no further while the caller doesn't read the results that are there. */
  #applyBackPressure(): void {
    const isFull = this.#sink.isFull;
    if (isFull !== this.#isPaused) {
      this.#isPaused = isFull;
      for (const call of this.#calls) {
        isFull ? call.pause() : call.resume();
      }
    }
  }

  /** Takes the requests for the next call. */
  #fill(now: number): void {
    if (this.#pool.hasAdmitted) {
      this.#unavailable = undefined;
    }
    while (!this.#sink.isFull && (this.#settings.fitsOneCall || this.#needsRequests())) {
      const next = this.#intake.take();
      if (!next) {
        return;
      }
      if (!(next instanceof Pending)) {
        this.#sink.push(FetchResult.failed(next, next.error));
      } else if (this.#unavailable) {
        this.#sink.push(FetchResult.failed(next, this.#unavailable));
      } else if (this.#deadline.hasPassed(now)) {
        this.#sink.push(FetchResult.failed(next, Deadline.error()));
      } else {
        this.#queue.push(next);
      }
    }
  }

  #needsRequests(): boolean {
    return !this.#queue.isFull && (this.#unavailable !== undefined || this.#freeSlots() > 0);
  }

  #makeCalls(now: number): void {
    const admitted = this.#pool.admitted();
    for (const endpoint of admitted) {
      while (this.#queue.length > 0 && this.#makeCall(endpoint, admitted, now)) {}
    }
  }

  /** Makes a call to the endpoint if it is worth it now. Returns true if it did. */
  #makeCall(endpoint: Endpoint, admitted: readonly Endpoint[], now: number): boolean {
    const { concurrency, fitsOneCall } = this.#settings;
    const isSingleCall = fitsOneCall && this.#pool.all.length === 1;
    const share = Math.ceil(this.#concurrency / admitted.length);
    const calls = [...this.#calls].filter((call) => call.endpoint === endpoint);
    const occupied = calls.reduce((sum, call) => sum + call.occupied, 0);
    const free = Math.min(share - occupied, this.#freeSlots());
    // Tiny calls are expensive, so wait until half of the slots are free.
    const isWorthIt = free * 2 >= share || (free >= this.#queue.length && !this.#queue.isFull);
    if (!isSingleCall && (free <= 0 || !isWorthIt || calls.length >= MAX_CALLS)) {
      return false;
    }
    const mayGo = (pending: Pending) => candidates(admitted, pending).includes(endpoint);
    const requests = isSingleCall
      ? this.#queue.takeSingleCall()
      : this.#queue.take(free, this.#maxRequests(free), mayGo);
    if (requests.length === 0) {
      return false;
    }
    const slots = Math.min(free, requests.length);
    this.#send(endpoint, requests, isSingleCall ? (concurrency ?? 0) : slots, slots, now);
    return true;
  }

  #send(
    endpoint: Endpoint,
    requests: Pending[],
    concurrency: number,
    slots: number,
    now: number,
  ): void {
    const { metadata, silenceTimeout, options, body } = this.#settings;
    const remaining = this.#deadline.remaining(now);
    const message = FetchBatchRequest.encode({
      requests: requests.map((pending) => pending.message),
      options,
      concurrency,
      timeout: remaining === undefined ? null : toDuration(remaining),
    }).finish();
    const call = new Call(endpoint, { requests, slots, metadata, silenceTimeout, body }, this);
    this.#calls.add(call);
    this.#pool.lastUsed = endpoint;
    if (this.#isPaused) {
      call.pause();
    }
    call.start(message);
  }

  /** Returns how many requests a call with this many slots may have. */
  #maxRequests(slots: number): number {
    if (this.#pool.all.length === 1) {
      return MAX_CALL_REQUESTS;
    }
    const ahead = Math.floor((slots * MAX_TIME_AHEAD) / this.#timePerRequest);
    return Math.min(Math.max(slots, ahead), MAX_CALL_REQUESTS);
  }

  get #concurrency(): number {
    return this.#settings.concurrency || DEFAULT_CONCURRENCY;
  }

  #freeSlots(): number {
    let free = this.#concurrency;
    for (const call of this.#calls) {
      free -= call.occupied;
    }
    return free;
  }

  /** Ends requests that no service can end in time. */
  #endLateRequests(now: number): void {
    const { endOfGrace } = this.#deadline;
    if (endOfGrace !== undefined && endOfGrace <= now) {
      this.#failOpen(Deadline.error());
    } else if (this.#deadline.hasPassed(now)) {
      this.#failAll(this.#queue.clear(), Deadline.error());
    }
    if ((this.#outage.end ?? Infinity) <= now) {
      const error = this.#outage.error(this.#pool.names);
      this.#outage.reset();
      this.#unavailable = error;
      this.#failOpen(error);
    }
  }

  /** An outage hurts nobody while no request is open. */
  #trackOutage(now: number): void {
    if (this.#queue.length === 0 && this.#calls.size === 0) {
      this.#outage.reset();
    } else if (!this.#pool.hasAdmitted && this.#outage.end === undefined) {
      // Another list has noticed that all endpoints are gone.
      this.#outage.recordFailure(this.#pool.lastFailure, now);
    }
  }

  /** Cancels all calls, and ends all open requests with `error`. */
  #failOpen(error: FetchError): void {
    const open = [...this.#calls].flatMap((call) => call.open);
    this.#cancelCalls();
    this.#failAll([...open, ...this.#queue.clear()], error);
  }

  #failAll(requests: readonly Pending[], error: FetchError): void {
    for (const pending of requests) {
      this.#sink.push(FetchResult.failed(pending, error));
    }
  }

  #cancelCalls(): void {
    for (const call of this.#calls) {
      call.cancel();
    }
    this.#calls.clear();
  }

  /** Sets the timer for the next thing that happens without a message. */
  #schedule(now: number): void {
    clearTimeout(this.#timer);
    const deadline = this.#deadline.hasPassed(now) ? undefined : this.#deadline.at;
    const { endOfGrace } = this.#deadline;
    const next = earliest(deadline, endOfGrace, this.#outage.end, this.#pool.probeDue);
    if (next !== undefined) {
      this.#timer = setTimeout(this.turn, Math.min(Math.max(next - now, 0) + 1, 2 ** 31 - 1));
    }
  }
}

function dispositionOf(result: FetchResult): Disposition {
  return result.error?.reason === "SHUTTING_DOWN"
    ? dispositionOfShutdown(result.attempts)
    : "final";
}
