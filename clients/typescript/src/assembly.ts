import { FetchError } from "./error.js";
import { End, type Part } from "./messages.js";

/** The complete result of one request of a call. */
export interface Outcome {
  /** The index of the request in the call. */
  readonly index: number;
  /** An encoded ResponseHead. Null if the origin sent no response. */
  readonly head: Uint8Array | null;
  readonly body: Uint8Array;
  /** An encoded FetchEnd. */
  readonly end: Uint8Array;
  /** The encoded FetchError. Null if the response is complete. */
  readonly error: Uint8Array | null;
  readonly attempts: number;
}

/** A result with a head but without an end. */
interface Incomplete {
  readonly head: Uint8Array;
  readonly pieces: Uint8Array[];
}

const EMPTY = new Uint8Array();

/**
 * Assembles the results of one call from their parts. Each request gets exactly one outcome. If a
 * part contradicts the contract, that is a FetchError.
 */
export class Assembly {
  readonly #results: (Incomplete | "waiting" | "ended")[];
  #unfinished: number;

  /** Creates the assembly for a call with `count` requests. */
  constructor(count: number) {
    this.#results = new Array(count).fill("waiting");
    this.#unfinished = count;
  }

  /** The number of requests without an outcome. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /** Adds a part. Returns the outcome if this completes a result. */
  add(part: Part): Outcome | undefined {
    const { index } = part;
    const result = this.#results[index];
    if (result === undefined) {
      throw FetchError.contract(`a part with the index ${index} of ${this.#results.length} requests`);
    }
    if (result === "ended") {
      throw FetchError.contract("a part after the end");
    }
    const outcome =
      result === "waiting" ? this.#begin(index, part) : this.#continue(index, part, result);
    if (outcome) {
      this.#results[index] = "ended";
      this.#unfinished -= 1;
    }
    return outcome;
  }

  #begin(index: number, part: Part): Outcome | undefined {
    if (!part.head && part.body.length > 0) {
      throw FetchError.contract("a body before its head");
    }
    if (part.end) {
      return complete(index, part.head ? detach(part.head) : null, detach(part.body), part.end);
    }
    if (part.head) {
      this.#results[index] = { head: detach(part.head), pieces: nonEmpty(part.body) };
    }
    return undefined;
  }

  #continue(index: number, part: Part, { head, pieces }: Incomplete): Outcome | undefined {
    if (part.head) {
      throw FetchError.contract("a second head");
    }
    pieces.push(...nonEmpty(part.body));
    return part.end ? complete(index, head, Buffer.concat(pieces), part.end) : undefined;
  }
}

function complete(
  index: number,
  head: Uint8Array | null,
  body: Uint8Array,
  encoded: Uint8Array,
): Outcome {
  const { error, attempts, bodyBytes } = End.decode(encoded);
  if (head && body.length !== bodyBytes) {
    throw FetchError.contract("a body of another size than its end reports");
  }
  if (!head && !error) {
    throw FetchError.contract("an end with neither head nor error");
  }
  return { index, head, body, end: detach(encoded), error: error ? detach(error) : null, attempts };
}

/** Copies the bytes, so that a small result does not keep its whole message in memory. */
function detach(bytes: Uint8Array): Uint8Array {
  return bytes.length === 0 ? EMPTY : Buffer.from(bytes);
}

function nonEmpty(body: Uint8Array): Uint8Array[] {
  return body.length === 0 ? [] : [detach(body)];
}
