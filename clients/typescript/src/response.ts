import { inspect, type InspectOptionsStylized } from "node:util";

import { Head } from "./head.js";
import { FetchEnd } from "./messages.js";
import type { Part } from "./part.js";

/** Creates a response whose body is in memory. `part` is the whole result. */
export function bufferedResponse(part: Part): Response {
  return new BufferedResponse(part) as unknown as Response;
}

/** Creates a response whose body arrives while it is read. */
export function streamedResponse(
  head: Head,
  body: ReadableStream<Uint8Array> | null,
  redirected: boolean,
): Response {
  return new StreamedResponse(head, body, redirected) as unknown as Response;
}

/** These have no body, not even an empty one. */
const NULL_BODY = new Set([101, 103, 204, 205, 304]);

/**
 * Creates a Response if there is a `body`, which may be null. Otherwise the object has only the
 * prototype of one, because the constructor makes about ten objects, which are a fifth of the cost
 * of a result. All members that need them are then overridden, or passed on (see below).
 */
function MaybeResponse(body?: ReadableStream<Uint8Array> | null): unknown {
  return body === undefined ? undefined : Reflect.construct(Response, [body], new.target);
}
MaybeResponse.prototype = Response.prototype;

/** The types of Response allow no getters in a subclass, so they are left out of its base. */
type Inherited = Omit<Response, Meta | Body>;
type Meta = "status" | "statusText" | "type" | "ok" | "url" | "redirected" | "headers";
type Body = "body" | "bodyUsed" | "arrayBuffer" | "blob" | "formData" | "json" | "text" | "clone";
const Base = MaybeResponse as unknown as new (body?: ReadableStream<Uint8Array> | null) => Inherited;

/**
 * A standard Response that came through the service. Its constructor would refuse some of the
 * statuses that origins send, and copying the headers takes time, so getters serve both.
 */
abstract class RemoteResponse extends Base {
  protected abstract readonly head: Head | undefined;
  abstract readonly redirected: boolean;

  get status(): number {
    // The constructor of Response asks for the status of a response with a body.
    return this.head?.status ?? 200;
  }

  get statusText(): string {
    return "";
  }

  get type(): Response["type"] {
    return "default";
  }

  get ok(): boolean {
    return this.status >= 200 && this.status <= 299;
  }

  get url(): string {
    return this.head?.url ?? "";
  }

  get headers(): Headers {
    return this.head?.headers ?? new Headers();
  }

  /** Without the body, since that would become a stream. */
  [inspect.custom](_: number, options: InspectOptionsStylized): string {
    const { status, statusText, headers, ok, redirected, type, url } = this;
    const shown = { status, statusText, headers, ok, redirected, type, url };
    return `Response ${inspect(shown, options)}`;
  }
}

class StreamedResponse extends RemoteResponse {
  protected readonly head: Head;
  readonly redirected: boolean;

  constructor(head: Head, body: ReadableStream<Uint8Array> | null, redirected: boolean) {
    super(NULL_BODY.has(head.status) ? null : body);
    this.head = head;
    this.redirected = redirected;
  }

  clone(): Response {
    const { body } = Response.prototype.clone.call(this);
    return streamedResponse(this.head, body, this.redirected);
  }
}

const DECODER = new TextDecoder();

/**
 * A response whose body is in memory. A stream of one chunk and its reader take 30 µs, which is
 * more than the fetch itself, so the body is only made a stream if somebody asks for one.
 */
class BufferedResponse extends RemoteResponse {
  /** Members of later versions of Response are those of a plain one. */
  static {
    const own = [BufferedResponse.prototype, RemoteResponse.prototype];
    const names = Object.getOwnPropertyNames(Response.prototype) as (keyof Response)[];
    for (const name of names.filter((one) => !own.some((known) => Object.hasOwn(known, one)))) {
      Object.defineProperty(BufferedResponse.prototype, name, {
        configurable: true,
        get(this: BufferedResponse): unknown {
          const standard = this.#toStandard();
          const member: unknown = standard[name];
          return typeof member === "function" ? member.bind(standard) : member;
        },
      });
    }
  }

  readonly #part: Part;
  #head: Head | undefined;
  /** Has the body once it is a stream. */
  #standard: Response | undefined;
  #isUsed = false;

  constructor(part: Part) {
    super();
    this.#part = part;
  }

  protected get head(): Head {
    return (this.#head ??= new Head(this.#part));
  }

  get redirected(): boolean {
    return FetchEnd.decode(this.#part.end).redirects > 0;
  }

  get body(): ReadableStream<Uint8Array> | null {
    return this.#toStandard().body;
  }

  get bodyUsed(): boolean {
    return this.#standard?.bodyUsed ?? this.#isUsed;
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    if (this.#standard) {
      return this.#standard.arrayBuffer();
    }
    const { buffer, byteOffset, byteLength } = this.#use();
    return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
  }

  /** Newer versions of Node.js have this method in their Response. */
  async bytes(): Promise<Uint8Array> {
    return this.#standard ? new Uint8Array(await this.#standard.arrayBuffer()) : this.#use();
  }

  async text(): Promise<string> {
    return this.#standard ? this.#standard.text() : DECODER.decode(this.#use());
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  blob(): Promise<Blob> {
    return this.#toStandard().blob();
  }

  formData(): Promise<FormData> {
    return this.#toStandard().formData();
  }

  clone(): Response {
    if (this.bodyUsed) {
      throw new TypeError("Response.clone: the body has been read already");
    }
    if (this.#standard) {
      return streamedResponse(this.head, this.#standard.clone().body, this.redirected);
    }
    return bufferedResponse(this.#part);
  }

  #use(): Uint8Array {
    if (this.#isUsed && this.body !== null) {
      throw new TypeError("Body is unusable: it has been read already");
    }
    this.#isUsed = true;
    return this.#part.bytes;
  }

  #toStandard(): Response {
    if (!this.#standard) {
      const isNull = this.#part.bodyLength === 0 && NULL_BODY.has(this.status);
      const { headers } = this;
      this.#standard = new Response(isNull ? null : this.#part.body, { headers });
      if (this.#isUsed) {
        void this.#standard.arrayBuffer();
      }
    }
    return this.#standard;
  }
}
