import { FetchError } from "./error.js";
import type { HeaderMessage, RequestMessage } from "./messages.js";
import { Pending } from "./pending.js";
import { addHeaders, sizeOf, toMessage, type RequestInput, type Requests } from "./request.js";

/** A request that can't be sent. Its error takes its place in the results. */
export interface Unsendable {
  readonly position: number;
  readonly input: RequestInput;
  readonly error: FetchError;
}

/** Where the requests of a list come from. */
export interface Intake {
  /** True once all requests have been taken. */
  readonly hasEnded: boolean;
  /** Returns the next request, or undefined if there is none now. */
  take(): Pending | Unsendable | undefined;
  /** Stops, for example because the list was cancelled. */
  close(): void;
}

/** Requests that are in memory, and have been checked. */
export class ListIntake implements Intake {
  readonly #requests: readonly RequestInput[];
  readonly #headers: readonly HeaderMessage[];
  /** The messages of requests that are no strings, by position. */
  readonly #messages = new Map<number, RequestMessage>();
  #taken = 0;

  /**
   * Checks all requests of a list. Throws a TypeError that names the first that can't be sent. The
   * result is a promise only if bodies have to be read.
   */
  static of(
    requests: readonly RequestInput[],
    headers: readonly HeaderMessage[],
  ): ListIntake | Promise<ListIntake> {
    const intake = new ListIntake(requests, headers);
    const reading = intake.#check();
    return reading.length > 0 ? Promise.all(reading).then(() => intake) : intake;
  }

  private constructor(requests: readonly RequestInput[], headers: readonly HeaderMessage[]) {
    this.#requests = [...requests];
    this.#headers = headers;
  }

  get length(): number {
    return this.#requests.length;
  }

  get hasEnded(): boolean {
    return this.#taken === this.#requests.length;
  }

  /** The size of all requests in messages, in bytes, or a little more. */
  get size(): number {
    let size = this.length * sizeOf({ headers: [...this.#headers] });
    for (let position = 0; position < this.length; position++) {
      size += sizeOf(this.#messageOf(position));
    }
    return size;
  }

  /** The URL of the first request. */
  get firstUrl(): string {
    return this.#messageOf(0).url ?? "";
  }

  take(): Pending | undefined {
    if (this.hasEnded) {
      return undefined;
    }
    const position = this.#taken++;
    const input = this.#requests[position] as RequestInput;
    return toPending(position, input, this.#messageOf(position), this.#headers);
  }

  close(): void {
    this.#taken = this.#requests.length;
  }

  #check(): Promise<unknown>[] {
    const reading: Promise<unknown>[] = [];
    this.#requests.forEach((input, position) => {
      const message = toMessage(`requests[${position}]`, input);
      if (message instanceof Promise) {
        reading.push(message.then((read) => this.#messages.set(position, read)));
      } else if (typeof input !== "string") {
        this.#messages.set(position, message);
      }
    });
    return reading;
  }

  #messageOf(position: number): RequestMessage {
    return this.#messages.get(position) ?? { url: String(this.#requests[position]) };
  }
}

/** Takes requests from an iterator, one at a time and only when they are needed. */
export class StreamIntake implements Intake {
  readonly #iterator: Iterator<RequestInput> | AsyncIterator<RequestInput>;
  readonly #headers: readonly HeaderMessage[];
  readonly #wake: () => void;
  readonly #fail: (error: unknown) => void;
  #next: Pending | Unsendable | undefined;
  #taken = 0;
  #isWaiting = false;
  #hasEnded = false;

  /**
   * Creates the intake. It calls `wake` when a request has arrived that `take` didn't find, and
   * `fail` if the iterator throws.
   */
  constructor(
    requests: Requests,
    headers: readonly HeaderMessage[],
    wake: () => void,
    fail: (error: unknown) => void,
  ) {
    this.#iterator =
      Symbol.asyncIterator in requests
        ? requests[Symbol.asyncIterator]()
        : requests[Symbol.iterator]();
    this.#headers = headers;
    this.#wake = wake;
    this.#fail = fail;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  take(): Pending | Unsendable | undefined {
    if (!this.#next && !this.#isWaiting && !this.#hasEnded) {
      this.#advance();
    }
    const next = this.#next;
    this.#next = undefined;
    return next;
  }

  close(): void {
    if (!this.#hasEnded) {
      this.#hasEnded = true;
      // What an iterator throws when it is left is nobody's business.
      void (async () => this.#iterator.return?.())().catch(() => {});
    }
  }

  #advance(): void {
    try {
      this.#settle(this.#iterator.next(), (result) => this.#accept(result));
    } catch (error) {
      this.#end(error);
    }
  }

  /** Calls `use` with the value, at once if it is no promise. */
  #settle<T>(value: T | Promise<T>, use: (value: T) => void): void {
    if (!(value instanceof Promise) && !isThenable(value)) {
      use(value);
      return;
    }
    this.#isWaiting = true;
    Promise.resolve(value)
      .then((settled) => {
        this.#isWaiting = false;
        use(settled);
        this.#wake();
      })
      .catch((error: unknown) => this.#end(error));
  }

  #accept(result: IteratorResult<RequestInput>): void {
    if (this.#hasEnded) {
      return;
    }
    if (result.done) {
      this.#hasEnded = true;
      return;
    }
    const position = this.#taken++;
    this.#settle(this.#convert(position, result.value), (next) => (this.#next = next));
  }

  #convert(
    position: number,
    input: RequestInput,
  ): Pending | Unsendable | Promise<Pending | Unsendable> {
    const unsendable = (error: unknown): Unsendable => {
      const message = error instanceof Error ? error.message : String(error);
      return { position, input, error: FetchError.unsendable(message) };
    };
    const sendable = (message: RequestMessage) =>
      toPending(position, input, message, this.#headers);
    try {
      const message = toMessage(`requests[${position}]`, input);
      return message instanceof Promise ? message.then(sendable, unsendable) : sendable(message);
    } catch (error) {
      return unsendable(error);
    }
  }

  #end(error: unknown): void {
    if (!this.#hasEnded) {
      this.#hasEnded = true;
      this.#fail(error);
    }
  }
}

function toPending(
  position: number,
  input: RequestInput,
  message: RequestMessage,
  headers: readonly HeaderMessage[],
): Pending {
  if (headers.length > 0) {
    addHeaders(message, headers);
  }
  return new Pending(position, input, message);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === "function";
}
