package signature

import (
	"bytes"
	"testing"

	"portico/lightclient/fakenet"
	"portico/lightclient/signature/testsigner"
)

// Keys of fixed length have one encoding, and canister keys the one that we write.
func FuzzParseKey(f *testing.F) {
	for _, s := range testsigner.All(f) {
		f.Add(s.DER)
	}
	f.Add(testsigner.CanisterKey(canisterA, []byte("seed")))
	f.Add(unhex(f, specCOSEKey))
	f.Fuzz(func(t *testing.T, der []byte) {
		key, err := ParseKey(der)
		if err != nil {
			return
		}
		switch key.Scheme {
		case Ed25519:
			if len(der) != 44 {
				t.Fatalf("Ed25519 key of %d bytes", len(der))
			}
		case ECDSAP256:
			if len(der) != 91 {
				t.Fatalf("P-256 key of %d bytes", len(der))
			}
		case ECDSASecp256k1:
			if len(der) != 88 {
				t.Fatalf("secp256k1 key of %d bytes", len(der))
			}
		case CanisterSignature:
			if again := testsigner.CanisterKey(key.Signer, key.Seed); !bytes.Equal(again, der) {
				t.Fatalf("canister key %x is written %x", der, again)
			}
		case WebAuthn:
			if key.verifyWebAuthn([]byte("message"), []byte("signature")) == nil {
				t.Fatal("a signature out of nowhere")
			}
		}
	})
}

// No bytes are a signature of a message that nobody signed.
func FuzzVerify(f *testing.F) {
	n := fakenet.New("fuzz")
	v := verifierOf(n)
	signed, asked := []byte("signed"), []byte("asked")
	keys := []testsigner.Signer{testsigner.Canister(n, now, canisterA, []byte("seed"))}
	for _, s := range testsigner.All(f) {
		keys = append(keys, s)
	}
	for i, s := range keys {
		f.Add(uint8(i), s.Signature(signed))
	}
	f.Fuzz(func(t *testing.T, key uint8, sig []byte) {
		if s := keys[int(key)%len(keys)]; v.Verify(s.DER, asked, sig) == nil {
			t.Fatalf("%x is a signature of %q", sig, asked)
		}
	})
}
