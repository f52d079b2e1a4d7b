// Passkeys without an authenticator: keys of each scheme that sign as authenticators do.
import { createHash, createSign, generateKeyPairSync, sign as signWith } from 'node:crypto';
import { SignIdentity } from '@icp-sdk/core/agent';
import * as cbor from '@dfinity/cbor';

const der = (oid, key) => {
  const length = (n) => (n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255]);
  const algorithm = [0x30, ...length(oid.length), ...oid];
  const bits = [0x03, ...length(key.length + 1), 0, ...key];
  return Uint8Array.from([0x30, ...length(algorithm.length + bits.length), ...algorithm, ...bits]);
};
// 1.3.6.1.4.1.56387.1.1: a COSE key as WebAuthn authenticators make them
const coseOID = [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xb8, 0x43, 0x01, 0x01];

/** Signs as an authenticator does: over its data and the hash of the client data, of which members may be others. */
export class PasskeyIdentity extends SignIdentity {
  constructor(cose, sign, client = {}) {
    super();
    this.client = { type: 'webauthn.get', origin: 'http://localhost', ...client };
    this.key = { toDer: () => der(coseOID, cose) };
    this.signBytes = sign;
  }
  getPublicKey() { return this.key; }
  async sign(blob) {
    const client = Buffer.from(JSON.stringify({ challenge: Buffer.from(blob).toString('base64url'), ...this.client }));
    const authenticator = Buffer.concat([createHash('sha256').update('localhost').digest(), Buffer.from([5, 0, 0, 0, 1])]);
    const signature = this.signBytes(Buffer.concat([authenticator, createHash('sha256').update(client).digest()]));
    return cbor.encodeWithSelfDescribedTag({ authenticator_data: new Uint8Array(authenticator), client_data_json: client.toString(), signature: new Uint8Array(signature) });
  }
}

/** A CBOR map with integer keys, as COSE keys are. */
const cose = (entries) => {
  const head = (major, n) => (n < 24 ? [major << 5 | n] : n < 256 ? [major << 5 | 24, n] : [major << 5 | 25, n >> 8, n & 255]);
  const item = (v) => (v instanceof Uint8Array ? [...head(2, v.length), ...v] : v < 0 ? head(1, -1 - v) : head(0, v));
  return Uint8Array.from([...head(5, entries.length), ...entries.flatMap(([k, v]) => [...item(k), ...item(v)])]);
};

export function p256Passkey(client) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = publicKey.export({ format: 'jwk' });
  const point = (name) => new Uint8Array(Buffer.from(jwk[name], 'base64url'));
  return new PasskeyIdentity(cose([[1, 2], [3, -7], [-1, 1], [-2, point('x')], [-3, point('y')]]), (m) => createSign('sha256').update(m).sign(privateKey), client);
}

export function rsaPasskey(client) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = publicKey.export({ format: 'jwk' });
  const number = (name) => new Uint8Array(Buffer.from(jwk[name], 'base64url'));
  return new PasskeyIdentity(cose([[1, 3], [3, -257], [-1, number('n')], [-2, number('e')]]), (m) => createSign('sha256').update(m).sign(privateKey), client);
}

export function ed25519Passkey(client) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const x = new Uint8Array(Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url'));
  return new PasskeyIdentity(cose([[1, 1], [3, -8], [-1, 6], [-2, x]]), (m) => signWith(null, m, privateKey), client);
}
