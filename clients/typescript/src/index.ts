/**
 * The client of fetchd, a service that fetches batches of URLs.
 *
 * @packageDocumentation
 */

export type { FetchFunction } from "./as_fetch.js";
export { Client } from "./client.js";
export type { MetadataInput } from "./endpoint.js";
export { FetchError, type FailureReason, type FetchErrorInit } from "./error.js";
export type { HeadersInput } from "./headers.js";
export type { FetchOptions, FetchRequest, RequestInput, Requests } from "./request.js";
export type { Failed, Phases, Result, ResultInfo, Success } from "./result.js";
export type { ClientOptions, ListOptions, RequestDefaults, StreamOptions } from "./settings.js";
export type { Pem, TlsOptions } from "./tls.js";
export type { TokenSource } from "./token.js";
