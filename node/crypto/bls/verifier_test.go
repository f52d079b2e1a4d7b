package bls

import (
	"errors"
	"testing"

	"portico/lightclient/bls"
)

func TestAVerifierThatHasMetAKeyStillRefusesWhatIsWrong(t *testing.T) {
	k, other := newKey(t, 1), newKey(t, 2)
	sig := k.Sign(message)
	v := &Verifier{}
	for range 2 {
		if err := v.Verify(k.PublicKey(), message, sig); err != nil {
			t.Fatal(err)
		}
		if err := v.Verify(k.PublicKey(), append(message[:len(message):len(message)], 'x'), sig); !errors.Is(err, bls.ErrMismatch) {
			t.Errorf("another message: %v", err)
		}
		if err := v.Verify(other.PublicKey(), message, sig); !errors.Is(err, bls.ErrMismatch) {
			t.Errorf("another key: %v", err)
		}
		if err := v.Verify(k.PublicKey()[:95], message, sig); err == nil || errors.Is(err, bls.ErrMismatch) {
			t.Errorf("a key that is too short: %v", err)
		}
	}
	if n := len(v.young); n != 2 {
		t.Errorf("%d keys are remembered; the one that is none must not be", n)
	}
}

func TestAVerifierForgetsKeysThatAreNotUsed(t *testing.T) {
	v := &Verifier{young: map[string]*PublicKey{}, old: map[string]*PublicKey{}}
	unused := parse(t, newKey(t, 2).PublicKey())
	for i := range maxKeys {
		v.young[string(rune(i))] = unused
	}
	k := newKey(t, 1)
	sig := k.Sign(message)
	for range 3 {
		if err := v.Verify(k.PublicKey(), message, sig); err != nil {
			t.Fatal(err)
		}
	}
	if len(v.young) != 1 || len(v.old) != maxKeys {
		t.Errorf("%d and %d keys are remembered", len(v.young), len(v.old))
	}
}
