import protobuf from $DEPENDENCY;

// Integers of 64 bits are numbers. All input is in Buffers.
class Reader extends protobuf.BufferReader {
  static create(buffer) {
    return new Reader(buffer);
  }

  int64() {
    return toNumber(super.int64());
  }

  uint64() {
    return toNumber(super.uint64());
  }
}

function toNumber(value) {
  return typeof value === "number" ? value : value.toNumber();
}

const util = { ...protobuf.util, Long: undefined };

// Without the global roots, in which two versions of this file would replace each other.
const $protobuf = { ...protobuf, Reader, util, roots: {} };

$OUTPUT;
