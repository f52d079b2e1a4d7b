package usersig

import (
	"bytes"
	"testing"

	"portico/lightclient/envelope"
)

// Keys of fixed length have one encoding, and canister keys the one that we write.
func FuzzParseKey(f *testing.F) {
	for _, s := range plainSchemes(f) {
		f.Add(s.der)
	}
	f.Add(canisterKey(canisterA, []byte("seed")))
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
			if again := canisterKey(key.Signer, key.Seed); !bytes.Equal(again, der) {
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
	n := newNetwork(f)
	v := n.verifier()
	signed, asked := []byte("signed"), []byte("asked")
	keys := []testSigner{n.signer(canisterA, []byte("seed"), true)}
	for _, s := range plainSchemes(f) {
		keys = append(keys, s)
	}
	for i, s := range keys {
		f.Add(uint8(i), s.sign(signed))
	}
	f.Fuzz(func(t *testing.T, key uint8, sig []byte) {
		if s := keys[int(key)%len(keys)]; v.Verify(s.der, asked, sig) == nil {
			t.Fatalf("%x is a signature of %q", sig, asked)
		}
	})
}

func FuzzCheck(f *testing.F) {
	v := New(Config{CacheEntries: 100})
	for _, s := range plainSchemes(f) {
		for _, kind := range kinds {
			e, err := chainOf(f, []testSigner{s, newEd25519(f)}, nil).Sign(request(kind))
			must(f, err)
			f.Add(e.Append(nil))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := envelope.Decode(b)
		if err != nil {
			return
		}
		auth, err := v.Check(e, now)
		if err == nil && auth.Sender != e.Request.Sender {
			t.Fatalf("%s was taken for %s", e.Request.Sender, auth.Sender)
		}
	})
}
