import {
  Client as GrpcClient,
  credentials,
  Metadata,
  status as Code,
  type ChannelOptions,
  type ClientReadableStream,
  type StatusObject,
} from "@grpc/grpc-js";

import type { Address } from "./address.js";
import { Failure } from "./failure.js";
import { FetchError } from "./error.js";
import { Health } from "./health.js";
import { tlsCredentials, type TlsOptions } from "./tls.js";
import type { Authorization } from "./token.js";
import { VERSION } from "./version.js";

/** gRPC metadata of the caller, such as `traceparent`. Names that end in `-bin` have bytes. */
export type MetadataInput = Readonly<Record<string, string | Uint8Array>>;

/** The responses of a call, as encoded messages. */
export type Responses = ClientReadableStream<Buffer>;

const METHOD = "/fetchd.v1.FetchService/FetchBatch";

/** Time limit of a probe, in milliseconds. */
const PROBE_TIMEOUT = 5_000;

/** An answer proves for this many milliseconds that calls reach the endpoint. */
const PROOF_LASTS = 1_000;

const OPTIONS: ChannelOptions = {
  // A call that may have been dispatched is sent again by `resend` only. DNS could set a policy.
  "grpc.service_config_disable_resolution": 1,
  "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
  "grpc.primary_user_agent": `fetchd-typescript/${VERSION}`,
  // A hanging endpoint is noticed after 15 s.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.keepalive_permit_without_calls": 1,
  // The defaults are 1 s, 2 min and 30 s: too long for a rollout.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 5_000,
  "grpc.dns_min_time_between_resolutions_ms": 1_000,
  "grpc.enable_http_proxy": 0,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.max_receive_message_length": 16 << 20,
  // With the default of 64 KiB, messages are smaller, and there are more of them.
  "grpc-node.flow_control_window": 2 << 20,
};

/** One endpoint of the service: its channel and its health. */
export class Endpoint {
  readonly name: string;
  readonly health = new Health();
  readonly #client: GrpcClient;
  readonly #authorization: Authorization | undefined;
  #lastAnswer = -Infinity;
  #isClosed = false;
  #probe: Promise<Failure | undefined> | undefined;

  /** Creates the endpoint. It connects with the first call. */
  constructor({ name, hasTls, target }: Address, tls?: TlsOptions, authorization?: Authorization) {
    const security = hasTls ? tlsCredentials(tls ?? {}) : credentials.createInsecure();
    this.name = name;
    this.#client = new GrpcClient(target, security, OPTIONS);
    this.#authorization = authorization;
  }

  /** Records that the service has answered a call. */
  recordAnswer(): void {
    this.#lastAnswer = performance.now();
  }

  /**
   * True if a call with or without requests that are not idempotent has to be preceded by a probe:
   * gRPC can't say whether a call that failed had left.
   */
  needsProbe(isIdempotent: boolean): boolean {
    const age = performance.now() - this.#lastAnswer;
    return isIdempotent ? age === Infinity : age > PROOF_LASTS;
  }

  /** Creates the metadata of a call, with the token. */
  async metadata(input: MetadataInput = {}): Promise<Metadata> {
    const metadata = new Metadata();
    for (const [key, value] of Object.entries(input)) {
      metadata.set(key, typeof value === "string" ? value : Buffer.from(value));
    }
    if (this.#authorization) {
      metadata.set("authorization", await this.#authorization());
    }
    return metadata;
  }

  /** Makes a call. */
  fetchBatch(message: Uint8Array, metadata: Metadata): Responses {
    return this.#client.makeServerStreamRequest(METHOD, toBuffer, identity, message, metadata);
  }

  /**
   * Sends an empty batch. Returns the failure, if there is one, in which case nothing was
   * dispatched. Callers that need a probe at the same time share it.
   */
  probe(): Promise<Failure | undefined> {
    this.#probe ??= this.#sendProbe().finally(() => (this.#probe = undefined));
    return this.#probe;
  }

  async #sendProbe(): Promise<Failure | undefined> {
    let metadata;
    try {
      metadata = await this.metadata();
    } catch (error) {
      return refusedByToken(error);
    }
    if (this.#isClosed) {
      return Failure.lost(FetchError.serviceLost("the client is closed"));
    }
    const failure = await this.#emptyBatch(metadata);
    if (!failure) {
      this.recordAnswer();
    }
    return failure?.at(this.name).beforeDispatch();
  }

  #emptyBatch(metadata: Metadata): Promise<Failure | undefined> {
    return new Promise((resolve) => {
      const call = this.fetchBatch(new Uint8Array(), metadata);
      const timer = setTimeout(() => {
        resolve(Failure.silent(PROBE_TIMEOUT));
        call.cancel();
      }, PROBE_TIMEOUT);
      call.on("data", () => {});
      call.on("error", () => {});
      call.on("status", (status: StatusObject) => {
        clearTimeout(timer);
        resolve(status.code === Code.OK ? undefined : Failure.ofStatus(status, true));
      });
    });
  }

  /** Closes the channel. Open calls go on. */
  close(): void {
    this.#isClosed = true;
    this.#client.close();
  }
}

/** There is no valid token to send. */
export function refusedByToken(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  return new Failure(
    new FetchError("CALL_FAILED", message, { code: "UNAUTHENTICATED" }),
    "refused",
  );
}

function toBuffer(message: Uint8Array): Buffer {
  return Buffer.from(message.buffer, message.byteOffset, message.byteLength);
}

function identity(message: Buffer): Buffer {
  return message;
}
