import { wrong } from "./check.js";

/** Where a service listens. */
export interface Address {
  /** Host and port, for messages. */
  readonly name: string;
  readonly hasTls: boolean;
  /** The target for gRPC. */
  readonly target: string;
}

const EXPECTED =
  "host:port, http://host:port or https://host:port, one or several (a list, or separated by commas)";

const PORTS = { http: 50051, https: 443 };

const FORM = /^(?:(https?):\/\/)?(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/?#@,]+)(?::(\d{1,5}))?\/?$/;

/** Parses the addresses of a service. */
export function parseAddresses(endpoints: string | readonly string[]): Address[] {
  const list = typeof endpoints === "string" ? endpoints.split(",") : endpoints;
  if (!Array.isArray(list) || list.length === 0) {
    throw wrong("endpoints", EXPECTED, endpoints);
  }
  const parsed = list.map(parse);
  return [...new Map(parsed.map((address) => [address.name, address])).values()];
}

function parse(endpoint: unknown): Address {
  const [, scheme = "http", host, port] = FORM.exec(String(endpoint).trim()) ?? [];
  if (
    typeof endpoint !== "string" ||
    host === undefined ||
    Number(port ?? 1) > 65535 ||
    port === "0"
  ) {
    throw wrong("endpoints", EXPECTED, redact(endpoint));
  }
  const hasTls = scheme === "https";
  const name = `${host}:${Number(port ?? PORTS[hasTls ? "https" : "http"])}`;
  return { name, hasTls, target: `dns:///${name}` };
}

/** Removes credentials, which have no place here but may be there by mistake. */
function redact(endpoint: unknown): unknown {
  return typeof endpoint === "string" ? endpoint.replace(/[^/,]*@/g, "") : endpoint;
}
