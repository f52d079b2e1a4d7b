package p2p

import (
	"math"
	"testing"
	"time"

	"portico/node/types"
)

func TestBucketsRefillSteadilyAndGoIntoDebt(t *testing.T) {
	b := bucket{rate: 2, burst: 10}
	now := types.Time(time.Hour)
	want := func(n int64) {
		t.Helper()
		if got := b.left(now); got != n {
			t.Errorf("%d tokens are left, want %d", got, n)
		}
	}
	want(10)
	b.charge(now, 15)
	want(-5)
	for range 25 { // two and a half seconds
		now = now.Add(100 * time.Millisecond)
		b.left(now)
	}
	want(0)
	now = now.Add(time.Second)
	want(2)
	b.charge(now, math.MaxInt64)
	want(-10)
	now = types.Time(math.MaxInt64)
	want(10)
}
