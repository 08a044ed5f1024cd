import { status as Code, type Metadata, type StatusObject } from "@grpc/grpc-js";

import { Assembly, BROKEN } from "./assembly.js";
import { BodyAssembly, type BodySink } from "./body.js";
import { refusedByToken, type Endpoint, type MetadataInput, type Responses } from "./endpoint.js";
import { FetchError } from "./error.js";
import { Failure } from "./failure.js";
import { readParts, type Part } from "./part.js";
import type { Pending } from "./pending.js";

/**
 * The slowest upload to tolerate, in bytes per second. The service has to receive the whole message
 * before it can answer, so the time for that is added to the silence timeout.
 */
const MIN_PACE = 128 << 10;

/** Receives what happens in a call. */
export interface CallListener {
  /** A message has arrived; its results follow. */
  answered(call: Call): void;
  /** A request has ended. */
  ended(call: Call, pending: Pending, result: Part): void;
  /** All results of the message have been passed on. */
  progressed(): void;
  /** The call is over. These requests have no result. */
  closed(call: Call, open: Pending[], failure: Failure | undefined): void;
}

/** What a call sends, and how. */
export interface CallSettings {
  readonly requests: readonly Pending[];
  /** The maximum number of its requests in flight. */
  readonly slots: number;
  readonly metadata: MetadataInput | undefined;
  /** The call fails if no message arrives for this many milliseconds. */
  readonly silenceTimeout: number;
  /** Takes the response of a single request while it arrives. */
  readonly body: BodySink | undefined;
}

/** One call, which usually carries several requests. */
export class Call {
  readonly endpoint: Endpoint;
  readonly #settings: CallSettings;
  readonly #listener: CallListener;
  readonly #assembly: Assembly | BodyAssembly;
  /** The requests by their index in the call, without those that have ended. */
  readonly #open: (Pending | undefined)[];
  #responses: Responses | undefined;
  #status: StatusObject | undefined;
  #silence: NodeJS.Timeout | undefined;
  #begun = performance.now();
  #isEmpty = true;
  #isPaused = false;
  #isClosed = false;

  constructor(endpoint: Endpoint, settings: CallSettings, listener: CallListener) {
    this.endpoint = endpoint;
    this.#settings = settings;
    this.#listener = listener;
    this.#open = [...settings.requests];
    const [single] = settings.requests;
    this.#assembly =
      single && settings.body
        ? new BodyAssembly(single, settings.body)
        : new Assembly(settings.requests.length);
  }

  /** The number of slots that its requests occupy. */
  get occupied(): number {
    return Math.min(this.#settings.slots, this.#assembly.unfinished);
  }

  /** How long a request occupied its slot on average, in milliseconds, if the call ends `now`. */
  timePerRequest(now: number): number {
    const { requests, slots } = this.#settings;
    return ((now - this.#begun) * Math.min(slots, requests.length)) / requests.length;
  }

  /** The requests without a result. */
  get open(): Pending[] {
    return this.#open.filter((pending) => pending !== undefined);
  }

  /** Sends the encoded message, after a probe if one is needed. */
  start(message: Uint8Array): void {
    void this.#start(message);
  }

  async #start(message: Uint8Array): Promise<void> {
    const isIdempotent = this.#settings.requests.every((pending) => pending.isIdempotent);
    if (this.endpoint.needsProbe(isIdempotent)) {
      const failure = await this.endpoint.probe();
      if (failure) {
        this.#close(failure);
        return;
      }
    }
    let metadata;
    try {
      metadata = await this.endpoint.metadata(this.#settings.metadata);
    } catch (error) {
      this.#close(refusedByToken(error));
      return;
    }
    if (!this.#isClosed) {
      this.#send(message, metadata);
    }
  }

  #send(message: Uint8Array, metadata: Metadata): void {
    const responses = this.endpoint.fetchBatch(message, metadata);
    this.#begun = performance.now();
    this.#responses = responses;
    this.#expectMessage((message.length / MIN_PACE) * 1000);
    responses.on("data", (bytes: Buffer) => this.#receive(bytes));
    // The status follows in any case, and the messages that came before it are read first.
    responses.on("error", () => {});
    responses.on("status", (status: StatusObject) => (this.#status = status));
    responses.on("end", () => this.#end());
    if (this.#isPaused) {
      this.#pauseReading();
    }
  }

  /** Stops reading. The service slows down when its buffers are full. */
  pause(): void {
    if (!this.#isPaused) {
      this.#isPaused = true;
      this.#pauseReading();
    }
  }

  resume(): void {
    if (this.#isPaused) {
      this.#isPaused = false;
      if (this.#responses && !this.#isClosed) {
        this.#expectMessage(0);
        this.#responses.resume();
      }
    }
  }

  /** Cancels the call. Its listener hears nothing more. */
  cancel(): void {
    this.#isClosed = true;
    clearTimeout(this.#silence);
    this.#responses?.cancel();
  }

  #pauseReading(): void {
    // Nothing is expected to arrive.
    clearTimeout(this.#silence);
    this.#responses?.pause();
  }

  #expectMessage(extra: number): void {
    const { silenceTimeout } = this.#settings;
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#responses?.cancel();
      this.#close(Failure.silent(silenceTimeout));
    }, silenceTimeout + extra);
  }

  #receive(bytes: Buffer): void {
    if (this.#isClosed) {
      return;
    }
    if (this.#isEmpty) {
      this.#isEmpty = false;
      this.#expectMessage(0);
    } else {
      this.#silence?.refresh();
    }
    this.#listener.answered(this);
    const contract = this.#assemble(bytes);
    if (contract) {
      this.#responses?.cancel();
      this.#close(Failure.lost(contract));
    } else {
      this.#listener.progressed();
    }
  }

  /** Returns the error if the message breaks the contract. */
  #assemble(bytes: Buffer): FetchError | undefined {
    try {
      for (const part of readParts(bytes)) {
        this.#add(part);
      }
    } catch (error) {
      if (error instanceof FetchError) {
        return error;
      }
      throw error;
    }
    return undefined;
  }

  #add(part: Part): void {
    const result = this.#assembly.add(part);
    const pending = this.#open[part.index];
    if (result && pending) {
      this.#open[part.index] = undefined;
      this.#listener.ended(this, pending, result);
    }
  }

  #end(): void {
    const status = this.#status;
    if (this.#assembly.unfinished === 0) {
      // It doesn't matter how the call ends.
      this.#close(undefined);
    } else if (status && status.code !== Code.OK) {
      this.#close(Failure.ofStatus(status, this.#isEmpty));
    } else {
      const error = FetchError.contract(BROKEN.unfinished);
      this.#close(Failure.lost(error));
    }
  }

  #close(failure: Failure | undefined): void {
    if (!this.#isClosed) {
      this.#isClosed = true;
      clearTimeout(this.#silence);
      this.#listener.closed(this, this.open, failure?.at(this.endpoint.name));
    }
  }
}
