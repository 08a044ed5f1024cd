/** A client of a fake service, and requests for it. */

import type { TestContext } from "node:test";

import { Client, type ClientOptions, type Result } from "fetchd";

import { FakeService, type Behaviour } from "./fake.js";

/** The requests of the tests. No origin receives them. */
export const url = (index: number) => `http://o/${index}`;
export const urls = (count: number) => Array.from({ length: count }, (_, index) => url(index));
export const post = (index: number) => ({ url: url(index), method: "POST" });

/** A client that is closed when the test ends. */
export function connect(
  t: TestContext,
  endpoints: string | string[],
  options?: ClientOptions,
): Client {
  const client = new Client(endpoints, options);
  t.after(() => client.close());
  return client;
}

/** Starts a fake service, and makes a client of it. */
export async function start(t: TestContext, behaviour?: Behaviour, options?: ClientOptions) {
  const service = await FakeService.start(t, behaviour);
  return { service, client: connect(t, service.address, options) };
}

/** Returns the URLs of each call that a service has received. */
export const sent = ({ calls }: FakeService) =>
  calls.map(({ batch }) => batch.requests.map((one) => one.url));

/** Returns the body of each result, or the reason of its error. */
export const texts = (results: Result[]) =>
  Promise.all(results.map(async ({ response, error }) => error?.reason ?? response?.text()));
