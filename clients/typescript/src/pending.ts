import type { RequestInput } from "./request.js";
import { sizeOf } from "./request.js";
import type { RequestMessage } from "./messages.js";

const IDEMPOTENT = new Set(["", "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

/** A request without a result, and how often and where it was lost. */
export class Pending {
  readonly isIdempotent: boolean;
  /** An upper bound of its size in a message, in bytes. */
  readonly size: number;
  /** The number of failed calls that count as a loss of this request. */
  losses = 0;
  /** True if a part of its body has been handed to the caller. */
  hasBegun = false;
  #avoided: Set<string> | undefined;

  constructor(
    /** Its position in the caller's list. */
    readonly position: number,
    /** The request as the caller wrote it. */
    readonly input: RequestInput,
    readonly message: RequestMessage,
  ) {
    this.isIdempotent = IDEMPOTENT.has(message.method ?? "");
    this.size = sizeOf(message);
  }

  /** Makes the request avoid an endpoint that failed it, as long as there is another. */
  avoid(endpoint: string): void {
    (this.#avoided ??= new Set()).add(endpoint);
  }

  avoids(endpoint: string): boolean {
    return this.#avoided?.has(endpoint) ?? false;
  }

  /** Lets the request go to any endpoint again. */
  avoidNone(): void {
    this.#avoided = undefined;
  }
}
