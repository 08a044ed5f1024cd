import type { ReadableByteStreamController, UnderlyingByteSource } from "node:stream/web";

import { BROKEN } from "./assembly.js";
import { FetchError } from "./error.js";
import type { FetchResult } from "./fetch_result.js";
import { Head } from "./head.js";
import type { Sink } from "./list.js";
import { FetchEnd } from "./messages.js";
import type { Part } from "./part.js";
import type { Pending } from "./pending.js";
import { streamedResponse } from "./response.js";

/** The bytes that may wait for the caller. Those of a few messages come on top. */
const HIGH_WATER_MARK = 256 << 10;

/** What the response needs from the list. */
interface Source {
  /** Called when the caller has room for more of the body. */
  readMore(): void;
  /** Called when there is no more, or the caller cancels. */
  stop(): void;
}

/** Passes on the response of a single request while its body arrives. */
export class BodySink implements Sink {
  /** The response, as soon as its head is there. */
  readonly response: Promise<Response>;
  readonly #url: string;
  readonly #source: Source;
  #resolve!: (response: Response) => void;
  #reject!: (error: unknown) => void;
  #controller: ReadableByteStreamController | undefined;
  #isOpen = true;

  constructor(url: string, source: Source) {
    this.#url = url;
    this.#source = source;
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get isFull(): boolean {
    return (this.#controller?.desiredSize ?? 1) <= 0;
  }

  begin(part: Part): void {
    const head = new Head(part.headOnly());
    const source: UnderlyingByteSource = {
      type: "bytes",
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#source.readMore(),
      cancel: () => {
        this.#isOpen = false;
        this.#source.stop();
      },
    };
    const stream = new ReadableStream(source, { highWaterMark: HIGH_WATER_MARK });
    this.#resolve(streamedResponse(head, stream, isRedirected(this.#url, head.url)));
  }

  add(bytes: Uint8Array): void {
    if (this.#isOpen && bytes.length > 0) {
      // A copy, since the stream takes over the buffer, which others use as well.
      this.#controller?.enqueue(new Uint8Array(bytes));
    }
  }

  push(result: FetchResult): void {
    if (result.error) {
      this.fail(result.error);
    } else if (this.#isOpen) {
      this.#isOpen = false;
      this.#controller?.close();
      // Ends a read into a buffer of the caller, if there is one.
      (this.#controller?.byobRequest as ReadableStreamBYOBRequest | null | undefined)?.respond(0);
    }
  }

  fail(error: unknown): void {
    if (this.#isOpen) {
      this.#isOpen = false;
      this.#reject(error);
      this.#controller?.error(error);
    }
  }

  end(): void {
    this.#source.stop();
  }
}

/** What a single request with a streamed body looks like in the parts of its call. */
export class BodyAssembly {
  readonly #sink: BodySink;
  readonly #pending: Pending;
  #received = 0;
  #state: "waiting" | "body" | "ended" = "waiting";

  constructor(pending: Pending, sink: BodySink) {
    this.#pending = pending;
    this.#sink = sink;
  }

  get unfinished(): number {
    return this.#state === "ended" ? 0 : 1;
  }

  /** Passes on the part. Returns it if it is the last. */
  add(part: Part): Part | undefined {
    this.#check(part);
    if (part.hasHead) {
      this.#state = "body";
      this.#pending.hasBegun = true;
      this.#sink.begin(part);
    }
    this.#received += part.bodyLength;
    this.#sink.add(part.body);
    if (!part.hasEnd) {
      return undefined;
    }
    if (this.#state === "body" && FetchEnd.decode(part.end).bodyBytes !== this.#received) {
      throw FetchError.contract(BROKEN.otherSize);
    }
    if (this.#state === "waiting" && !part.hasError) {
      throw FetchError.contract(BROKEN.nothing);
    }
    this.#state = "ended";
    return part;
  }

  #check(part: Part): void {
    const hasBegun = this.#state === "body";
    const problems: [boolean, string][] = [
      [part.index !== 0, BROKEN.index],
      [this.#state === "ended", BROKEN.afterEnd],
      [hasBegun && part.hasHead, BROKEN.secondHead],
      [!hasBegun && !part.hasHead && part.bodyLength > 0, BROKEN.bodyBeforeHead],
    ];
    for (const [isBroken, message] of problems) {
      if (isBroken) {
        throw FetchError.contract(message);
      }
    }
  }
}

/** Compares the final URL with that of the request, of which user info and fragment are not sent. */
function isRedirected(requested: string, final: string): boolean {
  if (!URL.canParse(requested)) {
    return false;
  }
  const url = new URL(requested);
  url.username = url.password = url.hash = "";
  return url.href !== final;
}
