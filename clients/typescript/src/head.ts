import { HttpVersion, ResponseHead } from "./messages.js";

const VERSIONS: Partial<Record<HttpVersion, string>> = {
  [HttpVersion.HTTP_VERSION_HTTP_1_0]: "HTTP/1.0",
  [HttpVersion.HTTP_VERSION_HTTP_1_1]: "HTTP/1.1",
  [HttpVersion.HTTP_VERSION_HTTP_2]: "HTTP/2",
  [HttpVersion.HTTP_VERSION_HTTP_3]: "HTTP/3",
};

/** The head of a response. It is decoded when somebody reads it. */
export class Head {
  readonly #encoded: Uint8Array;
  readonly #isRedirected: () => boolean;
  #message: ResponseHead | undefined;
  #headers: Headers | undefined;

  constructor(encoded: Uint8Array, isRedirected: () => boolean) {
    this.#encoded = encoded;
    this.#isRedirected = isRedirected;
  }

  get status(): number {
    return this.#decode().status;
  }

  /** The URL that responded, after redirects. */
  get url(): string {
    return this.#decode().url;
  }

  get redirected(): boolean {
    return this.#isRedirected();
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
    return (this.#message ??= ResponseHead.decode(this.#encoded));
  }
}
