package limit

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

var (
	here  = netip.MustParseAddr("192.0.2.1")
	there = netip.MustParseAddr("192.0.2.2")
)

func TestRequestsBeyondTheBoundAreRefusedUntilOneEnds(t *testing.T) {
	l := New(Config{InFlight: 2})
	for range 2 {
		if err := l.Enter(here); err != nil {
			t.Fatal(err)
		}
	}
	var busy *Busy
	if err := l.Enter(there); !errors.As(err, &busy) || busy.RetryAfter <= 0 {
		t.Fatalf("a third request: %v", err)
	}
	if l.InFlight() != 2 {
		t.Errorf("%d requests in flight: the refused one counts", l.InFlight())
	}
	l.Leave()
	if err := l.Enter(there); err != nil {
		t.Errorf("after one ended: %v", err)
	}
}

func TestBodiesShareTheirRoom(t *testing.T) {
	l := New(Config{BodyBytes: 100})
	var busy *Busy
	if err := l.Hold(60); err != nil {
		t.Fatal(err)
	}
	if err := l.Hold(41); !errors.As(err, &busy) {
		t.Errorf("41 bytes beside 60 of 100: %v", err)
	}
	if err := l.Hold(40); err != nil {
		t.Error(err)
	}
	l.Release(60)
	if err := l.Hold(60); err != nil {
		t.Error(err)
	}
}

func TestAnAddressMayAskAsOftenAsItsRateSays(t *testing.T) {
	now := time.Unix(0, 0)
	l := New(Config{PerSecond: 2, Burst: 3, Now: func() time.Time { return now }})
	asks := func(from netip.Addr) error {
		err := l.Enter(from)
		if err == nil {
			l.Leave()
		}
		return err
	}
	for range 3 {
		if err := asks(here); err != nil {
			t.Fatal(err)
		}
	}
	var fast *TooFast
	if err := asks(here); !errors.As(err, &fast) || fast.RetryAfter != 500*time.Millisecond {
		t.Fatalf("beyond the burst: %v", err)
	}
	if err := asks(there); err != nil {
		t.Errorf("another address pays for it: %v", err)
	}
	now = now.Add(fast.RetryAfter)
	if err := asks(here); err != nil {
		t.Errorf("after the time it was told: %v", err)
	}
	if err := asks(here); err == nil {
		t.Error("a second request in half a second went through")
	}
}

func TestANetworkOfAddressesCountsAsOne(t *testing.T) {
	l := New(Config{PerSecond: 1, Now: func() time.Time { return time.Unix(0, 0) }})
	for i, c := range []struct {
		from string
		ok   bool
	}{
		{"2001:db8::1", true},
		{"2001:db8::2", false}, // the same 64 bits
		{"2001:db8:0:1::1", true},
		{"192.0.2.1", true},
		{"::ffff:192.0.2.1", false}, // the same address
		{"fe80::1%eth0", true},
	} {
		if err := l.Enter(netip.MustParseAddr(c.from)); (err == nil) != c.ok {
			t.Errorf("%d: %s: %v", i, c.from, err)
		}
	}
}

func TestOnlySoManyAddressesAreRemembered(t *testing.T) {
	l := New(Config{PerSecond: 1, Addresses: 2, Now: func() time.Time { return time.Unix(0, 0) }})
	a := here
	for range 1000 {
		if err := l.Enter(a); err != nil {
			t.Fatal(err)
		}
		a = a.Next()
	}
	if n := len(l.addresses); n != 2 || l.recent.Len() != 2 {
		t.Errorf("%d addresses are remembered", n)
	}
	if err := l.Enter(a.Prev()); err == nil {
		t.Error("the latest address was forgotten")
	}
}
