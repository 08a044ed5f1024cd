import { status as Code, type Metadata, type StatusObject } from "@grpc/grpc-js";

import { toMilliseconds } from "./duration.js";
import { FetchError } from "./error.js";
import { ErrorInfo, RetryInfo, Status } from "./messages.js";

/**
 * Says what a failed call means: whether its requests may be sent again, and whether its endpoint
 * is to blame.
 *
 * - `final`: sending the requests again would not change the result.
 * - `refused`: the endpoint rejected the call without dispatching anything. Another endpoint may
 *   accept it.
 * - `foreign`: the endpoint is no fetchd service, or does not accept this client. Otherwise like
 *   `refused`.
 * - `not dispatched`: nothing was dispatched, so all requests may be sent again.
 * - `lost`: the requests may have been dispatched, so only the idempotent ones may be sent again.
 */
export type Disposition = "final" | "refused" | "foreign" | "not dispatched" | "lost";

/** A failed call. */
export class Failure {
  constructor(
    /** The error for a request that is not sent again. */
    readonly error: FetchError,
    readonly disposition: Disposition,
    /** Set if the endpoint is full: it may have room again after this time, in milliseconds. */
    readonly retryAfter?: number,
  ) {}

  /** The call failed after its requests may have been dispatched. */
  static lost(error: FetchError): Failure {
    return new Failure(error, "lost");
  }

  /** The call ended with `status`. `isEmpty` is true if no message had arrived before. */
  static ofStatus(status: StatusObject, isEmpty: boolean): Failure {
    const retryAfter = isEmpty ? retryDelay(status) : undefined;
    const disposition = isEmpty ? dispositionOf(status, retryAfter) : "lost";
    return new Failure(errorOf(status, disposition), disposition, retryAfter);
  }

  /** The endpoint sent nothing for `ms` milliseconds. */
  static silent(ms: number): Failure {
    const time = `${ms / 1000}s`;
    return Failure.lost(
      FetchError.serviceLost(`the service sent nothing for ${time} while requests were open`),
    );
  }

  /** The probe before the call failed in this way. Nothing was dispatched. */
  beforeDispatch(): Failure {
    return this.disposition === "lost" ? new Failure(this.error, "not dispatched") : this;
  }

  /** Names the endpoint that failed. */
  at(endpoint: string): Failure {
    const { reason, message, code } = this.error;
    if (reason !== "SERVICE_LOST") {
      return this;
    }
    const error = FetchError.serviceLost(`${endpoint}: ${message}`, code);
    return new Failure(error, this.disposition, this.retryAfter);
  }

  /** Returns the error for a request that is not sent again. */
  finalError(): FetchError {
    const { reason, message, code } = this.error;
    if (this.disposition !== "lost" || reason !== "SERVICE_LOST") {
      return this.error;
    }
    const addition = "the request may have reached its origin and was not sent again";
    return FetchError.serviceLost(`${message}; ${addition}`, code);
  }
}

/** Returns the disposition for a request that ended with the error SHUTTING_DOWN. */
export function dispositionOfShutdown(attempts: number): Disposition {
  return attempts === 0 ? "not dispatched" : "lost";
}

function dispositionOf(status: StatusObject, retryAfter: number | undefined): Disposition {
  switch (status.code) {
    case Code.INVALID_ARGUMENT:
    case Code.OUT_OF_RANGE:
    case Code.UNAUTHENTICATED:
      return "refused";
    case Code.UNIMPLEMENTED:
    case Code.PERMISSION_DENIED:
      return "foreign";
    case Code.RESOURCE_EXHAUSTED:
      return retryAfter === undefined ? "lost" : "not dispatched";
    case Code.UNAVAILABLE:
      return isDraining(status.metadata) ? "not dispatched" : "lost";
    default:
      return "lost";
  }
}

/** The codes that may pass. */
const TRANSIENT = [
  Code.CANCELLED,
  Code.UNKNOWN,
  Code.DEADLINE_EXCEEDED,
  Code.RESOURCE_EXHAUSTED,
  Code.ABORTED,
  Code.UNAVAILABLE,
];

function errorOf({ code, details }: StatusObject, disposition: Disposition): FetchError {
  const name = Code[code] ?? `CODE_${code}`;
  const message = `the call failed (${name}): ${causeOf(details)}`;
  if (disposition === "lost") {
    return FetchError.serviceLost(message, name);
  }
  return new FetchError("CALL_FAILED", message, {
    retryable: TRANSIENT.includes(code),
    code: name,
  });
}

/** Removes what grpc-js adds to the cause if it cannot connect. */
function causeOf(details: string): string {
  const last = details.slice(details.lastIndexOf(LAST_ERROR) + LAST_ERROR.length);
  const cause = details.includes(LAST_ERROR) ? last : details;
  const text = cause.replace(/^Error: /, "").replace(/\.? Resolution note: $/, "");
  return text === "null" ? "no connection" : text.trim();
}

const LAST_ERROR = "Last error: ";

function retryDelay({ code, metadata }: StatusObject): number | undefined {
  const info = code === Code.RESOURCE_EXHAUSTED && detail(metadata, "RetryInfo", RetryInfo);
  return info ? toMilliseconds(info.retryDelay ?? {}) : undefined;
}

function isDraining(metadata: Metadata): boolean {
  const info = detail(metadata, "ErrorInfo", ErrorInfo);
  return info?.reason === "DRAINING" && info.domain === "fetchd";
}

/** Reads the detail of a status that has the type google.rpc.`name`. */
function detail<T>(
  metadata: Metadata,
  name: string,
  message: { decode(bytes: Uint8Array): T },
): T | undefined {
  try {
    const [status = ""] = metadata.get("grpc-status-details-bin");
    const { details } = Status.decode(Buffer.from(status));
    const found = details.find((any) => any.type_url?.endsWith(`/google.rpc.${name}`));
    return found?.value ? message.decode(found.value) : undefined;
  } catch {
    // Details of somebody else, in an encoding of their own.
    return undefined;
  }
}
