package cache

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"portico/lightclient"
	"portico/lightclient/asset"
)

// A flight is a question that is under way, and then its answer. Those who wait
// for it or use its answer are its users.
type flight struct {
	cache  *Cache
	key    Key
	header http.Header // of the request that it was made for
	cancel context.CancelFunc
	done   chan struct{} // closed once the fields below are set

	entry *Entry
	next  func(ctx context.Context) ([]byte, error) // not nil if the entry has the beginning only
	err   error

	// Under the cache's lock:
	users    int
	lasting  bool // it goes on without users
	finished bool
	held     int64
}

// join returns the flight for a key, which the caller has to leave again, and
// whether it was begun for this request.
func (c *Cache) join(k Key, header http.Header, src Source, lasting bool) (f *flight, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[k]; f != nil {
		f.users++
		return f, false
	}
	f = c.begin(k, header, src)
	f.users, f.lasting = 1, lasting
	c.flights[k] = f
	return f, true
}

// renew asks in the background, unless somebody does already.
func (c *Cache) renew(k Key, header http.Header, src Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[k] == nil {
		f := c.begin(k, header, src)
		f.lasting = true
		c.flights[k] = f
	}
}

// alone asks for one request only.
func (c *Cache) alone(ctx context.Context, k Key, header http.Header, src Source) (Answer, error) {
	c.mu.Lock()
	f := c.begin(k, header, src)
	f.users = 1
	c.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		f.leave()
		return Answer{}, ctx.Err()
	}
	return f.answer()
}

// begin starts a flight. The caller holds the lock.
func (c *Cache) begin(k Key, header http.Header, src Source) *flight {
	f := &flight{cache: c, key: k, header: header, done: make(chan struct{})}
	ask := src.Prepare()
	ctx, cancel := context.WithTimeout(c.ctx, flightLimit)
	f.cancel = cancel
	c.running.Go(func() { f.run(ctx, ask) })
	return f
}

func (f *flight) run(ctx context.Context, ask func(context.Context, func(int) error) (*lightclient.HTTPResponse, error)) {
	c := f.cache
	began := c.cfg.Now()
	resp, err := ask(ctx, f.hold)
	if err == nil && resp.Next != nil && c.gathers(resp) && f.hold(lengthOf(resp)) == nil {
		err = gather(ctx, resp)
	}
	if err == nil {
		f.entry, err = newEntry(resp, f.key.Accept, c.cfg.Now(), &c.cfg)
	}
	if err == nil {
		f.next = resp.Next
		f.entry.cost = c.cfg.Now().Sub(began)
		if len(f.header["Authorization"]) > 0 && !f.entry.public {
			f.entry.shareable = false
		}
		c.store(f)
	}
	f.err = err
	close(f.done)
	f.finish()
}

// finish ends the flight for those who come now.
func (f *flight) finish() {
	c := f.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[f.key] == f {
		delete(c.flights, f.key)
	}
	f.finished = true
	f.settle()
}

// leave is the end of a user.
func (f *flight) leave() {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	f.users--
	f.settle()
}

// settle gives up what nobody needs: the question, or the memory of its answer.
// The caller holds the lock.
func (f *flight) settle() {
	switch {
	case f.users > 0:
	case !f.finished && !f.lasting:
		if f.cache.flights[f.key] == f {
			delete(f.cache.flights, f.key) // whoever comes now must not get the error of this end
		}
		f.cancel()
	case f.finished:
		f.cancel()
		f.cache.budget.give(f.held)
		f.held = 0
	}
}

// hold takes memory for the flight's answer until its last user has left.
func (f *flight) hold(bytes int) error {
	if !f.cache.budget.take(int64(bytes)) {
		return &BusyError{}
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	f.held += int64(bytes)
	return nil
}

// answer is the answer for the one whose request the flight was for.
func (f *flight) answer() (Answer, error) {
	if f.err != nil {
		f.leave()
		return Answer{}, f.err
	}
	return Answer{Entry: f.entry, Next: f.next, flight: f}, nil
}

// await waits for a flight. again means that its answer is not for this request.
// old, if not nil, is what is kept and may be stale.
func (c *Cache) await(ctx context.Context, f *flight, old *Entry, header http.Header, first bool) (a Answer, again bool, err error) {
	var late <-chan time.Time
	if old != nil && c.cfg.Now().Before(old.keep) {
		t := time.NewTimer(patience)
		defer t.Stop()
		late = t.C
	} else {
		old = nil
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		f.leave()
		return Answer{}, false, ctx.Err()
	case <-late:
		f.leave()
		old.retryAt.Store(c.cfg.Now().Add(retryAfter).UnixNano())
		return c.stale(old), false, nil
	}
	switch {
	case f.err != nil && old != nil && away(f.err):
		f.leave()
		old.retryAt.Store(c.cfg.Now().Add(retryAfter).UnixNano())
		return c.stale(old), false, nil
	case first || f.err != nil:
		a, err = f.answer()
		return a, false, err
	case f.entry.shareable && valuesOf(f.header, f.entry.vary) == valuesOf(header, f.entry.vary):
		return Answer{Entry: f.entry, flight: f}, false, nil
	default:
		f.leave()
		return Answer{}, true, nil
	}
}

// away reports whether an error says that the network, or the canister's subnet,
// does not answer. An answer that fails its verification for another reason than
// its age is no such error: that is to be seen.
func away(err error) bool {
	var (
		transport *lightclient.TransportError
		status    *lightclient.StatusError
		refused   *asset.Error
	)
	switch {
	case errors.As(err, &transport), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.As(err, &status):
		return status.Status == http.StatusTooManyRequests || status.Status >= http.StatusInternalServerError
	case errors.As(err, &refused):
		return refused.Reason == asset.ReasonTime
	default:
		return false
	}
}

// renewsEarly decides by chance whether to renew what is still fresh, so that
// what is asked for often never expires, and that not all is renewed at once.
func (c *Cache) renewsEarly(now time.Time, e *Entry) bool {
	left := e.expires.Sub(now)
	const never = 30 // the logarithm of a chance is never as large
	if left > never*eagerness*e.cost {
		return false
	}
	return float64(left) < -math.Log(1-c.cfg.Chance())*eagerness*float64(e.cost)
}

// gathers reports whether a body that comes in parts is to be kept.
func (c *Cache) gathers(resp *lightclient.HTTPResponse) bool {
	n := lengthOf(resp)
	return c.kept != nil && n > 0 && n <= c.cfg.ItemBytes && shareable(resp)
}

// gather reads all parts of a body.
func gather(ctx context.Context, resp *lightclient.HTTPResponse) error {
	n := lengthOf(resp)
	body := append(make([]byte, 0, n), resp.Body...)
	for {
		part, err := resp.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if len(part) > n-len(body) {
			return errLength
		}
		body = append(body, part...)
	}
	if len(body) != n {
		return errLength
	}
	resp.Body, resp.Next = body, nil
	return nil
}

var errLength = errors.New("the parts of the body are not as long as its certified length")

// BusyError means that the memory for answers that come in parts is used up.
type BusyError struct{}

// Error says so.
func (*BusyError) Error() string { return "too many long answers are under way" }

// A budget bounds what is held in memory, in bytes.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }
