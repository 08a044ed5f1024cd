/*eslint-disable block-scoped-var, id-length, no-control-regex, no-magic-numbers, no-prototype-builtins, no-redeclare, no-shadow, no-var, sort-vars*/
import protobuf from "protobufjs/minimal.js";

// Integers of 64 bits are numbers. All input is in Buffers.
class Reader extends protobuf.BufferReader {
  static create(buffer) {
    return new Reader(buffer);
  }

  int64() {
    return toNumber(super.int64());
  }

  uint64() {
    return toNumber(super.uint64());
  }
}

function toNumber(value) {
  return typeof value === "number" ? value : value.toNumber();
}

const util = { ...protobuf.util, Long: undefined };

// Without the global roots, in which two versions of this file would replace each other.
const $protobuf = { ...protobuf, Reader, util, roots: {} };

// Common aliases
const $Reader = $protobuf.Reader, $Writer = $protobuf.Writer, $util = $protobuf.util;

// Exported root namespace
const $root = $protobuf.roots["fetchd"] || ($protobuf.roots["fetchd"] = {});

export const fetchd = $root.fetchd = (() => {

    /**
     * Namespace fetchd.
     * @exports fetchd
     * @namespace
     */
    const fetchd = {};

    fetchd.v1 = (function() {

        /**
         * Namespace v1.
         * @memberof fetchd
         * @namespace
         */
        const v1 = {};

        v1.FetchBatchRequest = (function() {

            /**
             * Properties of a FetchBatchRequest.
             * @memberof fetchd.v1
             * @interface IFetchBatchRequest
             * @property {Array.<fetchd.v1.IFetchRequest>|null} [requests] FetchBatchRequest requests
             * @property {fetchd.v1.IFetchOptions|null} [options] FetchBatchRequest options
             * @property {number|null} [concurrency] FetchBatchRequest concurrency
             * @property {google.protobuf.IDuration|null} [timeout] FetchBatchRequest timeout
             */

            /**
             * Constructs a new FetchBatchRequest.
             * @memberof fetchd.v1
             * @classdesc Represents a FetchBatchRequest.
             * @implements IFetchBatchRequest
             * @constructor
             * @param {fetchd.v1.IFetchBatchRequest=} [properties] Properties to set
             */
            function FetchBatchRequest(properties) {
                this.requests = [];
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * FetchBatchRequest requests.
             * @member {Array.<fetchd.v1.IFetchRequest>} requests
             * @memberof fetchd.v1.FetchBatchRequest
             * @instance
             */
            FetchBatchRequest.prototype.requests = $util.emptyArray;

            /**
             * FetchBatchRequest options.
             * @member {fetchd.v1.IFetchOptions|null|undefined} options
             * @memberof fetchd.v1.FetchBatchRequest
             * @instance
             */
            FetchBatchRequest.prototype.options = null;

            /**
             * FetchBatchRequest concurrency.
             * @member {number} concurrency
             * @memberof fetchd.v1.FetchBatchRequest
             * @instance
             */
            FetchBatchRequest.prototype.concurrency = 0;

            /**
             * FetchBatchRequest timeout.
             * @member {google.protobuf.IDuration|null|undefined} timeout
             * @memberof fetchd.v1.FetchBatchRequest
             * @instance
             */
            FetchBatchRequest.prototype.timeout = null;

            /**
             * Encodes the specified FetchBatchRequest message. Does not implicitly {@link fetchd.v1.FetchBatchRequest.verify|verify} messages.
             * @function encode
             * @memberof fetchd.v1.FetchBatchRequest
             * @static
             * @param {fetchd.v1.IFetchBatchRequest} message FetchBatchRequest message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            FetchBatchRequest.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.requests != null && message.requests.length)
                    for (let i = 0; i < message.requests.length; ++i)
                        $root.fetchd.v1.FetchRequest.encode(message.requests[i], writer.uint32(/* id 1, wireType 2 =*/10).fork(), q + 1).ldelim();
                if (message.options != null && Object.hasOwnProperty.call(message, "options"))
                    $root.fetchd.v1.FetchOptions.encode(message.options, writer.uint32(/* id 2, wireType 2 =*/18).fork(), q + 1).ldelim();
                if (message.concurrency != null && Object.hasOwnProperty.call(message, "concurrency"))
                    writer.uint32(/* id 3, wireType 0 =*/24).uint32(message.concurrency);
                if (message.timeout != null && Object.hasOwnProperty.call(message, "timeout"))
                    $root.google.protobuf.Duration.encode(message.timeout, writer.uint32(/* id 4, wireType 2 =*/34).fork(), q + 1).ldelim();
                return writer;
            };

            /**
             * Decodes a FetchBatchRequest message from the specified reader or buffer.
             * @function decode
             * @memberof fetchd.v1.FetchBatchRequest
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {fetchd.v1.FetchBatchRequest} FetchBatchRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            FetchBatchRequest.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.fetchd.v1.FetchBatchRequest();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            if (!(message.requests && message.requests.length))
                                message.requests = [];
                            message.requests.push($root.fetchd.v1.FetchRequest.decode(reader, reader.uint32(), undefined, long + 1));
                            break;
                        }
                    case 2: {
                            message.options = $root.fetchd.v1.FetchOptions.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    case 3: {
                            message.concurrency = reader.uint32();
                            break;
                        }
                    case 4: {
                            message.timeout = $root.google.protobuf.Duration.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return FetchBatchRequest;
        })();

        v1.FetchRequest = (function() {

            /**
             * Properties of a FetchRequest.
             * @memberof fetchd.v1
             * @interface IFetchRequest
             * @property {string|null} [url] FetchRequest url
             * @property {string|null} [method] FetchRequest method
             * @property {Array.<fetchd.v1.IHeader>|null} [headers] FetchRequest headers
             * @property {Uint8Array|null} [body] FetchRequest body
             * @property {fetchd.v1.IFetchOptions|null} [options] FetchRequest options
             */

            /**
             * Constructs a new FetchRequest.
             * @memberof fetchd.v1
             * @classdesc Represents a FetchRequest.
             * @implements IFetchRequest
             * @constructor
             * @param {fetchd.v1.IFetchRequest=} [properties] Properties to set
             */
            function FetchRequest(properties) {
                this.headers = [];
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * FetchRequest url.
             * @member {string} url
             * @memberof fetchd.v1.FetchRequest
             * @instance
             */
            FetchRequest.prototype.url = "";

            /**
             * FetchRequest method.
             * @member {string} method
             * @memberof fetchd.v1.FetchRequest
             * @instance
             */
            FetchRequest.prototype.method = "";

            /**
             * FetchRequest headers.
             * @member {Array.<fetchd.v1.IHeader>} headers
             * @memberof fetchd.v1.FetchRequest
             * @instance
             */
            FetchRequest.prototype.headers = $util.emptyArray;

            /**
             * FetchRequest body.
             * @member {Uint8Array} body
             * @memberof fetchd.v1.FetchRequest
             * @instance
             */
            FetchRequest.prototype.body = $util.newBuffer([]);

            /**
             * FetchRequest options.
             * @member {fetchd.v1.IFetchOptions|null|undefined} options
             * @memberof fetchd.v1.FetchRequest
             * @instance
             */
            FetchRequest.prototype.options = null;

            /**
             * Encodes the specified FetchRequest message. Does not implicitly {@link fetchd.v1.FetchRequest.verify|verify} messages.
             * @function encode
             * @memberof fetchd.v1.FetchRequest
             * @static
             * @param {fetchd.v1.IFetchRequest} message FetchRequest message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            FetchRequest.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.url != null && Object.hasOwnProperty.call(message, "url"))
                    writer.uint32(/* id 1, wireType 2 =*/10).string(message.url);
                if (message.method != null && Object.hasOwnProperty.call(message, "method"))
                    writer.uint32(/* id 2, wireType 2 =*/18).string(message.method);
                if (message.headers != null && message.headers.length)
                    for (let i = 0; i < message.headers.length; ++i)
                        $root.fetchd.v1.Header.encode(message.headers[i], writer.uint32(/* id 3, wireType 2 =*/26).fork(), q + 1).ldelim();
                if (message.body != null && Object.hasOwnProperty.call(message, "body"))
                    writer.uint32(/* id 4, wireType 2 =*/34).bytes(message.body);
                if (message.options != null && Object.hasOwnProperty.call(message, "options"))
                    $root.fetchd.v1.FetchOptions.encode(message.options, writer.uint32(/* id 5, wireType 2 =*/42).fork(), q + 1).ldelim();
                return writer;
            };

            /**
             * Decodes a FetchRequest message from the specified reader or buffer.
             * @function decode
             * @memberof fetchd.v1.FetchRequest
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {fetchd.v1.FetchRequest} FetchRequest
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            FetchRequest.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.fetchd.v1.FetchRequest();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.url = reader.string();
                            break;
                        }
                    case 2: {
                            message.method = reader.string();
                            break;
                        }
                    case 3: {
                            if (!(message.headers && message.headers.length))
                                message.headers = [];
                            message.headers.push($root.fetchd.v1.Header.decode(reader, reader.uint32(), undefined, long + 1));
                            break;
                        }
                    case 4: {
                            message.body = reader.bytes();
                            break;
                        }
                    case 5: {
                            message.options = $root.fetchd.v1.FetchOptions.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return FetchRequest;
        })();

        v1.Header = (function() {

            /**
             * Properties of a Header.
             * @memberof fetchd.v1
             * @interface IHeader
             * @property {string|null} [name] Header name
             * @property {Uint8Array|null} [value] Header value
             */

            /**
             * Constructs a new Header.
             * @memberof fetchd.v1
             * @classdesc Represents a Header.
             * @implements IHeader
             * @constructor
             * @param {fetchd.v1.IHeader=} [properties] Properties to set
             */
            function Header(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * Header name.
             * @member {string} name
             * @memberof fetchd.v1.Header
             * @instance
             */
            Header.prototype.name = "";

            /**
             * Header value.
             * @member {Uint8Array} value
             * @memberof fetchd.v1.Header
             * @instance
             */
            Header.prototype.value = $util.newBuffer([]);

            /**
             * Encodes the specified Header message. Does not implicitly {@link fetchd.v1.Header.verify|verify} messages.
             * @function encode
             * @memberof fetchd.v1.Header
             * @static
             * @param {fetchd.v1.IHeader} message Header message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            Header.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.name != null && Object.hasOwnProperty.call(message, "name"))
                    writer.uint32(/* id 1, wireType 2 =*/10).string(message.name);
                if (message.value != null && Object.hasOwnProperty.call(message, "value"))
                    writer.uint32(/* id 2, wireType 2 =*/18).bytes(message.value);
                return writer;
            };

            /**
             * Decodes a Header message from the specified reader or buffer.
             * @function decode
             * @memberof fetchd.v1.Header
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {fetchd.v1.Header} Header
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            Header.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.fetchd.v1.Header();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.name = reader.string();
                            break;
                        }
                    case 2: {
                            message.value = reader.bytes();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return Header;
        })();

        v1.FetchOptions = (function() {

            /**
             * Properties of a FetchOptions.
             * @memberof fetchd.v1
             * @interface IFetchOptions
             * @property {google.protobuf.IDuration|null} [timeout] FetchOptions timeout
             * @property {google.protobuf.IDuration|null} [idleTimeout] FetchOptions idleTimeout
             * @property {google.protobuf.IDuration|null} [connectTimeout] FetchOptions connectTimeout
             * @property {number|null} [maxRedirects] FetchOptions maxRedirects
             * @property {number|null} [maxBodyBytes] FetchOptions maxBodyBytes
             * @property {fetchd.v1.BodyOverflow|null} [bodyOverflow] FetchOptions bodyOverflow
             * @property {number|null} [maxAttempts] FetchOptions maxAttempts
             */

            /**
             * Constructs a new FetchOptions.
             * @memberof fetchd.v1
             * @classdesc Represents a FetchOptions.
             * @implements IFetchOptions
             * @constructor
             * @param {fetchd.v1.IFetchOptions=} [properties] Properties to set
             */
            function FetchOptions(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * FetchOptions timeout.
             * @member {google.protobuf.IDuration|null|undefined} timeout
             * @memberof fetchd.v1.FetchOptions
             * @instance
             */
            FetchOptions.prototype.timeout = null;

            /**
             * FetchOptions idleTimeout.
             * @member {google.protobuf.IDuration|null|undefined} idleTimeout
             * @memberof fetchd.v1.FetchOptions
             * @instance
             */
            FetchOptions.prototype.idleTimeout = null;

            /**
             * FetchOptions connectTimeout.
             * @member {google.protobuf.IDuration|null|undefined} connectTimeout
             * @memberof fetchd.v1.FetchOptions
             * @instance
             */
            FetchOptions.prototype.connectTimeout = null;

            /**
             * FetchOptions maxRedirects.
             * @member {number|null|undefined} maxRedirects
             * @memberof fetchd.v1.FetchOptions
             * @instance
             */
            FetchOptions.prototype.maxRedirects = null;

            /**
             * FetchOptions maxBodyBytes.
             * @member {number|null|undefined} maxBodyBytes
             * @memberof fetchd.v1.FetchOptions
             * @instance
             */
            FetchOptions.prototype.maxBodyBytes = null;

            /**
             * FetchOptions bodyOverflow.
             * @member {fetchd.v1.BodyOverflow} bodyOverflow
             * @memberof fetchd.v1.FetchOptions
             * @instance
             */
            FetchOptions.prototype.bodyOverflow = 0;

            /**
             * FetchOptions maxAttempts.
             * @member {number|null|undefined} maxAttempts
             * @memberof fetchd.v1.FetchOptions
             * @instance
             */
            FetchOptions.prototype.maxAttempts = null;

            // OneOf field names bound to virtual getters and setters
            let $oneOfFields;

            // Virtual OneOf for proto3 optional field
            Object.defineProperty(FetchOptions.prototype, "_maxRedirects", {
                get: $util.oneOfGetter($oneOfFields = ["maxRedirects"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            Object.defineProperty(FetchOptions.prototype, "_maxBodyBytes", {
                get: $util.oneOfGetter($oneOfFields = ["maxBodyBytes"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            Object.defineProperty(FetchOptions.prototype, "_maxAttempts", {
                get: $util.oneOfGetter($oneOfFields = ["maxAttempts"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            /**
             * Encodes the specified FetchOptions message. Does not implicitly {@link fetchd.v1.FetchOptions.verify|verify} messages.
             * @function encode
             * @memberof fetchd.v1.FetchOptions
             * @static
             * @param {fetchd.v1.IFetchOptions} message FetchOptions message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            FetchOptions.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.timeout != null && Object.hasOwnProperty.call(message, "timeout"))
                    $root.google.protobuf.Duration.encode(message.timeout, writer.uint32(/* id 1, wireType 2 =*/10).fork(), q + 1).ldelim();
                if (message.idleTimeout != null && Object.hasOwnProperty.call(message, "idleTimeout"))
                    $root.google.protobuf.Duration.encode(message.idleTimeout, writer.uint32(/* id 2, wireType 2 =*/18).fork(), q + 1).ldelim();
                if (message.connectTimeout != null && Object.hasOwnProperty.call(message, "connectTimeout"))
                    $root.google.protobuf.Duration.encode(message.connectTimeout, writer.uint32(/* id 3, wireType 2 =*/26).fork(), q + 1).ldelim();
                if (message.maxRedirects != null && Object.hasOwnProperty.call(message, "maxRedirects"))
                    writer.uint32(/* id 4, wireType 0 =*/32).uint32(message.maxRedirects);
                if (message.maxBodyBytes != null && Object.hasOwnProperty.call(message, "maxBodyBytes"))
                    writer.uint32(/* id 5, wireType 0 =*/40).uint64(message.maxBodyBytes);
                if (message.bodyOverflow != null && Object.hasOwnProperty.call(message, "bodyOverflow"))
                    writer.uint32(/* id 6, wireType 0 =*/48).int32(message.bodyOverflow);
                if (message.maxAttempts != null && Object.hasOwnProperty.call(message, "maxAttempts"))
                    writer.uint32(/* id 7, wireType 0 =*/56).uint32(message.maxAttempts);
                return writer;
            };

            /**
             * Decodes a FetchOptions message from the specified reader or buffer.
             * @function decode
             * @memberof fetchd.v1.FetchOptions
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {fetchd.v1.FetchOptions} FetchOptions
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            FetchOptions.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.fetchd.v1.FetchOptions();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.timeout = $root.google.protobuf.Duration.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    case 2: {
                            message.idleTimeout = $root.google.protobuf.Duration.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    case 3: {
                            message.connectTimeout = $root.google.protobuf.Duration.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    case 4: {
                            message.maxRedirects = reader.uint32();
                            break;
                        }
                    case 5: {
                            message.maxBodyBytes = reader.uint64();
                            break;
                        }
                    case 6: {
                            message.bodyOverflow = reader.int32();
                            break;
                        }
                    case 7: {
                            message.maxAttempts = reader.uint32();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return FetchOptions;
        })();

        /**
         * BodyOverflow enum.
         * @name fetchd.v1.BodyOverflow
         * @enum {number}
         * @property {number} BODY_OVERFLOW_UNSPECIFIED=0 BODY_OVERFLOW_UNSPECIFIED value
         * @property {number} BODY_OVERFLOW_FAIL=1 BODY_OVERFLOW_FAIL value
         * @property {number} BODY_OVERFLOW_TRUNCATE=2 BODY_OVERFLOW_TRUNCATE value
         */
        v1.BodyOverflow = (function() {
            const valuesById = {}, values = Object.create(valuesById);
            values[valuesById[0] = "BODY_OVERFLOW_UNSPECIFIED"] = 0;
            values[valuesById[1] = "BODY_OVERFLOW_FAIL"] = 1;
            values[valuesById[2] = "BODY_OVERFLOW_TRUNCATE"] = 2;
            return values;
        })();

        v1.FetchBatchResponse = (function() {

            /**
             * Properties of a FetchBatchResponse.
             * @memberof fetchd.v1
             * @interface IFetchBatchResponse
             * @property {Array.<fetchd.v1.IResultPart>|null} [parts] FetchBatchResponse parts
             */

            /**
             * Constructs a new FetchBatchResponse.
             * @memberof fetchd.v1
             * @classdesc Represents a FetchBatchResponse.
             * @implements IFetchBatchResponse
             * @constructor
             * @param {fetchd.v1.IFetchBatchResponse=} [properties] Properties to set
             */
            function FetchBatchResponse(properties) {
                this.parts = [];
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * FetchBatchResponse parts.
             * @member {Array.<fetchd.v1.IResultPart>} parts
             * @memberof fetchd.v1.FetchBatchResponse
             * @instance
             */
            FetchBatchResponse.prototype.parts = $util.emptyArray;

            /**
             * Encodes the specified FetchBatchResponse message. Does not implicitly {@link fetchd.v1.FetchBatchResponse.verify|verify} messages.
             * @function encode
             * @memberof fetchd.v1.FetchBatchResponse
             * @static
             * @param {fetchd.v1.IFetchBatchResponse} message FetchBatchResponse message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            FetchBatchResponse.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.parts != null && message.parts.length)
                    for (let i = 0; i < message.parts.length; ++i)
                        $root.fetchd.v1.ResultPart.encode(message.parts[i], writer.uint32(/* id 1, wireType 2 =*/10).fork(), q + 1).ldelim();
                return writer;
            };

            /**
             * Decodes a FetchBatchResponse message from the specified reader or buffer.
             * @function decode
             * @memberof fetchd.v1.FetchBatchResponse
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {fetchd.v1.FetchBatchResponse} FetchBatchResponse
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            FetchBatchResponse.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.fetchd.v1.FetchBatchResponse();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            if (!(message.parts && message.parts.length))
                                message.parts = [];
                            message.parts.push($root.fetchd.v1.ResultPart.decode(reader, reader.uint32(), undefined, long + 1));
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return FetchBatchResponse;
        })();

        v1.ResultPart = (function() {

            /**
             * Properties of a ResultPart.
             * @memberof fetchd.v1
             * @interface IResultPart
             * @property {number|null} [index] ResultPart index
             * @property {fetchd.v1.IResponseHead|null} [head] ResultPart head
             * @property {Uint8Array|null} [body] ResultPart body
             * @property {fetchd.v1.IFetchEnd|null} [end] ResultPart end
             */

            /**
             * Constructs a new ResultPart.
             * @memberof fetchd.v1
             * @classdesc Represents a ResultPart.
             * @implements IResultPart
             * @constructor
             * @param {fetchd.v1.IResultPart=} [properties] Properties to set
             */
            function ResultPart(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * ResultPart index.
             * @member {number} index
             * @memberof fetchd.v1.ResultPart
             * @instance
             */
            ResultPart.prototype.index = 0;

            /**
             * ResultPart head.
             * @member {fetchd.v1.IResponseHead|null|undefined} head
             * @memberof fetchd.v1.ResultPart
             * @instance
             */
            ResultPart.prototype.head = null;

            /**
             * ResultPart body.
             * @member {Uint8Array} body
             * @memberof fetchd.v1.ResultPart
             * @instance
             */
            ResultPart.prototype.body = $util.newBuffer([]);

            /**
             * ResultPart end.
             * @member {fetchd.v1.IFetchEnd|null|undefined} end
             * @memberof fetchd.v1.ResultPart
             * @instance
             */
            ResultPart.prototype.end = null;

            /**
             * Encodes the specified ResultPart message. Does not implicitly {@link fetchd.v1.ResultPart.verify|verify} messages.
             * @function encode
             * @memberof fetchd.v1.ResultPart
             * @static
             * @param {fetchd.v1.IResultPart} message ResultPart message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            ResultPart.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.index != null && Object.hasOwnProperty.call(message, "index"))
                    writer.uint32(/* id 1, wireType 0 =*/8).uint32(message.index);
                if (message.head != null && Object.hasOwnProperty.call(message, "head"))
                    $root.fetchd.v1.ResponseHead.encode(message.head, writer.uint32(/* id 2, wireType 2 =*/18).fork(), q + 1).ldelim();
                if (message.body != null && Object.hasOwnProperty.call(message, "body"))
                    writer.uint32(/* id 3, wireType 2 =*/26).bytes(message.body);
                if (message.end != null && Object.hasOwnProperty.call(message, "end"))
                    $root.fetchd.v1.FetchEnd.encode(message.end, writer.uint32(/* id 4, wireType 2 =*/34).fork(), q + 1).ldelim();
                return writer;
            };

            /**
             * Decodes a ResultPart message from the specified reader or buffer.
             * @function decode
             * @memberof fetchd.v1.ResultPart
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {fetchd.v1.ResultPart} ResultPart
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            ResultPart.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.fetchd.v1.ResultPart();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.index = reader.uint32();
                            break;
                        }
                    case 2: {
                            message.head = $root.fetchd.v1.ResponseHead.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    case 3: {
                            message.body = reader.bytes();
                            break;
                        }
                    case 4: {
                            message.end = $root.fetchd.v1.FetchEnd.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return ResultPart;
        })();

        v1.ResponseHead = (function() {

            /**
             * Properties of a ResponseHead.
             * @memberof fetchd.v1
             * @interface IResponseHead
             * @property {number|null} [status] ResponseHead status
             * @property {Array.<fetchd.v1.IHeader>|null} [headers] ResponseHead headers
             * @property {string|null} [url] ResponseHead url
             * @property {fetchd.v1.HttpVersion|null} [version] ResponseHead version
             */

            /**
             * Constructs a new ResponseHead.
             * @memberof fetchd.v1
             * @classdesc Represents a ResponseHead.
             * @implements IResponseHead
             * @constructor
             * @param {fetchd.v1.IResponseHead=} [properties] Properties to set
             */
            function ResponseHead(properties) {
                this.headers = [];
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * ResponseHead status.
             * @member {number} status
             * @memberof fetchd.v1.ResponseHead
             * @instance
             */
            ResponseHead.prototype.status = 0;

            /**
             * ResponseHead headers.
             * @member {Array.<fetchd.v1.IHeader>} headers
             * @memberof fetchd.v1.ResponseHead
             * @instance
             */
            ResponseHead.prototype.headers = $util.emptyArray;

            /**
             * ResponseHead url.
             * @member {string} url
             * @memberof fetchd.v1.ResponseHead
             * @instance
             */
            ResponseHead.prototype.url = "";

            /**
             * ResponseHead version.
             * @member {fetchd.v1.HttpVersion} version
             * @memberof fetchd.v1.ResponseHead
             * @instance
             */
            ResponseHead.prototype.version = 0;

            /**
             * Encodes the specified ResponseHead message. Does not implicitly {@link fetchd.v1.ResponseHead.verify|verify} messages.
             * @function encode
             * @memberof fetchd.v1.ResponseHead
             * @static
             * @param {fetchd.v1.IResponseHead} message ResponseHead message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            ResponseHead.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.status != null && Object.hasOwnProperty.call(message, "status"))
                    writer.uint32(/* id 1, wireType 0 =*/8).uint32(message.status);
                if (message.headers != null && message.headers.length)
                    for (let i = 0; i < message.headers.length; ++i)
                        $root.fetchd.v1.Header.encode(message.headers[i], writer.uint32(/* id 2, wireType 2 =*/18).fork(), q + 1).ldelim();
                if (message.url != null && Object.hasOwnProperty.call(message, "url"))
                    writer.uint32(/* id 3, wireType 2 =*/26).string(message.url);
                if (message.version != null && Object.hasOwnProperty.call(message, "version"))
                    writer.uint32(/* id 4, wireType 0 =*/32).int32(message.version);
                return writer;
            };

            /**
             * Decodes a ResponseHead message from the specified reader or buffer.
             * @function decode
             * @memberof fetchd.v1.ResponseHead
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {fetchd.v1.ResponseHead} ResponseHead
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            ResponseHead.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.fetchd.v1.ResponseHead();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.status = reader.uint32();
                            break;
                        }
                    case 2: {
                            if (!(message.headers && message.headers.length))
                                message.headers = [];
                            message.headers.push($root.fetchd.v1.Header.decode(reader, reader.uint32(), undefined, long + 1));
                            break;
                        }
                    case 3: {
                            message.url = reader.string();
                            break;
                        }
                    case 4: {
                            message.version = reader.int32();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return ResponseHead;
        })();

        /**
         * HttpVersion enum.
         * @name fetchd.v1.HttpVersion
         * @enum {number}
         * @property {number} HTTP_VERSION_UNSPECIFIED=0 HTTP_VERSION_UNSPECIFIED value
         * @property {number} HTTP_VERSION_HTTP_1_0=1 HTTP_VERSION_HTTP_1_0 value
         * @property {number} HTTP_VERSION_HTTP_1_1=2 HTTP_VERSION_HTTP_1_1 value
         * @property {number} HTTP_VERSION_HTTP_2=3 HTTP_VERSION_HTTP_2 value
         * @property {number} HTTP_VERSION_HTTP_3=4 HTTP_VERSION_HTTP_3 value
         */
        v1.HttpVersion = (function() {
            const valuesById = {}, values = Object.create(valuesById);
            values[valuesById[0] = "HTTP_VERSION_UNSPECIFIED"] = 0;
            values[valuesById[1] = "HTTP_VERSION_HTTP_1_0"] = 1;
            values[valuesById[2] = "HTTP_VERSION_HTTP_1_1"] = 2;
            values[valuesById[3] = "HTTP_VERSION_HTTP_2"] = 3;
            values[valuesById[4] = "HTTP_VERSION_HTTP_3"] = 4;
            return values;
        })();

        v1.FetchEnd = (function() {

            /**
             * Properties of a FetchEnd.
             * @memberof fetchd.v1
             * @interface IFetchEnd
             * @property {fetchd.v1.IFetchError|null} [error] FetchEnd error
             * @property {number|null} [attempts] FetchEnd attempts
             * @property {number|null} [redirects] FetchEnd redirects
             * @property {number|null} [bodyBytes] FetchEnd bodyBytes
             * @property {boolean|null} [truncated] FetchEnd truncated
             * @property {fetchd.v1.ITiming|null} [timing] FetchEnd timing
             */

            /**
             * Constructs a new FetchEnd.
             * @memberof fetchd.v1
             * @classdesc Represents a FetchEnd.
             * @implements IFetchEnd
             * @constructor
             * @param {fetchd.v1.IFetchEnd=} [properties] Properties to set
             */
            function FetchEnd(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * FetchEnd error.
             * @member {fetchd.v1.IFetchError|null|undefined} error
             * @memberof fetchd.v1.FetchEnd
             * @instance
             */
            FetchEnd.prototype.error = null;

            /**
             * FetchEnd attempts.
             * @member {number} attempts
             * @memberof fetchd.v1.FetchEnd
             * @instance
             */
            FetchEnd.prototype.attempts = 0;

            /**
             * FetchEnd redirects.
             * @member {number} redirects
             * @memberof fetchd.v1.FetchEnd
             * @instance
             */
            FetchEnd.prototype.redirects = 0;

            /**
             * FetchEnd bodyBytes.
             * @member {number} bodyBytes
             * @memberof fetchd.v1.FetchEnd
             * @instance
             */
            FetchEnd.prototype.bodyBytes = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

            /**
             * FetchEnd truncated.
             * @member {boolean} truncated
             * @memberof fetchd.v1.FetchEnd
             * @instance
             */
            FetchEnd.prototype.truncated = false;

            /**
             * FetchEnd timing.
             * @member {fetchd.v1.ITiming|null|undefined} timing
             * @memberof fetchd.v1.FetchEnd
             * @instance
             */
            FetchEnd.prototype.timing = null;

            /**
             * Encodes the specified FetchEnd message. Does not implicitly {@link fetchd.v1.FetchEnd.verify|verify} messages.
             * @function encode
             * @memberof fetchd.v1.FetchEnd
             * @static
             * @param {fetchd.v1.IFetchEnd} message FetchEnd message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            FetchEnd.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.error != null && Object.hasOwnProperty.call(message, "error"))
                    $root.fetchd.v1.FetchError.encode(message.error, writer.uint32(/* id 1, wireType 2 =*/10).fork(), q + 1).ldelim();
                if (message.attempts != null && Object.hasOwnProperty.call(message, "attempts"))
                    writer.uint32(/* id 2, wireType 0 =*/16).uint32(message.attempts);
                if (message.redirects != null && Object.hasOwnProperty.call(message, "redirects"))
                    writer.uint32(/* id 3, wireType 0 =*/24).uint32(message.redirects);
                if (message.bodyBytes != null && Object.hasOwnProperty.call(message, "bodyBytes"))
                    writer.uint32(/* id 4, wireType 0 =*/32).uint64(message.bodyBytes);
                if (message.truncated != null && Object.hasOwnProperty.call(message, "truncated"))
                    writer.uint32(/* id 5, wireType 0 =*/40).bool(message.truncated);
                if (message.timing != null && Object.hasOwnProperty.call(message, "timing"))
                    $root.fetchd.v1.Timing.encode(message.timing, writer.uint32(/* id 6, wireType 2 =*/50).fork(), q + 1).ldelim();
                return writer;
            };

            /**
             * Decodes a FetchEnd message from the specified reader or buffer.
             * @function decode
             * @memberof fetchd.v1.FetchEnd
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {fetchd.v1.FetchEnd} FetchEnd
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            FetchEnd.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.fetchd.v1.FetchEnd();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.error = $root.fetchd.v1.FetchError.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    case 2: {
                            message.attempts = reader.uint32();
                            break;
                        }
                    case 3: {
                            message.redirects = reader.uint32();
                            break;
                        }
                    case 4: {
                            message.bodyBytes = reader.uint64();
                            break;
                        }
                    case 5: {
                            message.truncated = reader.bool();
                            break;
                        }
                    case 6: {
                            message.timing = $root.fetchd.v1.Timing.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return FetchEnd;
        })();

        v1.Timing = (function() {

            /**
             * Properties of a Timing.
             * @memberof fetchd.v1
             * @interface ITiming
             * @property {google.protobuf.IDuration|null} [queued] Timing queued
             * @property {google.protobuf.IDuration|null} [firstByte] Timing firstByte
             * @property {google.protobuf.IDuration|null} [total] Timing total
             * @property {google.protobuf.IDuration|null} [dns] Timing dns
             * @property {google.protobuf.IDuration|null} [connect] Timing connect
             * @property {google.protobuf.IDuration|null} [tls] Timing tls
             * @property {boolean|null} [connectionReused] Timing connectionReused
             * @property {google.protobuf.IDuration|null} [earlier] Timing earlier
             */

            /**
             * Constructs a new Timing.
             * @memberof fetchd.v1
             * @classdesc Represents a Timing.
             * @implements ITiming
             * @constructor
             * @param {fetchd.v1.ITiming=} [properties] Properties to set
             */
            function Timing(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * Timing queued.
             * @member {google.protobuf.IDuration|null|undefined} queued
             * @memberof fetchd.v1.Timing
             * @instance
             */
            Timing.prototype.queued = null;

            /**
             * Timing firstByte.
             * @member {google.protobuf.IDuration|null|undefined} firstByte
             * @memberof fetchd.v1.Timing
             * @instance
             */
            Timing.prototype.firstByte = null;

            /**
             * Timing total.
             * @member {google.protobuf.IDuration|null|undefined} total
             * @memberof fetchd.v1.Timing
             * @instance
             */
            Timing.prototype.total = null;

            /**
             * Timing dns.
             * @member {google.protobuf.IDuration|null|undefined} dns
             * @memberof fetchd.v1.Timing
             * @instance
             */
            Timing.prototype.dns = null;

            /**
             * Timing connect.
             * @member {google.protobuf.IDuration|null|undefined} connect
             * @memberof fetchd.v1.Timing
             * @instance
             */
            Timing.prototype.connect = null;

            /**
             * Timing tls.
             * @member {google.protobuf.IDuration|null|undefined} tls
             * @memberof fetchd.v1.Timing
             * @instance
             */
            Timing.prototype.tls = null;

            /**
             * Timing connectionReused.
             * @member {boolean} connectionReused
             * @memberof fetchd.v1.Timing
             * @instance
             */
            Timing.prototype.connectionReused = false;

            /**
             * Timing earlier.
             * @member {google.protobuf.IDuration|null|undefined} earlier
             * @memberof fetchd.v1.Timing
             * @instance
             */
            Timing.prototype.earlier = null;

            /**
             * Encodes the specified Timing message. Does not implicitly {@link fetchd.v1.Timing.verify|verify} messages.
             * @function encode
             * @memberof fetchd.v1.Timing
             * @static
             * @param {fetchd.v1.ITiming} message Timing message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            Timing.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.queued != null && Object.hasOwnProperty.call(message, "queued"))
                    $root.google.protobuf.Duration.encode(message.queued, writer.uint32(/* id 1, wireType 2 =*/10).fork(), q + 1).ldelim();
                if (message.firstByte != null && Object.hasOwnProperty.call(message, "firstByte"))
                    $root.google.protobuf.Duration.encode(message.firstByte, writer.uint32(/* id 2, wireType 2 =*/18).fork(), q + 1).ldelim();
                if (message.total != null && Object.hasOwnProperty.call(message, "total"))
                    $root.google.protobuf.Duration.encode(message.total, writer.uint32(/* id 3, wireType 2 =*/26).fork(), q + 1).ldelim();
                if (message.dns != null && Object.hasOwnProperty.call(message, "dns"))
                    $root.google.protobuf.Duration.encode(message.dns, writer.uint32(/* id 4, wireType 2 =*/34).fork(), q + 1).ldelim();
                if (message.connect != null && Object.hasOwnProperty.call(message, "connect"))
                    $root.google.protobuf.Duration.encode(message.connect, writer.uint32(/* id 5, wireType 2 =*/42).fork(), q + 1).ldelim();
                if (message.tls != null && Object.hasOwnProperty.call(message, "tls"))
                    $root.google.protobuf.Duration.encode(message.tls, writer.uint32(/* id 6, wireType 2 =*/50).fork(), q + 1).ldelim();
                if (message.connectionReused != null && Object.hasOwnProperty.call(message, "connectionReused"))
                    writer.uint32(/* id 7, wireType 0 =*/56).bool(message.connectionReused);
                if (message.earlier != null && Object.hasOwnProperty.call(message, "earlier"))
                    $root.google.protobuf.Duration.encode(message.earlier, writer.uint32(/* id 8, wireType 2 =*/66).fork(), q + 1).ldelim();
                return writer;
            };

            /**
             * Decodes a Timing message from the specified reader or buffer.
             * @function decode
             * @memberof fetchd.v1.Timing
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {fetchd.v1.Timing} Timing
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            Timing.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.fetchd.v1.Timing();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.queued = $root.google.protobuf.Duration.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    case 2: {
                            message.firstByte = $root.google.protobuf.Duration.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    case 3: {
                            message.total = $root.google.protobuf.Duration.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    case 4: {
                            message.dns = $root.google.protobuf.Duration.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    case 5: {
                            message.connect = $root.google.protobuf.Duration.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    case 6: {
                            message.tls = $root.google.protobuf.Duration.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    case 7: {
                            message.connectionReused = reader.bool();
                            break;
                        }
                    case 8: {
                            message.earlier = $root.google.protobuf.Duration.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return Timing;
        })();

        v1.FetchError = (function() {

            /**
             * Properties of a FetchError.
             * @memberof fetchd.v1
             * @interface IFetchError
             * @property {fetchd.v1.Reason|null} [reason] FetchError reason
             * @property {string|null} [message] FetchError message
             * @property {boolean|null} [retryable] FetchError retryable
             */

            /**
             * Constructs a new FetchError.
             * @memberof fetchd.v1
             * @classdesc Represents a FetchError.
             * @implements IFetchError
             * @constructor
             * @param {fetchd.v1.IFetchError=} [properties] Properties to set
             */
            function FetchError(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * FetchError reason.
             * @member {fetchd.v1.Reason} reason
             * @memberof fetchd.v1.FetchError
             * @instance
             */
            FetchError.prototype.reason = 0;

            /**
             * FetchError message.
             * @member {string} message
             * @memberof fetchd.v1.FetchError
             * @instance
             */
            FetchError.prototype.message = "";

            /**
             * FetchError retryable.
             * @member {boolean} retryable
             * @memberof fetchd.v1.FetchError
             * @instance
             */
            FetchError.prototype.retryable = false;

            /**
             * Encodes the specified FetchError message. Does not implicitly {@link fetchd.v1.FetchError.verify|verify} messages.
             * @function encode
             * @memberof fetchd.v1.FetchError
             * @static
             * @param {fetchd.v1.IFetchError} message FetchError message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            FetchError.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.reason != null && Object.hasOwnProperty.call(message, "reason"))
                    writer.uint32(/* id 1, wireType 0 =*/8).int32(message.reason);
                if (message.message != null && Object.hasOwnProperty.call(message, "message"))
                    writer.uint32(/* id 2, wireType 2 =*/18).string(message.message);
                if (message.retryable != null && Object.hasOwnProperty.call(message, "retryable"))
                    writer.uint32(/* id 3, wireType 0 =*/24).bool(message.retryable);
                return writer;
            };

            /**
             * Decodes a FetchError message from the specified reader or buffer.
             * @function decode
             * @memberof fetchd.v1.FetchError
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {fetchd.v1.FetchError} FetchError
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            FetchError.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.fetchd.v1.FetchError();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.reason = reader.int32();
                            break;
                        }
                    case 2: {
                            message.message = reader.string();
                            break;
                        }
                    case 3: {
                            message.retryable = reader.bool();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return FetchError;
        })();

        /**
         * Reason enum.
         * @name fetchd.v1.Reason
         * @enum {number}
         * @property {number} REASON_UNSPECIFIED=0 REASON_UNSPECIFIED value
         * @property {number} REASON_INVALID_REQUEST=1 REASON_INVALID_REQUEST value
         * @property {number} REASON_BLOCKED=2 REASON_BLOCKED value
         * @property {number} REASON_DNS=3 REASON_DNS value
         * @property {number} REASON_CONNECT=4 REASON_CONNECT value
         * @property {number} REASON_TLS=5 REASON_TLS value
         * @property {number} REASON_TIMEOUT=6 REASON_TIMEOUT value
         * @property {number} REASON_TOO_MANY_REDIRECTS=7 REASON_TOO_MANY_REDIRECTS value
         * @property {number} REASON_PROTOCOL=8 REASON_PROTOCOL value
         * @property {number} REASON_DISCONNECTED=9 REASON_DISCONNECTED value
         * @property {number} REASON_DECODE=10 REASON_DECODE value
         * @property {number} REASON_BODY_TOO_LARGE=11 REASON_BODY_TOO_LARGE value
         * @property {number} REASON_BATCH_DEADLINE=12 REASON_BATCH_DEADLINE value
         * @property {number} REASON_SHUTTING_DOWN=13 REASON_SHUTTING_DOWN value
         * @property {number} REASON_INTERNAL=14 REASON_INTERNAL value
         */
        v1.Reason = (function() {
            const valuesById = {}, values = Object.create(valuesById);
            values[valuesById[0] = "REASON_UNSPECIFIED"] = 0;
            values[valuesById[1] = "REASON_INVALID_REQUEST"] = 1;
            values[valuesById[2] = "REASON_BLOCKED"] = 2;
            values[valuesById[3] = "REASON_DNS"] = 3;
            values[valuesById[4] = "REASON_CONNECT"] = 4;
            values[valuesById[5] = "REASON_TLS"] = 5;
            values[valuesById[6] = "REASON_TIMEOUT"] = 6;
            values[valuesById[7] = "REASON_TOO_MANY_REDIRECTS"] = 7;
            values[valuesById[8] = "REASON_PROTOCOL"] = 8;
            values[valuesById[9] = "REASON_DISCONNECTED"] = 9;
            values[valuesById[10] = "REASON_DECODE"] = 10;
            values[valuesById[11] = "REASON_BODY_TOO_LARGE"] = 11;
            values[valuesById[12] = "REASON_BATCH_DEADLINE"] = 12;
            values[valuesById[13] = "REASON_SHUTTING_DOWN"] = 13;
            values[valuesById[14] = "REASON_INTERNAL"] = 14;
            return values;
        })();

        return v1;
    })();

    fetchd.internal = (function() {

        /**
         * Namespace internal.
         * @memberof fetchd
         * @namespace
         */
        const internal = {};

        internal.Status = (function() {

            /**
             * Properties of a Status.
             * @memberof fetchd.internal
             * @interface IStatus
             * @property {number|null} [code] Status code
             * @property {string|null} [message] Status message
             * @property {Array.<google.protobuf.IAny>|null} [details] Status details
             */

            /**
             * Constructs a new Status.
             * @memberof fetchd.internal
             * @classdesc Represents a Status.
             * @implements IStatus
             * @constructor
             * @param {fetchd.internal.IStatus=} [properties] Properties to set
             */
            function Status(properties) {
                this.details = [];
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * Status code.
             * @member {number} code
             * @memberof fetchd.internal.Status
             * @instance
             */
            Status.prototype.code = 0;

            /**
             * Status message.
             * @member {string} message
             * @memberof fetchd.internal.Status
             * @instance
             */
            Status.prototype.message = "";

            /**
             * Status details.
             * @member {Array.<google.protobuf.IAny>} details
             * @memberof fetchd.internal.Status
             * @instance
             */
            Status.prototype.details = $util.emptyArray;

            /**
             * Encodes the specified Status message. Does not implicitly {@link fetchd.internal.Status.verify|verify} messages.
             * @function encode
             * @memberof fetchd.internal.Status
             * @static
             * @param {fetchd.internal.IStatus} message Status message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            Status.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.code != null && Object.hasOwnProperty.call(message, "code"))
                    writer.uint32(/* id 1, wireType 0 =*/8).int32(message.code);
                if (message.message != null && Object.hasOwnProperty.call(message, "message"))
                    writer.uint32(/* id 2, wireType 2 =*/18).string(message.message);
                if (message.details != null && message.details.length)
                    for (let i = 0; i < message.details.length; ++i)
                        $root.google.protobuf.Any.encode(message.details[i], writer.uint32(/* id 3, wireType 2 =*/26).fork(), q + 1).ldelim();
                return writer;
            };

            /**
             * Decodes a Status message from the specified reader or buffer.
             * @function decode
             * @memberof fetchd.internal.Status
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {fetchd.internal.Status} Status
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            Status.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.fetchd.internal.Status();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.code = reader.int32();
                            break;
                        }
                    case 2: {
                            message.message = reader.string();
                            break;
                        }
                    case 3: {
                            if (!(message.details && message.details.length))
                                message.details = [];
                            message.details.push($root.google.protobuf.Any.decode(reader, reader.uint32(), undefined, long + 1));
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return Status;
        })();

        internal.ErrorInfo = (function() {

            /**
             * Properties of an ErrorInfo.
             * @memberof fetchd.internal
             * @interface IErrorInfo
             * @property {string|null} [reason] ErrorInfo reason
             * @property {string|null} [domain] ErrorInfo domain
             */

            /**
             * Constructs a new ErrorInfo.
             * @memberof fetchd.internal
             * @classdesc Represents an ErrorInfo.
             * @implements IErrorInfo
             * @constructor
             * @param {fetchd.internal.IErrorInfo=} [properties] Properties to set
             */
            function ErrorInfo(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * ErrorInfo reason.
             * @member {string} reason
             * @memberof fetchd.internal.ErrorInfo
             * @instance
             */
            ErrorInfo.prototype.reason = "";

            /**
             * ErrorInfo domain.
             * @member {string} domain
             * @memberof fetchd.internal.ErrorInfo
             * @instance
             */
            ErrorInfo.prototype.domain = "";

            /**
             * Encodes the specified ErrorInfo message. Does not implicitly {@link fetchd.internal.ErrorInfo.verify|verify} messages.
             * @function encode
             * @memberof fetchd.internal.ErrorInfo
             * @static
             * @param {fetchd.internal.IErrorInfo} message ErrorInfo message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            ErrorInfo.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.reason != null && Object.hasOwnProperty.call(message, "reason"))
                    writer.uint32(/* id 1, wireType 2 =*/10).string(message.reason);
                if (message.domain != null && Object.hasOwnProperty.call(message, "domain"))
                    writer.uint32(/* id 2, wireType 2 =*/18).string(message.domain);
                return writer;
            };

            /**
             * Decodes an ErrorInfo message from the specified reader or buffer.
             * @function decode
             * @memberof fetchd.internal.ErrorInfo
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {fetchd.internal.ErrorInfo} ErrorInfo
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            ErrorInfo.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.fetchd.internal.ErrorInfo();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.reason = reader.string();
                            break;
                        }
                    case 2: {
                            message.domain = reader.string();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return ErrorInfo;
        })();

        internal.RetryInfo = (function() {

            /**
             * Properties of a RetryInfo.
             * @memberof fetchd.internal
             * @interface IRetryInfo
             * @property {google.protobuf.IDuration|null} [retryDelay] RetryInfo retryDelay
             */

            /**
             * Constructs a new RetryInfo.
             * @memberof fetchd.internal
             * @classdesc Represents a RetryInfo.
             * @implements IRetryInfo
             * @constructor
             * @param {fetchd.internal.IRetryInfo=} [properties] Properties to set
             */
            function RetryInfo(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * RetryInfo retryDelay.
             * @member {google.protobuf.IDuration|null|undefined} retryDelay
             * @memberof fetchd.internal.RetryInfo
             * @instance
             */
            RetryInfo.prototype.retryDelay = null;

            /**
             * Encodes the specified RetryInfo message. Does not implicitly {@link fetchd.internal.RetryInfo.verify|verify} messages.
             * @function encode
             * @memberof fetchd.internal.RetryInfo
             * @static
             * @param {fetchd.internal.IRetryInfo} message RetryInfo message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            RetryInfo.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.retryDelay != null && Object.hasOwnProperty.call(message, "retryDelay"))
                    $root.google.protobuf.Duration.encode(message.retryDelay, writer.uint32(/* id 1, wireType 2 =*/10).fork(), q + 1).ldelim();
                return writer;
            };

            /**
             * Decodes a RetryInfo message from the specified reader or buffer.
             * @function decode
             * @memberof fetchd.internal.RetryInfo
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {fetchd.internal.RetryInfo} RetryInfo
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            RetryInfo.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.fetchd.internal.RetryInfo();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.retryDelay = $root.google.protobuf.Duration.decode(reader, reader.uint32(), undefined, long + 1);
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return RetryInfo;
        })();

        return internal;
    })();

    return fetchd;
})();

export const google = $root.google = (() => {

    /**
     * Namespace google.
     * @exports google
     * @namespace
     */
    const google = {};

    google.protobuf = (function() {

        /**
         * Namespace protobuf.
         * @memberof google
         * @namespace
         */
        const protobuf = {};

        protobuf.Duration = (function() {

            /**
             * Properties of a Duration.
             * @memberof google.protobuf
             * @interface IDuration
             * @property {number|null} [seconds] Duration seconds
             * @property {number|null} [nanos] Duration nanos
             */

            /**
             * Constructs a new Duration.
             * @memberof google.protobuf
             * @classdesc Represents a Duration.
             * @implements IDuration
             * @constructor
             * @param {google.protobuf.IDuration=} [properties] Properties to set
             */
            function Duration(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * Duration seconds.
             * @member {number} seconds
             * @memberof google.protobuf.Duration
             * @instance
             */
            Duration.prototype.seconds = $util.Long ? $util.Long.fromBits(0,0,false) : 0;

            /**
             * Duration nanos.
             * @member {number} nanos
             * @memberof google.protobuf.Duration
             * @instance
             */
            Duration.prototype.nanos = 0;

            /**
             * Encodes the specified Duration message. Does not implicitly {@link google.protobuf.Duration.verify|verify} messages.
             * @function encode
             * @memberof google.protobuf.Duration
             * @static
             * @param {google.protobuf.IDuration} message Duration message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            Duration.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.seconds != null && Object.hasOwnProperty.call(message, "seconds"))
                    writer.uint32(/* id 1, wireType 0 =*/8).int64(message.seconds);
                if (message.nanos != null && Object.hasOwnProperty.call(message, "nanos"))
                    writer.uint32(/* id 2, wireType 0 =*/16).int32(message.nanos);
                return writer;
            };

            /**
             * Decodes a Duration message from the specified reader or buffer.
             * @function decode
             * @memberof google.protobuf.Duration
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {google.protobuf.Duration} Duration
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            Duration.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.google.protobuf.Duration();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.seconds = reader.int64();
                            break;
                        }
                    case 2: {
                            message.nanos = reader.int32();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return Duration;
        })();

        protobuf.Any = (function() {

            /**
             * Properties of an Any.
             * @memberof google.protobuf
             * @interface IAny
             * @property {string|null} [type_url] Any type_url
             * @property {Uint8Array|null} [value] Any value
             */

            /**
             * Constructs a new Any.
             * @memberof google.protobuf
             * @classdesc Represents an Any.
             * @implements IAny
             * @constructor
             * @param {google.protobuf.IAny=} [properties] Properties to set
             */
            function Any(properties) {
                if (properties)
                    for (let keys = Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            }

            /**
             * Any type_url.
             * @member {string} type_url
             * @memberof google.protobuf.Any
             * @instance
             */
            Any.prototype.type_url = "";

            /**
             * Any value.
             * @member {Uint8Array} value
             * @memberof google.protobuf.Any
             * @instance
             */
            Any.prototype.value = $util.newBuffer([]);

            /**
             * Encodes the specified Any message. Does not implicitly {@link google.protobuf.Any.verify|verify} messages.
             * @function encode
             * @memberof google.protobuf.Any
             * @static
             * @param {google.protobuf.IAny} message Any message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            Any.encode = function encode(message, writer, q) {
                if (!writer)
                    writer = $Writer.create();
                if (q === undefined)
                    q = 0;
                if (q > $util.recursionLimit)
                    throw Error("max depth exceeded");
                if (message.type_url != null && Object.hasOwnProperty.call(message, "type_url"))
                    writer.uint32(/* id 1, wireType 2 =*/10).string(message.type_url);
                if (message.value != null && Object.hasOwnProperty.call(message, "value"))
                    writer.uint32(/* id 2, wireType 2 =*/18).bytes(message.value);
                return writer;
            };

            /**
             * Decodes an Any message from the specified reader or buffer.
             * @function decode
             * @memberof google.protobuf.Any
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {google.protobuf.Any} Any
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            Any.decode = function decode(reader, length, error, long) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (long === undefined)
                    long = 0;
                if (long > $Reader.recursionLimit)
                    throw Error("maximum nesting depth exceeded");
                let end, message;
                if (length === undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = new $root.google.protobuf.Any();
                while (reader.pos < end) {
                    let tag = reader.uint32();
                    if (tag === error)
                        break;
                    switch (tag >>> 3) {
                    case 1: {
                            message.type_url = reader.string();
                            break;
                        }
                    case 2: {
                            message.value = reader.bytes();
                            break;
                        }
                    default:
                        reader.skipType(tag & 7, long);
                        break;
                    }
                }
                if (length !== undefined) {
                    if (reader.pos !== end)
                        throw RangeError("index out of range");
                    reader.len = length;
                }
                return message;
            };

            return Any;
        })();

        return protobuf;
    })();

    return google;
})();
