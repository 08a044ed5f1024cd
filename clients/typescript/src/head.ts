import { HttpVersion, ResponseHead } from "./messages.js";
import { readStatus, type Part } from "./part.js";

const VERSIONS: Partial<Record<HttpVersion, string>> = {
  [HttpVersion.HTTP_VERSION_HTTP_1_0]: "HTTP/1.0",
  [HttpVersion.HTTP_VERSION_HTTP_1_1]: "HTTP/1.1",
  [HttpVersion.HTTP_VERSION_HTTP_2]: "HTTP/2",
  [HttpVersion.HTTP_VERSION_HTTP_3]: "HTTP/3",
};

/** The head of a response. Only the status is decoded before somebody asks for more. */
export class Head {
  readonly #part: Part;
  #message: ResponseHead | undefined;
  #headers: Headers | undefined;

  constructor(part: Part) {
    this.#part = part;
  }

  get status(): number {
    return readStatus(this.#part);
  }

  /** The URL that responded, after redirects. */
  get url(): string {
    return this.#decode().url;
  }

  get httpVersion(): string | undefined {
    return VERSIONS[this.#decode().version];
  }

  /** The header lines. Bytes beyond ASCII are Latin-1. */
  get headers(): Headers {
    if (!this.#headers) {
      this.#headers = new Headers();
      for (const { name, value } of this.#decode().headers) {
        this.#headers.append(name ?? "", Buffer.from(value ?? []).toString("latin1"));
      }
    }
    return this.#headers;
  }

  #decode(): ResponseHead {
    return (this.#message ??= ResponseHead.decode(this.#part.head));
  }
}
