import { inspect } from "node:util";

import { toMilliseconds } from "./duration.js";
import { FetchError } from "./error.js";
import { Head } from "./head.js";
import {
  FetchEnd,
  FetchErrorMessage,
  Reason,
  type DurationMessage,
  type TimingMessage,
} from "./messages.js";
import { readStatus, type Part } from "./part.js";
import type { RequestInput } from "./request.js";
import { bufferedResponse } from "./response.js";
import type { Phases, ResultInfo } from "./result.js";

/** Identifies the request of a result. */
export interface Identity {
  readonly position: number;
  readonly input: RequestInput;
}

/** A result that decodes its messages when somebody reads them. */
export class FetchResult implements ResultInfo {
  readonly index: number;
  readonly request: RequestInput;
  readonly #part: Part | undefined;
  #error: FetchError | undefined;
  #response: Response | undefined;

  constructor({ position, input }: Identity, part: Part | undefined, error?: FetchError) {
    this.index = position;
    this.request = input;
    this.#part = part;
    this.#error = error;
  }

  /** Creates the result of a request without a result. */
  static failed(request: Identity, error: FetchError): FetchResult {
    return new FetchResult(request, undefined, error);
  }

  get ok(): boolean {
    return this.#error === undefined && !this.#part?.hasError;
  }

  get error(): FetchError | undefined {
    if (!this.#error && this.#part?.hasError) {
      this.#error = decodeError(this.#part.error);
    }
    return this.#error;
  }

  get status(): number | undefined {
    return this.#part?.hasHead ? readStatus(this.#part) : undefined;
  }

  get bytes(): Uint8Array | undefined {
    return this.#part?.hasHead ? this.#part.bytes : undefined;
  }

  get response(): Response | undefined {
    if (!this.#response && this.#part?.hasHead) {
      this.#response = bufferedResponse(this.#part);
    }
    return this.#response;
  }

  get bodyBytes(): number {
    return this.#part?.bodyLength ?? 0;
  }

  get attempts(): number {
    return this.#part?.attempts ?? 0;
  }

  get redirects(): number {
    return this.#readEnd().redirects;
  }

  get truncated(): boolean {
    return this.#readEnd().truncated;
  }

  get httpVersion(): string | undefined {
    return this.#part?.hasHead ? new Head(this.#part).httpVersion : undefined;
  }

  get timing(): Phases {
    return toPhases(this.#readEnd().timing ?? {});
  }

  /** Shows the fields as if they were no getters. */
  [inspect.custom](): object {
    const { index, request, ok, response, error, attempts, redirects, truncated } = this;
    const { httpVersion, timing } = this;
    const stats = { attempts, redirects, truncated, httpVersion, timing };
    return { index, request, ok, response, error, ...stats };
  }

  #readEnd(): FetchEnd {
    return this.#part ? FetchEnd.decode(this.#part.end) : new FetchEnd();
  }
}

/** Decodes the error of the service. */
export function decodeError(bytes: Uint8Array): FetchError {
  const { reason, message, retryable } = FetchErrorMessage.decode(bytes);
  const name = (Reason[reason] as string | undefined) ?? `REASON_${reason}`;
  const known = Reason[reason] !== undefined;
  return new FetchError(known ? name.slice("REASON_".length) : name, message, { retryable });
}

function toPhases(timing: TimingMessage): Phases {
  const ms = (value: DurationMessage | null | undefined) => value && toMilliseconds(value);
  return {
    queued: ms(timing.queued) ?? 0,
    firstByte: ms(timing.firstByte) ?? undefined,
    total: ms(timing.total) ?? undefined,
    dns: ms(timing.dns) ?? undefined,
    connect: ms(timing.connect) ?? undefined,
    tls: ms(timing.tls) ?? undefined,
    connectionReused: timing.connectionReused ?? false,
    earlier: ms(timing.earlier) ?? undefined,
  };
}
