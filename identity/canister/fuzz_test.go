package main

import (
	"bytes"
	"testing"

	sigs "portico/lightclient/signature"
)

// Keys come from anybody. One that is accepted is DER in its one form, and what the
// replica would take for a signature is accepted.
func FuzzCheckKey(f *testing.F) {
	f.Add(newPasskey(f, "x").der)
	f.Add(spki(algorithmP256, append([]byte{4}, make([]byte, 64)...)))
	f.Add(spki(algorithmCOSE, []byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x41, 0, 0x22, 0x41, 0}))
	f.Add(spki(algorithmCanister, []byte{1, 1, 2}))
	f.Add([]byte{0x30, 0x82, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		err := checkKey(b)
		if key, why := sigs.ParseKey(b); why == nil && err != nil && key.Scheme != sigs.WebAuthn {
			t.Errorf("%x is refused: %v", b, err)
		}
		if err != nil {
			return
		}
		algorithm, key, err := splitKey(b)
		if err != nil {
			t.Fatal(err)
		}
		if again := spki(string(algorithm), key); !bytes.Equal(again, b) {
			t.Errorf("%x is accepted, its one form is %x", b, again)
		}
	})
}
