package fake

import (
	"bytes"
	"testing"

	"portico/node/consensus"
	"portico/node/types"
)

// The properties of signatures are tested in package committee, for both packages.

var message = []byte("message")

func TestAWorldIsItsSeed(t *testing.T) {
	const scheme = consensus.SchemeHigh
	a, again, other := NewWorld(1, 4), NewWorld(1, 4), NewWorld(2, 4)
	for i := range types.Member(4) {
		sig := a.Member(i).Sign(scheme, message)
		if !bytes.Equal(sig, again.Member(i).Sign(scheme, message)) {
			t.Errorf("member %d signs differently in the same world", i)
		}
		if other.Member(0).Verify(scheme, i, message, sig) == nil {
			t.Errorf("the signature of member %d is right in another world", i)
		}
	}
}

func TestMessagesOfAnyLengthAreSignedWhole(t *testing.T) {
	c := NewWorld(1, 1).Member(0)
	for n := range 2 * scratchBytes {
		long := make([]byte, n+1)
		sig := c.Sign(consensus.SchemeLow, long)
		if err := c.Verify(consensus.SchemeLow, 0, long, sig); err != nil {
			t.Errorf("%d bytes: %v", n+1, err)
		}
		long[n] = 1
		if c.Verify(consensus.SchemeLow, 0, long, sig) == nil || c.Verify(consensus.SchemeLow, 0, long[:n], sig) == nil {
			t.Errorf("%d bytes: the last is not signed", n+1)
		}
	}
}

func TestWrongSharesAllCount(t *testing.T) {
	c := NewWorld(1, 4).Member(0)
	shares := make([]consensus.Signature, 3)
	for i := range shares {
		shares[i] = consensus.Signature{By: types.Member(i), Bytes: make([]byte, blsBytes)}
	}
	zero, err := c.Combine(consensus.SchemeHigh, message, shares)
	if err != nil {
		t.Fatal(err)
	}
	shares[2].Bytes[47] = 1
	one, err := c.Combine(consensus.SchemeHigh, message, shares)
	if err != nil || bytes.Equal(zero, one) {
		t.Errorf("other shares make the same combined signature (%v)", err)
	}
}
