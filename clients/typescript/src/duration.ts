/** Durations in messages. The client's are numbers of milliseconds. */

import type { DurationMessage } from "./messages.js";

/** The longest duration of a message, in seconds. */
const MAX_SECONDS = 315_576_000_000;

/** Converts milliseconds. */
export function toDuration(ms: number): DurationMessage {
  const seconds = Math.min(Math.floor(ms / 1000), MAX_SECONDS);
  const nanos = seconds === MAX_SECONDS ? 0 : Math.floor((ms - seconds * 1000) * 1e6);
  return { seconds, nanos };
}

/** Converts to milliseconds. */
export function toMilliseconds(duration: DurationMessage): number {
  return (duration.seconds ?? 0) * 1000 + (duration.nanos ?? 0) / 1e6;
}
