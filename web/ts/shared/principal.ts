// Principals in text form (interface specification, "Textual representation of
// principals"), for where the light client does not run yet.

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
  return principalText(bytes) === text ? bytes : undefined;
}

/** The text of a principal of at most 29 bytes. */
export function principalText(bytes: Uint8Array): string {
  if (bytes.length > maxBytes) throw new RangeError(`a principal has at most ${maxBytes} bytes, not ${bytes.length}`);
  const all = new Uint8Array(4 + bytes.length);
  new DataView(all.buffer).setUint32(0, crc32(bytes));
  all.set(bytes, 4);
  let digits = "";
  let bits = 0;
  let kept = 0;
  for (const b of all) {
    kept = ((kept << 8) | b) & 0x1fff;
    for (bits += 8; bits >= 5; bits -= 5) digits += alphabet[(kept >> (bits - 5)) & 31];
  }
  if (bits > 0) digits += alphabet[(kept << (5 - bits)) & 31];
  return dashed(digits);
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
