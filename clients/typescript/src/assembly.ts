import { FetchError } from "./error.js";
import { Part } from "./part.js";

/** Ways to break the contract. */
export const BROKEN = {
  index: "a part with an index out of range",
  afterEnd: "a part after the end",
  secondHead: "a second head",
  bodyBeforeHead: "a body before its head",
  otherSize: "a body of another size than its end reports",
  nothing: "an end with neither head nor error",
  unfinished: "the stream ended without an end for each request",
};

/** A result with a head but without an end. */
interface Incomplete {
  readonly head: Buffer;
  readonly pieces: Buffer[];
}

/**
 * Assembles the results of one call from their parts. Each request gets exactly one result, which
 * is a part with an end and the whole body. If a part contradicts the contract, that is a
 * FetchError.
 */
export class Assembly {
  readonly #results: (Incomplete | "waiting" | "ended")[];
  #unfinished: number;

  /** Creates the assembly for a call with `count` requests. */
  constructor(count: number) {
    this.#results = new Array(count).fill("waiting");
    this.#unfinished = count;
  }

  /** The number of requests without a result. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /** Adds a part. Returns the result if this completes it. */
  add(part: Part): Part | undefined {
    const { index } = part;
    const result = this.#results[index];
    if (result === undefined) {
      throw FetchError.contract(BROKEN.index);
    }
    if (result === "ended") {
      throw FetchError.contract(BROKEN.afterEnd);
    }
    const whole = result === "waiting" ? this.#begin(part) : this.#continue(part, result);
    if (whole) {
      this.#results[index] = "ended";
      this.#unfinished -= 1;
    }
    return whole;
  }

  #begin(part: Part): Part | undefined {
    if (!part.hasHead && part.bodyLength > 0) {
      throw FetchError.contract(BROKEN.bodyBeforeHead);
    }
    if (part.hasEnd) {
      return checked(part);
    }
    if (part.hasHead) {
      const pieces = [this.#detach(part.body, part)];
      this.#results[part.index] = { head: this.#detach(part.head, part), pieces };
    }
    return undefined;
  }

  #continue(part: Part, incomplete: Incomplete): Part | undefined {
    if (part.hasHead) {
      throw FetchError.contract(BROKEN.secondHead);
    }
    incomplete.pieces.push(this.#detach(part.body, part));
    return part.hasEnd ? checked(join(incomplete, part)) : undefined;
  }

  /**
   * Copies a piece that would keep a much larger message in memory while it waits for the rest. The
   * messages of the last result have nothing else.
   */
  #detach(piece: Buffer, { source }: Part): Buffer {
    const isSmall = piece.length * 2 < source.length && this.#unfinished > 1;
    return isSmall ? Buffer.from(piece) : piece;
  }
}

function checked(part: Part): Part {
  if (part.hasHead && part.bodyLength !== part.totalBytes) {
    throw FetchError.contract(BROKEN.otherSize);
  }
  if (!part.hasHead && !part.hasError) {
    throw FetchError.contract(BROKEN.nothing);
  }
  return part;
}

/** Joins a result to one part, which has bytes of its own. */
function join({ head, pieces }: Incomplete, last: Part): Part {
  const source = Buffer.concat([head, ...pieces, last.end]);
  const part = new Part(source);
  part.index = last.index;
  part.headStart = 0;
  part.headEnd = head.length;
  part.bodyStart = head.length;
  part.bodyEnd = source.length - last.end.length;
  part.endStart = part.bodyEnd;
  part.endEnd = source.length;
  part.attempts = last.attempts;
  part.totalBytes = last.totalBytes;
  if (last.hasError) {
    part.errorStart = part.endStart + last.errorStart - last.endStart;
    part.errorEnd = part.endStart + last.errorEnd - last.endStart;
  }
  return part;
}
