/** The messages of the contract, with shorter names. */

import { fetchd, google } from "../generated/messages.js";

const { v1, internal } = fetchd;

export const { FetchBatchRequest, FetchEnd, ResponseHead, BodyOverflow, HttpVersion, Reason } = v1;
export const { FetchError: FetchErrorMessage } = v1;
export const { ErrorInfo, RetryInfo, Status } = internal;

export type FetchEnd = fetchd.v1.FetchEnd;
export type HttpVersion = fetchd.v1.HttpVersion;
export type ResponseHead = fetchd.v1.ResponseHead;
export type RequestMessage = fetchd.v1.IFetchRequest;
export type OptionsMessage = fetchd.v1.IFetchOptions;
export type HeaderMessage = fetchd.v1.IHeader;
export type TimingMessage = fetchd.v1.ITiming;
export type DurationMessage = google.protobuf.IDuration;
