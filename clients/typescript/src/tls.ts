import { readFileSync } from "node:fs";

import { credentials, type ChannelCredentials } from "@grpc/grpc-js";

import { keys, wrong } from "./check.js";

/** A PEM as text or bytes, or the path of its file (a string, or a `file:` URL). */
export type Pem = string | URL | Uint8Array;

/** Settings of TLS between the client and the service. */
export interface TlsOptions {
  /** The root certificates. Default: those of Node.js. */
  readonly ca?: Pem | undefined;
  /** The client's certificate, with its intermediates. Needs `key`. */
  readonly cert?: Pem | undefined;
  /** The private key of `cert`. */
  readonly key?: Pem | undefined;
}

/** Creates the credentials of a channel with TLS. Reads the files. */
export function tlsCredentials(tls: TlsOptions): ChannelCredentials {
  if (typeof tls !== "object" || tls === null) {
    throw wrong("tls", "an object with ca, cert and key", tls);
  }
  keys("tls", tls, ["ca", "cert", "key"]);
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    const [given, missing] = tls.cert === undefined ? ["key", "cert"] : ["cert", "key"];
    throw new TypeError(`tls.${missing}: expected a PEM, since tls.${given} is set, got none`);
  }
  const [ca, cert, key] = [load("ca", tls.ca), load("cert", tls.cert), load("key", tls.key)];
  try {
    return credentials.createSsl(ca, key, cert);
  } catch (error) {
    throw new TypeError(`tls: expected a certificate and its key, got others (${String(error)})`);
  }
}

function load(name: string, pem: Pem | undefined): Buffer | null {
  if (pem === undefined) {
    return null;
  }
  const content = read(`tls.${name}`, pem);
  if (!content.includes("-----BEGIN ")) {
    throw wrong(`tls.${name}`, "a PEM (-----BEGIN …) or the path of one", pem, "other content");
  }
  return content;
}

function read(name: string, pem: unknown): Buffer {
  if (pem instanceof Uint8Array) {
    return Buffer.from(pem);
  }
  if (typeof pem === "string" && pem.includes("-----BEGIN ")) {
    return Buffer.from(pem);
  }
  if (typeof pem !== "string" && !(pem instanceof URL)) {
    throw wrong(name, "a PEM as text or bytes, or a path", pem);
  }
  try {
    return readFileSync(pem);
  } catch (error) {
    throw new TypeError(`${name}: expected the path of a PEM file, got ${String(error)}`);
  }
}
