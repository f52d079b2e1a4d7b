// The public keys that a delegation may name: those with which the network lets requests be signed (interface
// specification, "Signatures"). A delegation to any other key would look granted and serve nobody.

import { ProtocolError } from "./errors.ts";
import { toHex } from "./values.ts";

/** The longest session key that the identity canister takes. */
export const maxKeyBytes = 2048;

const sequence = 0x30;
const bitString = 0x03;

// Contents of AlgorithmIdentifier: the object identifiers of RFC 8410, RFC 5480, SEC 2 and the interface specification.
const ed25519 = "06032b6570";
const p256 = "06072a8648ce3d020106082a8648ce3d030107";
const secp256k1 = "06072a8648ce3d020106052b8104000a";
const cose = "060a2b0601040183b8430101";
const canister = "060a2b0601040183b8430102";

const maxPrincipalBytes = 29;

interface Curve {
  readonly p: bigint;
  readonly a: bigint;
  readonly b: bigint;
}

const curveP256: Curve = {
  p: 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
  a: -3n,
  b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
};
const curveSecp256k1: Curve = {
  p: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2fn,
  a: 0n,
  b: 7n,
};

/** Throws a ProtocolError of kind "key", with what is wrong, unless der is a key that requests may be signed with. */
export function checkSessionKey(der: Uint8Array): void {
  const wrong = problem(der);
  if (wrong !== undefined) throw new ProtocolError("key", `The session key can not be used on the network: ${wrong}.`);
}

function problem(der: Uint8Array): string | undefined {
  if (der.length > maxKeyBytes) return `it has more than ${maxKeyBytes} bytes`;
  const info = element(der, sequence);
  const algorithm = info && element(info.content, sequence);
  const bits = algorithm && element(algorithm.rest, bitString);
  if (!info || !bits || info.rest.length > 0 || bits.rest.length > 0 || bits.content[0] !== 0) return "it is not a DER-encoded public key";
  const key = bits.content.subarray(1);
  switch (toHex(algorithm.content)) {
    case ed25519:
      return key.length === 32 ? undefined : "an Ed25519 key has 32 bytes";
    case p256:
      return pointProblem(key, curveP256);
    case secp256k1:
      return pointProblem(key, curveSecp256k1);
    case cose:
      return coseProblem(key);
    case canister:
      return key.length > 0 && key[0]! <= maxPrincipalBytes && key.length > key[0]! ? undefined : "a canister's key begins with its id";
    default:
      return "its algorithm is unknown";
  }
}

function pointProblem(key: Uint8Array, { p, a, b }: Curve): string | undefined {
  if (key.length !== 65 || key[0] !== 4) return "it is not an uncompressed point of 65 bytes";
  const x = BigInt("0x" + toHex(key.subarray(1, 33)));
  const y = BigInt("0x" + toHex(key.subarray(33)));
  const off = x >= p || y >= p || (y * y - (x * x * x + a * x + b)) % p !== 0n;
  return off ? "its point is not on the curve" : undefined;
}

/** ES256 on P-256, EdDSA on Ed25519 or RS256 of 2,048 to 8,192 bits (RFC 9053); labels are those of RFC 9052. */
function coseProblem(key: Uint8Array): string | undefined {
  const m = coseMap(key);
  if (!m) return "it is not a COSE key";
  const bytes = (label: number) => (m.get(label) instanceof Uint8Array ? (m.get(label) as Uint8Array) : new Uint8Array());
  switch (`${m.get(1)} ${m.get(3)}`) {
    case "2 -7":
      return m.get(-1) === 1 && bytes(-2).length === 32 && bytes(-3).length === 32
        ? pointProblem(Uint8Array.of(4, ...bytes(-2), ...bytes(-3)), curveP256)
        : "it is not a key on P-256";
    case "1 -8":
      return m.get(-1) === 6 && bytes(-2).length === 32 ? undefined : "it is not an Ed25519 key";
    case "3 -257": {
      const modulus = bytes(-1).subarray(Math.max(0, bytes(-1).findIndex((b) => b !== 0)));
      return modulus.length >= 256 && modulus.length <= 1024 && bytes(-2).length > 0 ? undefined : "it is not an RSA key of 2,048 to 8,192 bits";
    }
    default:
      return "its COSE algorithm is unknown";
  }
}

/** A CBOR map from integers to integers and byte strings, each label once and nothing after it. */
function coseMap(b: Uint8Array): Map<number, number | Uint8Array> | undefined {
  let at = 0;
  const head = (): [major: number, n: number] | undefined => {
    const first = b[at++];
    if (first === undefined) return undefined;
    const extra = [24, 25, 26].indexOf(first & 31);
    if (extra < 0) return (first & 31) < 24 ? [first >> 5, first & 31] : undefined;
    let n = 0;
    for (let i = 0; i < 1 << extra; i++) n = n * 256 + (b[at++] ?? NaN);
    return Number.isNaN(n) ? undefined : [first >> 5, n];
  };
  const start = head();
  if (start?.[0] !== 5) return undefined;
  const out = new Map<number, number | Uint8Array>();
  for (let i = 0; i < start[1]; i++) {
    const [label, value] = [item(), item()];
    if (typeof label !== "number" || value === undefined || out.has(label)) return undefined;
    out.set(label, value);
  }
  return at === b.length ? out : undefined;

  function item(): number | Uint8Array | undefined {
    const [major, n] = head() ?? [7, 0];
    if (major === 0) return n;
    if (major === 1) return -1 - n;
    if (major !== 2 || n > b.length - at) return undefined;
    return b.subarray(at, (at += n));
  }
}

/** Takes one element of DER off b, whose length must have its shortest form. */
function element(b: Uint8Array, tag: number): { content: Uint8Array; rest: Uint8Array } | undefined {
  if (b[0] !== tag || b[1] === undefined) return undefined;
  let at = 2;
  let n = b[1];
  if (n === 0x81) {
    n = b[at++] ?? 0;
    if (n < 0x80) return undefined;
  } else if (n === 0x82) {
    n = ((b[at++] ?? 0) << 8) | (b[at++] ?? 0);
    if (n < 0x100) return undefined;
  } else if (n >= 0x80) return undefined;
  return at + n <= b.length ? { content: b.subarray(at, at + n), rest: b.subarray(at + n) } : undefined;
}

