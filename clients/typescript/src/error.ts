/**
 * The kind of a failure. The reasons are those of `fetchd.v1.Reason` without `REASON_`, and
 * these, which have to do with the service instead of the URL:
 *
 * - `SERVICE_LOST`: no replica of the service answered for as long as the client waits, or a
 *   replica was lost with a request that must not be sent twice. In the latter case, the request
 *   may have reached its origin.
 * - `CALL_FAILED`: the service refused the call; `code` says why.
 * - `CONTRACT_BROKEN`: the service sent a response that violates the protocol.
 *
 * A later version of the service may have more, such as `REASON_99`; `retryable` is set for these
 * too.
 */
export type FailureReason =
  | "INVALID_REQUEST"
  | "BLOCKED"
  | "DNS"
  | "CONNECT"
  | "TLS"
  | "TIMEOUT"
  | "TOO_MANY_REDIRECTS"
  | "PROTOCOL"
  | "DISCONNECTED"
  | "DECODE"
  | "BODY_TOO_LARGE"
  | "BATCH_DEADLINE"
  | "SHUTTING_DOWN"
  | "INTERNAL"
  | "UNSPECIFIED"
  | "SERVICE_LOST"
  | "CALL_FAILED"
  | "CONTRACT_BROKEN"
  | (string & {});

/** The settings of a {@link FetchError}. */
export interface FetchErrorInit {
  readonly retryable?: boolean;
  readonly code?: string | undefined;
}

/**
 * The reason why a request has no complete response. The message contains no query string and no
 * credentials of a URL.
 */
export class FetchError extends Error {
  /** The kind of the failure. Programs must use this instead of the message. */
  readonly reason: FailureReason;

  /**
   * True if the same request may succeed when it is sent again later. Says nothing about whether
   * it is safe to send it twice.
   */
  readonly retryable: boolean;

  /** The name of the gRPC status, such as `UNAUTHENTICATED`, if a call to the service failed. */
  readonly code: string | undefined;

  constructor(reason: FailureReason, message: string, init: FetchErrorInit = {}) {
    super(message);
    this.reason = reason;
    this.retryable = init.retryable ?? false;
    this.code = init.code;
  }

  /** The service broke its contract. */
  static contract(message: string): FetchError {
    return new FetchError("CONTRACT_BROKEN", `the service broke its contract: ${message}`);
  }

  /** The service can't be reached, or was lost with a request. */
  static serviceLost(message: string, code?: string): FetchError {
    return new FetchError("SERVICE_LOST", message, { retryable: true, code });
  }

  /** A request that can't be sent. */
  static unsendable(message: string): FetchError {
    return new FetchError("INVALID_REQUEST", `the request cannot be sent: ${message}`);
  }
}

FetchError.prototype.name = "FetchError";
