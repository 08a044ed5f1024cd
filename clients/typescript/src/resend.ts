import type { Disposition } from "./failure.js";
import type { Pending } from "./pending.js";

/**
 * A request that kills every service it reaches must not do so forever, so it may be lost this
 * often. With many endpoints, it may be lost twice at each.
 */
const MAX_LOSSES = 6;

/** The endpoints of the client, by their names. */
export interface Endpoints {
  readonly all: readonly { readonly name: string }[];
}

/**
 * Decides whether a request may be sent again after a failure at `endpoint`. No other code does.
 *
 * It never may if the caller has a part of its body. Otherwise it always may if nothing was dispatched. If the call was refused, another endpoint must be left
 * that hasn't failed the request. If the request may have been dispatched, it must be idempotent.
 * In the latter two cases, the failure counts as a loss, and there is a limit.
 *
 * In any case the request avoids the endpoint from now on.
 */
export function mayResend(
  pending: Pending,
  disposition: Disposition,
  endpoint: string,
  endpoints: Endpoints,
): boolean {
  if (pending.hasBegun) {
    return false;
  }
  pending.avoid(endpoint);
  const countLoss = () => {
    pending.losses += 1;
    return pending.losses < Math.max(MAX_LOSSES, 2 * endpoints.all.length);
  };
  switch (disposition) {
    case "final":
      return false;
    case "not dispatched":
      return true;
    case "refused":
    case "foreign":
      return endpoints.all.some(({ name }) => !pending.avoids(name)) && countLoss();
    case "lost":
      return pending.isIdempotent && countLoss();
  }
}
