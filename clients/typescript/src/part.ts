import protobuf from "protobufjs/minimal.js";

import { FetchError } from "./error.js";

/**
 * A part of a result, as positions in its message.
 *
 * The generated code would decode the head and the end of each part, with all headers and
 * durations. That takes more time than everything else that the client does for a result, and most
 * callers read the status and the body. So this finds where the fields are, and the generated code
 * decodes them when somebody asks.
 */
export class Part {
  index = 0;
  headStart = -1;
  headEnd = -1;
  bodyStart = 0;
  bodyEnd = 0;
  endStart = -1;
  endEnd = -1;
  /** The error inside of the end. */
  errorStart = -1;
  errorEnd = -1;
  /** The number of attempts that the end reports. */
  attempts = 0;
  /** The size of the whole body that the end reports, modulo 2^32. */
  totalBytes = 0;

  /** `source` has the bytes of this part, and maybe of others. */
  constructor(readonly source: Buffer) {}

  get hasHead(): boolean {
    return this.headStart >= 0;
  }

  get hasEnd(): boolean {
    return this.endStart >= 0;
  }

  get hasError(): boolean {
    return this.errorStart >= 0;
  }

  get bodyLength(): number {
    return this.bodyEnd - this.bodyStart;
  }

  /** The bytes of the body, without a copy. */
  get body(): Buffer {
    return this.source.subarray(this.bodyStart, this.bodyEnd);
  }

  /** Same as `body`, for callers: methods of a Buffer mean something else than those of its class. */
  get bytes(): Uint8Array {
    const { buffer, byteOffset } = this.source;
    return new Uint8Array(buffer, byteOffset + this.bodyStart, this.bodyLength);
  }

  /** The encoded ResponseHead. */
  get head(): Buffer {
    return this.source.subarray(this.headStart, this.headEnd);
  }

  /** The encoded FetchEnd. */
  get end(): Buffer {
    return this.source.subarray(this.endStart, this.endEnd);
  }

  /** The encoded FetchError. */
  get error(): Buffer {
    return this.source.subarray(this.errorStart, this.errorEnd);
  }

  /** Returns a copy that has nothing but the head, and does not keep the message in memory. */
  headOnly(): Part {
    const copy = new Part(Buffer.from(this.head));
    copy.headStart = 0;
    copy.headEnd = copy.source.length;
    return copy;
  }
}

const VARINT = 0;
const BYTES = 2;

const tag = (field: number, type: number) => (field << 3) | type;

const RESPONSE_PARTS = tag(1, BYTES);
const PART_INDEX = tag(1, VARINT);
const PART_HEAD = tag(2, BYTES);
const PART_BODY = tag(3, BYTES);
const PART_END = tag(4, BYTES);
const END_ERROR = tag(1, BYTES);
const END_ATTEMPTS = tag(2, VARINT);
const END_BODY_BYTES = tag(4, VARINT);
const HEAD_STATUS = tag(1, VARINT);

/** Finds the parts of an encoded FetchBatchResponse. Throws a FetchError if it is malformed. */
export function readParts(message: Buffer): Part[] {
  try {
    return read(message);
  } catch {
    throw FetchError.contract("a message that cannot be decoded");
  }
}

function read(message: Buffer): Part[] {
  const parts: Part[] = [];
  const reader = protobuf.Reader.create(message);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === RESPONSE_PARTS) {
      parts.push(readPart(message, reader));
    } else {
      reader.skipType(tag & 7);
    }
  }
  return parts;
}

function readPart(message: Buffer, reader: protobuf.Reader): Part {
  const part = new Part(message);
  const end = endOfBytes(reader);
  while (reader.pos < end) {
    const tag = reader.uint32();
    switch (tag) {
      case PART_INDEX:
        part.index = reader.uint32();
        break;
      case PART_HEAD:
        part.headEnd = endOfBytes(reader);
        part.headStart = reader.pos;
        reader.pos = part.headEnd;
        break;
      case PART_BODY:
        part.bodyEnd = endOfBytes(reader);
        part.bodyStart = reader.pos;
        reader.pos = part.bodyEnd;
        break;
      case PART_END:
        part.endEnd = endOfBytes(reader);
        part.endStart = reader.pos;
        readEnd(part, reader);
        break;
      default:
        reader.skipType(tag & 7);
    }
  }
  return checked(part, reader.pos === end);
}

function readEnd(part: Part, reader: protobuf.Reader): void {
  while (reader.pos < part.endEnd) {
    const tag = reader.uint32();
    switch (tag) {
      case END_ERROR:
        part.errorEnd = endOfBytes(reader);
        part.errorStart = reader.pos;
        reader.pos = part.errorEnd;
        break;
      case END_ATTEMPTS:
        part.attempts = reader.uint32();
        break;
      case END_BODY_BYTES:
        part.totalBytes = reader.uint32();
        break;
      default:
        reader.skipType(tag & 7);
    }
  }
  checked(part, reader.pos === part.endEnd);
}

/** Reads the status of an encoded ResponseHead, and nothing else. */
export function readStatus({ source, headStart, headEnd }: Part): number {
  const reader = protobuf.Reader.create(source);
  reader.pos = headStart;
  while (reader.pos < headEnd) {
    const tag = reader.uint32();
    if (tag === HEAD_STATUS) {
      return reader.uint32();
    }
    reader.skipType(tag & 7);
  }
  return 0;
}

/** Returns where the bytes end that begin after their length. */
function endOfBytes(reader: protobuf.Reader): number {
  const length = reader.uint32();
  const end = reader.pos + length;
  if (end > reader.len) {
    throw new RangeError("a field is longer than its message");
  }
  return end;
}

function checked(part: Part, isWhole: boolean): Part {
  if (!isWhole) {
    throw new RangeError("a field is longer than its message");
  }
  return part;
}
