package signature

import (
	"crypto/sha256"
	"testing"

	"portico/lightclient/signature/testsigner"
)

func TestRememberedSignaturesDoNotSpeakForOtherMessages(t *testing.T) {
	v := New(Config{CacheEntries: 100})
	s := testsigner.Ed25519(t)
	sig := s.Signature([]byte("message"))
	for range 2 {
		must(t, v.Verify(s.DER, []byte("message"), sig))
	}
	if v.Verify(s.DER, []byte("messagE"), sig) == nil || v.Verify(testsigner.Ed25519(t).DER, []byte("message"), sig) == nil {
		t.Fatal("a remembered signature was accepted for another message or key")
	}
	// The border between message and signature matters.
	if v.Verify(s.DER, []byte("messag"), append([]byte("e"), sig...)) == nil {
		t.Fatal("bytes moved from the message to the signature")
	}
}

func TestVerifiedSignaturesAreRememberedWithinTheBound(t *testing.T) {
	c := newCache(8)
	var ids [][sha256.Size]byte
	for i := range 100 {
		id := sha256.Sum256([]byte{byte(i)})
		ids = append(ids, id)
		c.add(id)
		if !c.has(ids[0]) {
			t.Fatalf("an entry in use was forgotten after %d more", i)
		}
		if n := len(c.young) + len(c.old); n > 8 {
			t.Fatalf("%d entries, bound 8", n)
		}
	}
	if c.has(ids[1]) {
		t.Fatal("an unused entry was kept")
	}
}
