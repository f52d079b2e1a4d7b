// Principals in text form (interface specification, "Textual representation of
// principals"), as far as the worker needs them before the light client runs.

const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
const maxBytes = 29;

/** The bytes of a principal; undefined if the text is none. */
export function parsePrincipal(text: string): Uint8Array<ArrayBuffer> | undefined {
  const digits = text.replaceAll("-", "");
  const out: number[] = [];
  let bits = 0;
  let kept = 0;
  for (const c of digits) {
    const value = alphabet.indexOf(c);
    if (value < 0) return undefined;
    kept = ((kept << 5) | value) & 0xfff;
    if ((bits += 5) >= 8) out.push((kept >> (bits -= 8)) & 0xff);
  }
  const bytes = Uint8Array.from(out.slice(4));
  const sum = new DataView(Uint8Array.from(out.slice(0, 4).concat(0, 0, 0, 0)).buffer).getUint32(0);
  if (out.length < 4 || bytes.length > maxBytes || crc32(bytes) !== sum) return undefined;
  return dashed(digits) === text ? bytes : undefined;
}

const dashed = (digits: string): string => (digits.match(/.{1,5}/g) ?? []).join("-");

/** CRC-32 of IEEE 802.3. */
function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const b of bytes) {
    crc ^= b;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
