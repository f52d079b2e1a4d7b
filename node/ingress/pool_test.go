package ingress

import (
	"errors"
	"slices"
	"testing"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/artifact"
	"portico/node/types"
)

const now = types.Time(1_767_225_600_000_000_000)

// waiting is call number i of some size that expires at a time. Only the pool's part of it is there.
func waiting(i, bytes int, expiry types.Time) *Call {
	id := types.RequestID{byte(i), byte(i >> 8), byte(i >> 16)}
	return &Call{
		Envelope: &envelope.Envelope{RequestID: id, Request: envelope.Request{IngressExpiry: uint64(expiry)}},
		ID:       artifact.ID{Kind: artifact.Ingress, Height: expiryHeight(expiry), Hash: types.Hash(id)}, Encoded: make([]byte, bytes),
	}
}

func peer(i int) types.NodeID { return principal.SelfAuthenticating([]byte{byte(i)}) }

// fill adds calls from someone until there is no room, and returns how many.
func fill(t *testing.T, p *Pool, from types.NodeID, first, bytes int) (n int) {
	t.Helper()
	big := make([]byte, bytes)
	for ; ; n++ {
		c := waiting(first+n, 0, now)
		c.Encoded = big
		added, err := p.Add(c, from)
		if errors.Is(err, ErrFull) {
			return n
		}
		if !added || err != nil {
			t.Fatalf("call %d: %t, %v", first+n, added, err)
		}
	}
}

func TestPeersFillTheirPartsOfThePool(t *testing.T) {
	for _, x := range []struct {
		bytes, peer, peers, all int
	}{
		{100, 5000, 15_000, 20_000},
		{types.MiB, 64, 192, 256},
	} {
		p := NewPool()
		first := 0
		for i := range 6 {
			n := fill(t, p, peer(i), first, x.bytes)
			first += n
			if want := []int{x.peer, x.peer, x.peer, 0, 0, 0}[i]; n != want {
				t.Errorf("calls of %d bytes: peer %d has %d of them, want %d", x.bytes, i, n, want)
			}
		}
		if p.Len() != x.peers {
			t.Errorf("calls of %d bytes: peers have %d, want %d", x.bytes, p.Len(), x.peers)
		}
		first += fill(t, p, types.NodeID{}, first, x.bytes)
		if p.Len() != x.all || first != x.all || p.Bytes() != x.all*x.bytes {
			t.Errorf("calls of %d bytes: %d with %d bytes in all, want %d", x.bytes, p.Len(), p.Bytes(), x.all)
		}
		p.Remove(func(c *Call) bool { return c.ID.Hash[0] == 7 && c.ID.Hash[1] == 0 })
		if n := fill(t, p, peer(0), first, x.bytes); n != 1 {
			t.Errorf("after one of its calls is gone, the peer adds %d", n)
		}
	}
}

func TestARequestIsInThePoolOnce(t *testing.T) {
	p := NewPool()
	one, two := waiting(1, 100, now), waiting(1, 120, now)
	two.ID.Hash[31] = 1 // another signature
	for i, c := range []*Call{one, one, two} {
		if added, err := p.Add(c, peer(i)); added != (i == 0) || err != nil {
			t.Errorf("call %d: added %t, %v", i, added, err)
		}
	}
	if p.Len() != 1 || p.Bytes() != 100 || p.Get(one.ID) != one || p.Get(two.ID) != nil || !p.Has(two.RequestID()) {
		t.Errorf("%d calls, %d bytes", p.Len(), p.Bytes())
	}
}

func TestBlocksGetTheOldestCallsThatAreFreshAndNotTaken(t *testing.T) {
	p := NewPool()
	calls := []*Call{
		waiting(1, 100, now), waiting(2, 100, now-1), waiting(3, 100, now+maxExpiry), waiting(4, 100, now+maxExpiry+1), waiting(5, 100, now+1), waiting(6, 100, now+5),
	}
	for _, c := range calls {
		if _, err := p.Add(c, peer(1)); err != nil {
			t.Fatal(err)
		}
	}
	got := p.Select(now, func(id types.RequestID) bool { return id == calls[4].RequestID() })
	if want := []*Call{calls[0], calls[2], calls[5]}; !slices.Equal(got, want) {
		t.Errorf("selected %d calls: %v", len(got), got)
	}
}

func TestBlocksAreNotTooLarge(t *testing.T) {
	nothing := func(types.RequestID) bool { return false }
	p := NewPool()
	fill(t, p, types.NodeID{}, 0, 10)
	got := p.Select(now, nothing)
	if len(got) != MaxBlockMessages {
		t.Errorf("%d calls", len(got))
	}
	for i, c := range got {
		if c.ID != waiting(i, 0, now).ID {
			t.Fatalf("call %d is not the one that came as number %d", i, i)
		}
	}
	p = NewPool()
	for i, bytes := range []int{MaxBlockBytes / 2, MaxBlockBytes / 4, MaxBlockBytes/4 + 1, 1} {
		if _, err := p.Add(waiting(i, bytes, now), peer(1)); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.Select(now, nothing); len(got) != 2 {
		t.Errorf("%d calls, want the two before the one that does not fit", len(got))
	}
}

func TestRemovedCallsLeaveNothingBehind(t *testing.T) {
	p := NewPool()
	for i := range 10 {
		if _, err := p.Add(waiting(i, 100+i, now.Add(-10)+types.Time(i)), peer(i%2)); err != nil {
			t.Fatal(err)
		}
	}
	gone := p.Remove(func(c *Call) bool { return c.ID.Hash[0] < 4 })
	if len(gone) != 4 || !slices.IsSortedFunc(gone, artifact.ID.Compare) || p.Len() != 6 || p.Bytes() != 104+105+106+107+108+109 {
		t.Errorf("gone %v, %d calls with %d bytes", gone, p.Len(), p.Bytes())
	}
	if p.Has(types.RequestID{3}) || p.Get(gone[0]) != nil || len(p.Select(now.Add(-10), func(types.RequestID) bool { return false })) != 6 {
		t.Error("a call that was removed is still there")
	}
	p.Remove(func(*Call) bool { return true })
	if p.Len() != 0 || p.Bytes() != 0 || p.used[peer(0)] != (usage{}) || p.used[peer(1)] != (usage{}) {
		t.Errorf("of the empty pool, %d bytes are used: %v", p.Bytes(), p.used)
	}
}
