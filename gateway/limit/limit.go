// Package limit keeps a gateway from being used up: it bounds how many requests
// are answered at the same time, how many bytes of bodies they hold, and how fast
// one address may ask. What is beyond is refused at once, with the time after
// which to try again, rather than kept waiting.
package limit

import (
	"container/list"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Config has the bounds; zero is none.
type Config struct {
	InFlight  int     // requests that are answered at the same time
	BodyBytes int64   // of the bodies of these together
	PerSecond float64 // requests of one address, on average
	Burst     int     // requests of one address at once; 0: those of a second, rounded up
	Addresses int     // addresses to remember; 0: DefaultAddresses
	Now       func() time.Time
}

// DefaultAddresses is how many addresses a Limiter remembers, some 200 bytes each.
// Beyond it, the address that has not asked for the longest time is forgotten,
// which gives it a whole burst again.
const DefaultAddresses = 1 << 16

// retryAfter is when a refused request may fit in again: most are answered in
// milliseconds.
const retryAfter = time.Second

// Busy is the error when the gateway has as much to do as it may.
type Busy struct {
	What       string // of which there is too much
	RetryAfter time.Duration
}

func (e *Busy) Error() string { return "too many " + e.What }

// TooFast is the error when one address asks too often.
type TooFast struct {
	Address    netip.Prefix
	RetryAfter time.Duration
}

func (e *TooFast) Error() string {
	return fmt.Sprintf("%s asks too often: wait %s", e.Address, e.RetryAfter)
}

// A Limiter keeps the bounds. It is safe for concurrent use.
type Limiter struct {
	cfg      Config
	inFlight atomic.Int64
	bytes    atomic.Int64

	mu        sync.Mutex
	addresses map[netip.Prefix]*list.Element // of asking
	recent    *list.List                     // the latest first
}

// asking is what is known of an address.
type asking struct {
	address netip.Prefix
	tokens  *rate.Limiter
}

// New makes a Limiter.
func New(cfg Config) *Limiter {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Burst == 0 {
		cfg.Burst = max(1, int(math.Ceil(cfg.PerSecond)))
	}
	if cfg.Addresses == 0 {
		cfg.Addresses = DefaultAddresses
	}
	return &Limiter{cfg: cfg, addresses: map[netip.Prefix]*list.Element{}, recent: list.New()}
}

// Enter begins a request; the errors are *TooFast and *Busy. Leave ends it if there
// was no error.
func (l *Limiter) Enter(from netip.Addr) error {
	if err := l.tooFast(from); err != nil {
		return err
	}
	if n := l.inFlight.Add(1); l.cfg.InFlight > 0 && n > int64(l.cfg.InFlight) {
		l.inFlight.Add(-1)
		return &Busy{"requests at the same time", retryAfter}
	}
	return nil
}

// Leave ends a request that Enter let in.
func (l *Limiter) Leave() { l.inFlight.Add(-1) }

// InFlight is the number of requests that are being answered.
func (l *Limiter) InFlight() int { return int(l.inFlight.Load()) }

// Hold takes room for n bytes of a body; the error is a *Busy. Release gives them
// back.
func (l *Limiter) Hold(n int64) error {
	if held := l.bytes.Add(n); l.cfg.BodyBytes > 0 && held > l.cfg.BodyBytes {
		l.bytes.Add(-n)
		return &Busy{"bodies of requests at the same time", retryAfter}
	}
	return nil
}

// Release gives back the room for n bytes that Hold took.
func (l *Limiter) Release(n int64) { l.bytes.Add(-n) }

// tooFast counts a request of an address. What has an IPv6 address has a network of
// them, so these count by the 64 bits that a provider hands out.
func (l *Limiter) tooFast(from netip.Addr) error {
	if l.cfg.PerSecond <= 0 || !from.IsValid() {
		return nil
	}
	from = from.Unmap()
	bits := from.BitLen()
	if from.Is6() {
		bits = 64
	}
	prefix, err := from.WithZone("").Prefix(bits)
	if err != nil {
		return nil // only a wrong number of bits is an error
	}
	now := l.cfg.Now()
	tokens := l.tokens(prefix)
	if tokens.AllowN(now, 1) {
		return nil
	}
	missing := (1 - tokens.TokensAt(now)) / l.cfg.PerSecond
	return &TooFast{prefix, time.Duration(missing * float64(time.Second))}
}

// tokens finds or makes what is known of an address.
func (l *Limiter) tokens(address netip.Prefix) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.addresses[address]; ok {
		l.recent.MoveToFront(e)
		return e.Value.(*asking).tokens
	}
	if l.recent.Len() >= l.cfg.Addresses {
		oldest := l.recent.Back()
		delete(l.addresses, oldest.Value.(*asking).address)
		l.recent.Remove(oldest)
	}
	a := &asking{address, rate.NewLimiter(rate.Limit(l.cfg.PerSecond), l.cfg.Burst)}
	l.addresses[address] = l.recent.PushFront(a)
	return a.tokens
}
