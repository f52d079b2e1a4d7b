// Strict readers of what dapps and tools send.

const maxUint64 = (1n << 64n) - 1n;

/** Whether a value has named members; arrays have not. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The bytes of padded base64 in its only form; undefined for anything else and for more than maxBytes. */
export function fromBase64(text: unknown, maxBytes: number): Uint8Array | undefined {
  if (typeof text !== "string" || text.length > Math.ceil(maxBytes / 3) * 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return undefined;
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return bytes.length <= maxBytes && toBase64(bytes) === text ? bytes : undefined;
}

/** The bytes of base64url without padding in its only form; undefined for anything else and for more than maxBytes. */
export function fromBase64url(text: unknown, maxBytes: number): Uint8Array | undefined {
  if (typeof text !== "string" || !/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return undefined;
  const standard = text.replaceAll("-", "+").replaceAll("_", "/");
  return fromBase64(standard.padEnd(Math.ceil(text.length / 4) * 4, "="), maxBytes);
}

export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (const b of bytes) binary += String.fromCharCode(b);
  return btoa(binary);
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** A duration in nanoseconds, more than 0 and of 64 bits: a bigint, a whole number or its decimal text. */
export function duration(value: unknown): bigint | undefined {
  if (typeof value === "string" ? !/^[0-9]{1,20}$/.test(value) : typeof value === "number" ? !Number.isSafeInteger(value) : typeof value !== "bigint") return undefined;
  const ns = BigInt(value as string | number | bigint);
  return ns > 0n && ns <= maxUint64 ? ns : undefined;
}

/** Whether text is an origin as browsers write it: no path, no default port, lower case. */
export function isOrigin(text: unknown): text is string {
  if (typeof text !== "string" || text.length > 300) return false;
  return URL.canParse(text) && new URL(text).origin === text;
}

/** Whether nobody between the person and the origin can answer in its place: https, or this computer. */
export function isSecure(origin: string): boolean {
  const { protocol, hostname } = new URL(origin);
  return protocol === "https:" || (protocol === "http:" && isLoopback(hostname));
}

export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "127.0.0.1" || hostname === "[::1]";
}
