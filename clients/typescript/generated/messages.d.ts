import * as $protobuf from "protobufjs";
/** Namespace fetchd. */
export namespace fetchd {

    /** Namespace v1. */
    namespace v1 {

        /** Properties of a FetchBatchRequest. */
        interface IFetchBatchRequest {

            /** FetchBatchRequest requests */
            requests?: (fetchd.v1.IFetchRequest[]|null);

            /** FetchBatchRequest options */
            options?: (fetchd.v1.IFetchOptions|null);

            /** FetchBatchRequest concurrency */
            concurrency?: (number|null);

            /** FetchBatchRequest timeout */
            timeout?: (google.protobuf.IDuration|null);
        }

        /** Represents a FetchBatchRequest. */
        class FetchBatchRequest implements IFetchBatchRequest {

            /**
             * Constructs a new FetchBatchRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: fetchd.v1.IFetchBatchRequest);

            /** FetchBatchRequest requests. */
            public requests: fetchd.v1.IFetchRequest[];

            /** FetchBatchRequest options. */
            public options?: (fetchd.v1.IFetchOptions|null);

            /** FetchBatchRequest concurrency. */
            public concurrency: number;

            /** FetchBatchRequest timeout. */
            public timeout?: (google.protobuf.IDuration|null);

            /**
             * Encodes the specified FetchBatchRequest message. Does not implicitly {@link fetchd.v1.FetchBatchRequest.verify|verify} messages.
             * @param message FetchBatchRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: fetchd.v1.IFetchBatchRequest, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a FetchBatchRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns FetchBatchRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): fetchd.v1.FetchBatchRequest;
        }

        /** Properties of a FetchRequest. */
        interface IFetchRequest {

            /** FetchRequest url */
            url?: (string|null);

            /** FetchRequest method */
            method?: (string|null);

            /** FetchRequest headers */
            headers?: (fetchd.v1.IHeader[]|null);

            /** FetchRequest body */
            body?: (Uint8Array|null);

            /** FetchRequest options */
            options?: (fetchd.v1.IFetchOptions|null);
        }

        /** Represents a FetchRequest. */
        class FetchRequest implements IFetchRequest {

            /**
             * Constructs a new FetchRequest.
             * @param [properties] Properties to set
             */
            constructor(properties?: fetchd.v1.IFetchRequest);

            /** FetchRequest url. */
            public url: string;

            /** FetchRequest method. */
            public method: string;

            /** FetchRequest headers. */
            public headers: fetchd.v1.IHeader[];

            /** FetchRequest body. */
            public body: Uint8Array;

            /** FetchRequest options. */
            public options?: (fetchd.v1.IFetchOptions|null);

            /**
             * Encodes the specified FetchRequest message. Does not implicitly {@link fetchd.v1.FetchRequest.verify|verify} messages.
             * @param message FetchRequest message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: fetchd.v1.IFetchRequest, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a FetchRequest message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns FetchRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): fetchd.v1.FetchRequest;
        }

        /** Properties of a Header. */
        interface IHeader {

            /** Header name */
            name?: (string|null);

            /** Header value */
            value?: (Uint8Array|null);
        }

        /** Represents a Header. */
        class Header implements IHeader {

            /**
             * Constructs a new Header.
             * @param [properties] Properties to set
             */
            constructor(properties?: fetchd.v1.IHeader);

            /** Header name. */
            public name: string;

            /** Header value. */
            public value: Uint8Array;

            /**
             * Encodes the specified Header message. Does not implicitly {@link fetchd.v1.Header.verify|verify} messages.
             * @param message Header message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: fetchd.v1.IHeader, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Header message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns Header
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): fetchd.v1.Header;
        }

        /** Properties of a FetchOptions. */
        interface IFetchOptions {

            /** FetchOptions timeout */
            timeout?: (google.protobuf.IDuration|null);

            /** FetchOptions idleTimeout */
            idleTimeout?: (google.protobuf.IDuration|null);

            /** FetchOptions connectTimeout */
            connectTimeout?: (google.protobuf.IDuration|null);

            /** FetchOptions maxRedirects */
            maxRedirects?: (number|null);

            /** FetchOptions maxBodyBytes */
            maxBodyBytes?: (number|null);

            /** FetchOptions bodyOverflow */
            bodyOverflow?: (fetchd.v1.BodyOverflow|null);

            /** FetchOptions maxAttempts */
            maxAttempts?: (number|null);
        }

        /** Represents a FetchOptions. */
        class FetchOptions implements IFetchOptions {

            /**
             * Constructs a new FetchOptions.
             * @param [properties] Properties to set
             */
            constructor(properties?: fetchd.v1.IFetchOptions);

            /** FetchOptions timeout. */
            public timeout?: (google.protobuf.IDuration|null);

            /** FetchOptions idleTimeout. */
            public idleTimeout?: (google.protobuf.IDuration|null);

            /** FetchOptions connectTimeout. */
            public connectTimeout?: (google.protobuf.IDuration|null);

            /** FetchOptions maxRedirects. */
            public maxRedirects?: (number|null);

            /** FetchOptions maxBodyBytes. */
            public maxBodyBytes?: (number|null);

            /** FetchOptions bodyOverflow. */
            public bodyOverflow: fetchd.v1.BodyOverflow;

            /** FetchOptions maxAttempts. */
            public maxAttempts?: (number|null);

            /**
             * Encodes the specified FetchOptions message. Does not implicitly {@link fetchd.v1.FetchOptions.verify|verify} messages.
             * @param message FetchOptions message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: fetchd.v1.IFetchOptions, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a FetchOptions message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns FetchOptions
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): fetchd.v1.FetchOptions;
        }

        /** BodyOverflow enum. */
        enum BodyOverflow {
            BODY_OVERFLOW_UNSPECIFIED = 0,
            BODY_OVERFLOW_FAIL = 1,
            BODY_OVERFLOW_TRUNCATE = 2
        }

        /** Properties of a FetchBatchResponse. */
        interface IFetchBatchResponse {

            /** FetchBatchResponse parts */
            parts?: (fetchd.v1.IResultPart[]|null);
        }

        /** Represents a FetchBatchResponse. */
        class FetchBatchResponse implements IFetchBatchResponse {

            /**
             * Constructs a new FetchBatchResponse.
             * @param [properties] Properties to set
             */
            constructor(properties?: fetchd.v1.IFetchBatchResponse);

            /** FetchBatchResponse parts. */
            public parts: fetchd.v1.IResultPart[];

            /**
             * Encodes the specified FetchBatchResponse message. Does not implicitly {@link fetchd.v1.FetchBatchResponse.verify|verify} messages.
             * @param message FetchBatchResponse message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: fetchd.v1.IFetchBatchResponse, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a FetchBatchResponse message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns FetchBatchResponse
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): fetchd.v1.FetchBatchResponse;
        }

        /** Properties of a ResultPart. */
        interface IResultPart {

            /** ResultPart index */
            index?: (number|null);

            /** ResultPart head */
            head?: (fetchd.v1.IResponseHead|null);

            /** ResultPart body */
            body?: (Uint8Array|null);

            /** ResultPart end */
            end?: (fetchd.v1.IFetchEnd|null);
        }

        /** Represents a ResultPart. */
        class ResultPart implements IResultPart {

            /**
             * Constructs a new ResultPart.
             * @param [properties] Properties to set
             */
            constructor(properties?: fetchd.v1.IResultPart);

            /** ResultPart index. */
            public index: number;

            /** ResultPart head. */
            public head?: (fetchd.v1.IResponseHead|null);

            /** ResultPart body. */
            public body: Uint8Array;

            /** ResultPart end. */
            public end?: (fetchd.v1.IFetchEnd|null);

            /**
             * Encodes the specified ResultPart message. Does not implicitly {@link fetchd.v1.ResultPart.verify|verify} messages.
             * @param message ResultPart message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: fetchd.v1.IResultPart, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ResultPart message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns ResultPart
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): fetchd.v1.ResultPart;
        }

        /** Properties of a ResponseHead. */
        interface IResponseHead {

            /** ResponseHead status */
            status?: (number|null);

            /** ResponseHead headers */
            headers?: (fetchd.v1.IHeader[]|null);

            /** ResponseHead url */
            url?: (string|null);

            /** ResponseHead version */
            version?: (fetchd.v1.HttpVersion|null);
        }

        /** Represents a ResponseHead. */
        class ResponseHead implements IResponseHead {

            /**
             * Constructs a new ResponseHead.
             * @param [properties] Properties to set
             */
            constructor(properties?: fetchd.v1.IResponseHead);

            /** ResponseHead status. */
            public status: number;

            /** ResponseHead headers. */
            public headers: fetchd.v1.IHeader[];

            /** ResponseHead url. */
            public url: string;

            /** ResponseHead version. */
            public version: fetchd.v1.HttpVersion;

            /**
             * Encodes the specified ResponseHead message. Does not implicitly {@link fetchd.v1.ResponseHead.verify|verify} messages.
             * @param message ResponseHead message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: fetchd.v1.IResponseHead, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a ResponseHead message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns ResponseHead
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): fetchd.v1.ResponseHead;
        }

        /** HttpVersion enum. */
        enum HttpVersion {
            HTTP_VERSION_UNSPECIFIED = 0,
            HTTP_VERSION_HTTP_1_0 = 1,
            HTTP_VERSION_HTTP_1_1 = 2,
            HTTP_VERSION_HTTP_2 = 3,
            HTTP_VERSION_HTTP_3 = 4
        }

        /** Properties of a FetchEnd. */
        interface IFetchEnd {

            /** FetchEnd error */
            error?: (fetchd.v1.IFetchError|null);

            /** FetchEnd attempts */
            attempts?: (number|null);

            /** FetchEnd redirects */
            redirects?: (number|null);

            /** FetchEnd bodyBytes */
            bodyBytes?: (number|null);

            /** FetchEnd truncated */
            truncated?: (boolean|null);

            /** FetchEnd timing */
            timing?: (fetchd.v1.ITiming|null);
        }

        /** Represents a FetchEnd. */
        class FetchEnd implements IFetchEnd {

            /**
             * Constructs a new FetchEnd.
             * @param [properties] Properties to set
             */
            constructor(properties?: fetchd.v1.IFetchEnd);

            /** FetchEnd error. */
            public error?: (fetchd.v1.IFetchError|null);

            /** FetchEnd attempts. */
            public attempts: number;

            /** FetchEnd redirects. */
            public redirects: number;

            /** FetchEnd bodyBytes. */
            public bodyBytes: number;

            /** FetchEnd truncated. */
            public truncated: boolean;

            /** FetchEnd timing. */
            public timing?: (fetchd.v1.ITiming|null);

            /**
             * Encodes the specified FetchEnd message. Does not implicitly {@link fetchd.v1.FetchEnd.verify|verify} messages.
             * @param message FetchEnd message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: fetchd.v1.IFetchEnd, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a FetchEnd message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns FetchEnd
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): fetchd.v1.FetchEnd;
        }

        /** Properties of a Timing. */
        interface ITiming {

            /** Timing queued */
            queued?: (google.protobuf.IDuration|null);

            /** Timing firstByte */
            firstByte?: (google.protobuf.IDuration|null);

            /** Timing total */
            total?: (google.protobuf.IDuration|null);

            /** Timing dns */
            dns?: (google.protobuf.IDuration|null);

            /** Timing connect */
            connect?: (google.protobuf.IDuration|null);

            /** Timing tls */
            tls?: (google.protobuf.IDuration|null);

            /** Timing connectionReused */
            connectionReused?: (boolean|null);

            /** Timing earlier */
            earlier?: (google.protobuf.IDuration|null);
        }

        /** Represents a Timing. */
        class Timing implements ITiming {

            /**
             * Constructs a new Timing.
             * @param [properties] Properties to set
             */
            constructor(properties?: fetchd.v1.ITiming);

            /** Timing queued. */
            public queued?: (google.protobuf.IDuration|null);

            /** Timing firstByte. */
            public firstByte?: (google.protobuf.IDuration|null);

            /** Timing total. */
            public total?: (google.protobuf.IDuration|null);

            /** Timing dns. */
            public dns?: (google.protobuf.IDuration|null);

            /** Timing connect. */
            public connect?: (google.protobuf.IDuration|null);

            /** Timing tls. */
            public tls?: (google.protobuf.IDuration|null);

            /** Timing connectionReused. */
            public connectionReused: boolean;

            /** Timing earlier. */
            public earlier?: (google.protobuf.IDuration|null);

            /**
             * Encodes the specified Timing message. Does not implicitly {@link fetchd.v1.Timing.verify|verify} messages.
             * @param message Timing message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: fetchd.v1.ITiming, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Timing message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns Timing
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): fetchd.v1.Timing;
        }

        /** Properties of a FetchError. */
        interface IFetchError {

            /** FetchError reason */
            reason?: (fetchd.v1.Reason|null);

            /** FetchError message */
            message?: (string|null);

            /** FetchError retryable */
            retryable?: (boolean|null);
        }

        /** Represents a FetchError. */
        class FetchError implements IFetchError {

            /**
             * Constructs a new FetchError.
             * @param [properties] Properties to set
             */
            constructor(properties?: fetchd.v1.IFetchError);

            /** FetchError reason. */
            public reason: fetchd.v1.Reason;

            /** FetchError message. */
            public message: string;

            /** FetchError retryable. */
            public retryable: boolean;

            /**
             * Encodes the specified FetchError message. Does not implicitly {@link fetchd.v1.FetchError.verify|verify} messages.
             * @param message FetchError message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: fetchd.v1.IFetchError, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a FetchError message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns FetchError
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): fetchd.v1.FetchError;
        }

        /** Reason enum. */
        enum Reason {
            REASON_UNSPECIFIED = 0,
            REASON_INVALID_REQUEST = 1,
            REASON_BLOCKED = 2,
            REASON_DNS = 3,
            REASON_CONNECT = 4,
            REASON_TLS = 5,
            REASON_TIMEOUT = 6,
            REASON_TOO_MANY_REDIRECTS = 7,
            REASON_PROTOCOL = 8,
            REASON_DISCONNECTED = 9,
            REASON_DECODE = 10,
            REASON_BODY_TOO_LARGE = 11,
            REASON_BATCH_DEADLINE = 12,
            REASON_SHUTTING_DOWN = 13,
            REASON_INTERNAL = 14
        }
    }

    /** Namespace internal. */
    namespace internal {

        /** Properties of a Status. */
        interface IStatus {

            /** Status code */
            code?: (number|null);

            /** Status message */
            message?: (string|null);

            /** Status details */
            details?: (google.protobuf.IAny[]|null);
        }

        /** Represents a Status. */
        class Status implements IStatus {

            /**
             * Constructs a new Status.
             * @param [properties] Properties to set
             */
            constructor(properties?: fetchd.internal.IStatus);

            /** Status code. */
            public code: number;

            /** Status message. */
            public message: string;

            /** Status details. */
            public details: google.protobuf.IAny[];

            /**
             * Encodes the specified Status message. Does not implicitly {@link fetchd.internal.Status.verify|verify} messages.
             * @param message Status message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: fetchd.internal.IStatus, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Status message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns Status
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): fetchd.internal.Status;
        }

        /** Properties of an ErrorInfo. */
        interface IErrorInfo {

            /** ErrorInfo reason */
            reason?: (string|null);

            /** ErrorInfo domain */
            domain?: (string|null);
        }

        /** Represents an ErrorInfo. */
        class ErrorInfo implements IErrorInfo {

            /**
             * Constructs a new ErrorInfo.
             * @param [properties] Properties to set
             */
            constructor(properties?: fetchd.internal.IErrorInfo);

            /** ErrorInfo reason. */
            public reason: string;

            /** ErrorInfo domain. */
            public domain: string;

            /**
             * Encodes the specified ErrorInfo message. Does not implicitly {@link fetchd.internal.ErrorInfo.verify|verify} messages.
             * @param message ErrorInfo message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: fetchd.internal.IErrorInfo, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an ErrorInfo message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns ErrorInfo
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): fetchd.internal.ErrorInfo;
        }

        /** Properties of a RetryInfo. */
        interface IRetryInfo {

            /** RetryInfo retryDelay */
            retryDelay?: (google.protobuf.IDuration|null);
        }

        /** Represents a RetryInfo. */
        class RetryInfo implements IRetryInfo {

            /**
             * Constructs a new RetryInfo.
             * @param [properties] Properties to set
             */
            constructor(properties?: fetchd.internal.IRetryInfo);

            /** RetryInfo retryDelay. */
            public retryDelay?: (google.protobuf.IDuration|null);

            /**
             * Encodes the specified RetryInfo message. Does not implicitly {@link fetchd.internal.RetryInfo.verify|verify} messages.
             * @param message RetryInfo message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: fetchd.internal.IRetryInfo, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a RetryInfo message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns RetryInfo
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): fetchd.internal.RetryInfo;
        }
    }
}

/** Namespace google. */
export namespace google {

    /** Namespace protobuf. */
    namespace protobuf {

        /** Properties of a Duration. */
        interface IDuration {

            /** Duration seconds */
            seconds?: (number|null);

            /** Duration nanos */
            nanos?: (number|null);
        }

        /** Represents a Duration. */
        class Duration implements IDuration {

            /**
             * Constructs a new Duration.
             * @param [properties] Properties to set
             */
            constructor(properties?: google.protobuf.IDuration);

            /** Duration seconds. */
            public seconds: number;

            /** Duration nanos. */
            public nanos: number;

            /**
             * Encodes the specified Duration message. Does not implicitly {@link google.protobuf.Duration.verify|verify} messages.
             * @param message Duration message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: google.protobuf.IDuration, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Duration message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns Duration
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): google.protobuf.Duration;
        }

        /** Properties of an Any. */
        interface IAny {

            /** Any type_url */
            type_url?: (string|null);

            /** Any value */
            value?: (Uint8Array|null);
        }

        /** Represents an Any. */
        class Any implements IAny {

            /**
             * Constructs a new Any.
             * @param [properties] Properties to set
             */
            constructor(properties?: google.protobuf.IAny);

            /** Any type_url. */
            public type_url: string;

            /** Any value. */
            public value: Uint8Array;

            /**
             * Encodes the specified Any message. Does not implicitly {@link google.protobuf.Any.verify|verify} messages.
             * @param message Any message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            public static encode(message: google.protobuf.IAny, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an Any message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns Any
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            public static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): google.protobuf.Any;
        }
    }
}
