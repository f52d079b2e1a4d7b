package p2p

import (
	"time"

	"portico/node/types"
)

// bucket is a token bucket: full at first, with rate tokens a second up to burst. It can
// go into debt, down to -burst, so that a charge may be larger than what is left.
type bucket struct {
	rate, burst int64 // tokens
	missing     int64 // billionths of a token
	at          types.Time
}

const tokenNanos = int64(time.Second)

func (b *bucket) refill(now types.Time) {
	if now <= b.at {
		return
	}
	elapsed := now.Sub(b.at)
	b.at = now
	// Compared before it is multiplied: a long time would overflow.
	if int64(elapsed) > b.missing/b.rate {
		b.missing = 0
		return
	}
	b.missing -= int64(elapsed) * b.rate
}

// left is the number of whole tokens, negative in debt.
func (b *bucket) left(now types.Time) int64 {
	b.refill(now)
	return b.burst - (b.missing+tokenNanos-1)/tokenNanos
}

// has reports whether anything is left.
func (b *bucket) has(now types.Time) bool { return b.left(now) > 0 }

// charge takes n tokens.
func (b *bucket) charge(now types.Time, n int64) {
	b.refill(now)
	b.missing = min(b.missing+min(n, 2*b.burst)*tokenNanos, 2*b.burst*tokenNanos)
}
