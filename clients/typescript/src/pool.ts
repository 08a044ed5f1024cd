import type { Address } from "./address.js";
import { Endpoint } from "./endpoint.js";
import { Failure } from "./failure.js";
import { FetchError } from "./error.js";
import type { Pending } from "./pending.js";
import type { TlsOptions } from "./tls.js";
import type { Authorization } from "./token.js";

/** The endpoints of a client. All its lists share them. */
export class Pool {
  readonly all: readonly Endpoint[];
  /** The last failure of any call or probe. */
  lastFailure = Failure.lost(FetchError.serviceLost("no replica could be reached"));
  /** The endpoint that got the last call. */
  lastUsed: Endpoint | undefined;
  /** Called when a probe has ended, and with its failure. */
  readonly #listeners = new Set<ProbeListener>();

  constructor(addresses: readonly Address[], tls?: TlsOptions, authorization?: Authorization) {
    this.all = addresses.map((address) => new Endpoint(address, tls, authorization));
  }

  get names(): string[] {
    return this.all.map(({ name }) => name);
  }

  /** The endpoints that may get requests. The one that got the last call comes last. */
  admitted(): Endpoint[] {
    const next = this.lastUsed ? this.all.indexOf(this.lastUsed) + 1 : 0;
    const order = [...this.all.slice(next), ...this.all.slice(0, next)];
    return order.filter(({ health }) => health.isAdmitted);
  }

  get hasAdmitted(): boolean {
    return this.all.some(({ health }) => health.isAdmitted);
  }

  /** When the next probe is due. */
  get probeDue(): number | undefined {
    return earliest(...this.all.map(({ health }) => health.probeDue));
  }

  /** Starts the probes that are due. */
  startProbes(now: number): void {
    for (const endpoint of this.all) {
      if (endpoint.health.startProbe(now)) {
        void this.#probe(endpoint);
      }
    }
  }

  listen(listener: ProbeListener): void {
    this.#listeners.add(listener);
  }

  unlisten(listener: ProbeListener): void {
    this.#listeners.delete(listener);
  }

  async #probe(endpoint: Endpoint): Promise<void> {
    const failure = await endpoint.probe();
    if (failure) {
      this.lastFailure = failure;
      endpoint.health.recordFailedProbe(performance.now(), failure.retryAfter);
    } else {
      endpoint.health.admit();
    }
    for (const listener of [...this.#listeners]) {
      listener(failure);
    }
  }

  close(): void {
    for (const endpoint of this.all) {
      endpoint.close();
    }
  }
}

/** Learns how probes end. */
export type ProbeListener = (failure: Failure | undefined) => void;

/**
 * Returns the endpoints that may get this request: those that haven't failed it, unless all have.
 * If the request isn't idempotent, those without a recent failure come first, since it can't be
 * sent again if it gets lost.
 */
export function candidates(admitted: readonly Endpoint[], pending: Pending): readonly Endpoint[] {
  if (admitted.length === 1) {
    return admitted;
  }
  let left = admitted.filter(({ name }) => !pending.avoids(name));
  if (left.length === 0) {
    pending.avoidNone();
    left = [...admitted];
  }
  const proven = pending.isIdempotent ? [] : left.filter(({ health }) => health.isProven);
  return proven.length > 0 ? proven : left;
}

/** Returns the earliest of the times that are set. */
export function earliest(...times: (number | undefined)[]): number | undefined {
  const set = times.filter((time) => time !== undefined);
  return set.length > 0 ? Math.min(...set) : undefined;
}
