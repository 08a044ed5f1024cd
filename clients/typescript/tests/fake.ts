/** A service that plays what a test says, and records what it receives. */

import {
  Metadata,
  Server,
  ServerCredentials,
  status as Code,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import type { TestContext } from "node:test";

import { fetchd, google } from "../generated/messages.js";

const { FetchBatchRequest, FetchBatchResponse } = fetchd.v1;

export type Batch = fetchd.v1.FetchBatchRequest;
export type PartMessage = fetchd.v1.IResultPart;

/** One call, from the point of view of the service. */
export interface FakeCall {
  readonly batch: Batch;
  readonly metadata: Metadata;
  readonly isCancelled: boolean;
  /** Sends a message. Returns false if the client should read first. */
  send(...parts: PartMessage[]): boolean;
  /** Resolves when there is room for more. */
  drained(): Promise<unknown>;
  /** Resolves when the client has cancelled the call. */
  cancelled(): Promise<unknown>;
  end(): void;
  fail(code: Code, message?: string, details?: Uint8Array): void;
}

/** Answers a call that has requests. */
export type Behaviour = (call: FakeCall, number: number) => void | Promise<void>;

/** A fake service, with the calls that it has received. */
export class FakeService {
  address = "";
  readonly calls: FakeCall[] = [];
  /** The number of calls without requests. */
  probes = 0;
  /** Answers probes. By default, they succeed. */
  onProbe: (call: FakeCall) => void = (call) => call.end();
  readonly #behaviour: Behaviour;
  readonly #server = new Server();

  private constructor(behaviour: Behaviour) {
    this.#behaviour = behaviour;
  }

  /** Starts a service for the time of a test. */
  static async start(test: TestContext, behaviour: Behaviour = succeed): Promise<FakeService> {
    const service = new FakeService(behaviour);
    test.after(() => service.stop());
    await service.#listen();
    return service;
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #listen(): Promise<void> {
    const identity = (bytes: Buffer) => bytes;
    const definition = {
      FetchBatch: {
        path: "/fetchd.v1.FetchService/FetchBatch",
        requestStream: false,
        responseStream: true,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      },
    } as const;
    const FetchBatch = (stream: ServerWritableStream<Buffer, Buffer>) => this.#answer(stream);
    this.#server.addService(definition, { FetchBatch });
    return new Promise((resolve, reject) => {
      const credentials = ServerCredentials.createInsecure();
      this.#server.bindAsync("127.0.0.1:0", credentials, (error, port) => {
        this.address = `127.0.0.1:${port}`;
        error ? reject(error) : resolve();
      });
    });
  }

  #answer(stream: ServerWritableStream<Buffer, Buffer>): void {
    const call = fakeCall(stream);
    if (call.batch.requests.length === 0) {
      this.probes += 1;
      this.onProbe(call);
    } else {
      this.calls.push(call);
      void this.#behaviour(call, this.calls.length);
    }
  }
}

function fakeCall(stream: ServerWritableStream<Buffer, Buffer>): FakeCall {
  const cancelled = new Promise((resolve) => stream.once("cancelled", resolve));
  return {
    batch: FetchBatchRequest.decode(stream.request),
    metadata: stream.metadata,
    get isCancelled() {
      return stream.cancelled;
    },
    send: (...parts) => stream.write(Buffer.from(FetchBatchResponse.encode({ parts }).finish())),
    drained: () => new Promise((resolve) => stream.once("drain", resolve)),
    cancelled: () => cancelled,
    end: () => stream.end(),
    fail(code, details = "", encoded) {
      const metadata = new Metadata();
      if (encoded) {
        metadata.set("grpc-status-details-bin", Buffer.from(encoded));
      }
      stream.emit("error", { code, details, metadata });
    },
  };
}

/** Ends each request with its URL as the body. */
export const succeed: Behaviour = (call) => {
  call.send(...call.batch.requests.map(({ url }, index) => complete(index, url ?? "")));
  call.end();
};

/** The whole result of a request. */
export function complete(index: number, body: string | Uint8Array, status = 200): PartMessage {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  return { index, head: { status }, body: bytes, end: { bodyBytes: bytes.length, attempts: 1 } };
}

/** A result that has an error only. */
export function failed(index: number, reason: fetchd.v1.Reason, attempts: number): PartMessage {
  return { index, end: { error: { reason, message: "as told", retryable: true }, attempts } };
}

/** Encodes details of a status. */
export function details(type: "ErrorInfo" | "RetryInfo", value: object): Uint8Array {
  const message = fetchd.internal[type].encode(value).finish();
  const any: google.protobuf.IAny = {
    type_url: `type.googleapis.com/google.rpc.${type}`,
    value: message,
  };
  return fetchd.internal.Status.encode({ details: [any] }).finish();
}
