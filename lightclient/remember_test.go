package lightclient

import (
	"bytes"
	"crypto/rand"
	"testing"
	"time"

	"portico/lightclient/bls"
	"portico/lightclient/certificate"
	"portico/lightclient/fakenet"
)

// restarted is a client of the same replica, later, that knows nothing, and counts
// the signatures that it verifies.
func restarted(r *fakenet.Replica, rootKey []byte, now time.Time) (c *Client, verified *int) {
	verified = new(int)
	r.Now = func() time.Time { return now }
	c = New(Config{
		Transport: r, RootKey: rootKey, Rand: rand.Reader, Ed25519: ed25519Verify, Now: r.Now,
		BLS: func(pk, msg, sig []byte) error { *verified++; return bls.Verify(pk, msg, sig) },
	})
	return c, verified
}

func TestARestartedClientKnowsDelegationsAndNodes(t *testing.T) {
	c, r := newClient(fakenet.Outcome{Reply: []byte("world")})
	if _, err := c.Query(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	kept := c.Remembered()
	if !bytes.Equal(kept, c.Remembered()) {
		t.Error("the bytes change though nothing was verified")
	}
	asked := r.Count("read_state")
	again, verified := restarted(r, r.Net.RootKey(), start.Add(time.Minute))
	rootKey, subnetKey := r.Net.Root.Public(), r.Net.Subnet.Public()
	if keys := again.ExpectedKeys(); len(keys) != 1 || !bytes.Equal(keys[0], rootKey) {
		t.Errorf("a client that knows nothing expects signatures by %x", keys)
	}
	if err := again.Remember(kept); err != nil {
		t.Fatal(err)
	}
	if keys := again.ExpectedKeys(); len(keys) != 1 || !bytes.Equal(keys[0], subnetKey) {
		t.Errorf("a client that remembers a delegation expects signatures by %x", keys)
	}
	if _, err := again.Query(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	if *verified != 0 || r.Count("read_state") != asked {
		t.Errorf("the nodes' keys were known, and yet %d signatures were verified after %d requests", *verified, r.Count("read_state")-asked)
	}
	// The delegation of fakenet follows the clock, so it is the one of the first moment
	// that spares a signature.
	r.Now = func() time.Time { return start }
	if _, err := again.Call(t.Context(), hello); err != nil || *verified != 1 {
		t.Errorf("%d signatures for a new certificate under a remembered delegation, error %v", *verified, err)
	}
	if !bytes.Equal(again.Remembered(), kept) {
		t.Error("the restarted client remembers something else")
	}
}

func TestWhatIsRememberedGrowsOld(t *testing.T) {
	c, r := newClient(fakenet.Outcome{Reply: []byte("world")})
	if _, err := c.Query(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	kept := c.Remembered()
	for name, at := range map[string]struct {
		after             time.Duration
		delegations, keys int
	}{
		"at once":              {0, 1, 1},
		"after five minutes":   {keysLifetime, 1, 0},
		"after a day":          {certificate.MaxRemembered, 1, 0},
		"after more":           {certificate.MaxRemembered + 1, 0, 0},
		"before it was stored": {-1, 0, 0},
	} {
		again, _ := restarted(r, r.Net.RootKey(), start.Add(at.after))
		if err := again.Remember(kept); err != nil {
			t.Fatal(err)
		}
		if d, k := len(again.verifier.Delegations()), len(again.nodeKeys); d != at.delegations || k != at.keys {
			t.Errorf("%s: %d delegations and %d lists of keys, want %d and %d", name, d, k, at.delegations, at.keys)
		}
	}
}

func TestWhatAnotherRootKeyVerifiedIsNotRemembered(t *testing.T) {
	c, r := newClient(fakenet.Outcome{Reply: []byte("world")})
	if _, err := c.Query(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	other, _ := restarted(r, fakenet.New("other").RootKey(), start)
	if err := other.Remember(c.Remembered()); err == nil || len(other.nodeKeys) != 0 || len(other.verifier.Delegations()) != 0 {
		t.Errorf("error %v, %d lists of keys", err, len(other.nodeKeys))
	}
}

// FuzzRemember takes over bytes of any kind.
func FuzzRemember(f *testing.F) {
	c, r := newClient(fakenet.Outcome{Reply: []byte("world")})
	if _, err := c.Query(f.Context(), hello); err != nil {
		f.Fatal(err)
	}
	f.Add(c.Remembered())
	rootKey := r.Net.RootKey()
	f.Fuzz(func(t *testing.T, b []byte) {
		again, _ := restarted(r, rootKey, start)
		if err := again.Remember(b); err != nil {
			return
		}
		kept := again.Remembered()
		third, _ := restarted(r, rootKey, start)
		if err := third.Remember(kept); err != nil || !bytes.Equal(third.Remembered(), kept) {
			t.Fatalf("%x is remembered as %x, and that as something else: %v", b, kept, err)
		}
	})
}
