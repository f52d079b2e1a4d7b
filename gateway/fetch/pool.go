// Package fetch carries messages from a gateway to the replicas behind it.
//
// A Pool believes none of them: it is a lightclient.Transport, whose user checks
// every answer, and passes the API through to those who check for themselves.
package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of what is read, in bytes, and of how long a replica may take.
const (
	// MaxReplyBytes bounds an answer: the largest reply of a canister is 3 MiB,
	// certificates and encodings come on top.
	MaxReplyBytes = 16 << 20
	// answerTimeout is longer than replicas let a synchronous call wait.
	answerTimeout  = 20 * time.Second
	connectTimeout = 5 * time.Second
	// patience is how long a replica may take before another one is asked, too.
	patience = 3 * time.Second
	// restTime is how long a replica that failed is asked last, hangRestTime one that let
	// us wait, liarRestTime one that claimed a height that nobody has.
	restTime     = 2 * time.Second
	hangRestTime = 10 * time.Second
	liarRestTime = time.Minute
	// After every replica failed, all are asked again, at most maxRounds times in all, with
	// firstPause between the first two rounds and twice the pause before each further one;
	// not, however, when the failures took longer than retryTime.
	maxRounds  = 4
	firstPause = 50 * time.Millisecond
	retryTime  = 2 * time.Second
	// idlePerReplica bounds the open connections to a replica that wait for work.
	idlePerReplica = 64
)

// heightHeader is how replicas say which height an answer is of, and how a Pool says from
// which height on it wants one. So users who come through one gateway never see the subnet go
// back, whichever replicas answer them: what they were told has happened has happened
// for their next request, too.
const heightHeader = "Portico-Height"

// A Pool spreads requests over replicas. It is safe for concurrent use.
type Pool struct {
	client   *http.Client
	now      func() time.Time
	patience time.Duration
	pause    time.Duration // firstPause
	counts   counts
	mu       sync.Mutex
	replicas []*replica
	next     int
	seen     uint64   // the newest height of an answer
	claimed  *replica // who gave it
}

type replica struct {
	url       string
	restUntil time.Time
}

// NewPool makes a pool of the replicas with the given base URLs, such as
// "http://127.0.0.1:8080". There must be at least one.
func NewPool(urls []string) (*Pool, error) {
	if len(urls) == 0 {
		return nil, errors.New("fetch: a gateway needs at least one replica")
	}
	p := &Pool{
		now: time.Now, patience: patience, pause: firstPause,
		client: &http.Client{
			Transport: &http.Transport{
				DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
				ResponseHeaderTimeout: answerTimeout,
				MaxIdleConnsPerHost:   idlePerReplica,
				IdleConnTimeout:       90 * time.Second,
				ForceAttemptHTTP2:     true,
				DisableCompression:    true,
			},
			// A replica never redirects; following one would leave the configured set.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	for _, u := range urls {
		if !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
			return nil, fmt.Errorf("fetch: replica %q is not an http or https URL", u)
		}
		p.replicas = append(p.replicas, &replica{url: strings.TrimSuffix(u, "/")})
	}
	return p, nil
}

// Close closes the connections that are idle.
func (p *Pool) Close() { p.client.CloseIdleConnections() }

// Post implements lightclient.Transport. It asks one replica after the other
// until one answers with something else than "overloaded" or "broken", and
// returns the last answer if none does. Replicas may get the same request twice: they
// know it by its id, and execute it once.
func (p *Pool) Post(ctx context.Context, path string, body []byte) (status int, reply []byte, err error) {
	resp, err := p.round(ctx, http.MethodPost, path, body)
	if err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, resp.Body.(*arrived).all, nil
}

// Do is Post for any method, and for those who do not ask again by themselves, as light
// clients do: if no replica answers as it should, it asks all of them again a few times. The
// answer's body has arrived whole.
func (p *Pool) Do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	began, pause := p.now(), p.pause
	for round := 1; ; round++ {
		resp, err := p.round(ctx, method, path, body)
		if err == nil && !retryable(resp.StatusCode) {
			return resp, nil
		}
		if round == maxRounds || ctx.Err() != nil || p.now().Sub(began) > retryTime {
			return resp, err
		}
		p.counts.retries.Add(1)
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return resp, err
		}
		pause *= 2
	}
}

// retryable says that a status speaks of the moment, not of the request.
func retryable(status int) bool {
	return status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// round asks one replica after the other.
func (p *Pool) round(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	r := &request{wanted: p.height(), order: p.order(), answers: make(chan answer, len(p.replicas))}
	next := func() {
		to := r.order[r.asked]
		r.asked++
		asking.Go(func() {
			resp, err := p.ask(ctx, method, to.url+path, body, r.wanted)
			r.answers <- answer{resp, err, to}
		})
	}
	next()
	patience := time.NewTimer(p.patience)
	defer patience.Stop()
	for came := 0; came < len(r.order); {
		select {
		case a := <-r.answers:
			came++
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if r.take(a) {
				p.saw(a)
				return a.resp, nil
			}
			if a.failed() {
				p.counts.failed(a)
				p.rest(a.from, restTime)
			}
			if r.asked == came && r.asked < len(r.order) {
				next()
				patience.Reset(p.patience)
			}
		case <-patience.C:
			// It may still answer, but others go first from now on.
			p.rest(r.order[r.asked-1], hangRestTime)
			if r.asked < len(r.order) {
				next()
				patience.Reset(p.patience)
			}
		}
	}
	if r.best == nil {
		return nil, errors.Join(r.failures...)
	}
	p.gaveUp(r)
	return r.best.resp, nil
}

// request is what is known of a request so far.
type request struct {
	wanted   uint64 // the height that its answer should be of
	order    []*replica
	asked    int
	answers  chan answer
	best     *answer // of those that are not as they should be
	failures []error
}

// answer is a replica's answer, or why there is none.
type answer struct {
	resp *http.Response
	err  error
	from *replica
}

// failed says that the replica is overloaded, broken or away.
func (a *answer) failed() bool {
	return a.err != nil || retryable(a.resp.StatusCode)
}

// height is the height that the replica says it answered from.
func (a *answer) height() (h uint64, ok bool) {
	h, err := strconv.ParseUint(a.resp.Header.Get(heightHeader), 10, 64)
	return h, err == nil
}

// take takes an answer and reports whether it is as it should be. If none is, one from behind is better than
// none, and one that says why there is none is better than an error.
func (r *request) take(a answer) bool {
	if a.err != nil {
		r.failures = append(r.failures, a.err)
		return false
	}
	if a.failed() {
		if r.best == nil || r.best.failed() {
			r.best = &a
		}
		return false
	}
	if h, ok := a.height(); ok && h < r.wanted {
		if r.best == nil || r.best.failed() {
			r.best = &a
		} else if best, _ := r.best.height(); h > best {
			r.best = &a
		}
		return false
	}
	return true
}

// ask asks one replica. The answer is read whole, since one that dies in the middle of
// it has not answered.
func (p *Pool) ask(ctx context.Context, method, url string, body []byte, wanted uint64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/cbor")
	}
	req.Header.Set(heightHeader, strconv.FormatUint(wanted, 10))
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	reply, err := readReply(resp)
	if err != nil {
		return nil, err
	}
	resp.Body = newArrived(reply)
	return resp, nil
}

// readReply reads a body whole. A long answer is not copied while it grows, if its
// length is known.
func readReply(resp *http.Response) (reply []byte, err error) {
	if resp.Request.Method == http.MethodHead {
		return nil, nil // the length is that of the answer to GET
	}
	if n := resp.ContentLength; n >= 0 && n <= MaxReplyBytes {
		reply = make([]byte, n)
		_, err = io.ReadFull(resp.Body, reply)
	} else {
		reply, err = io.ReadAll(io.LimitReader(resp.Body, MaxReplyBytes+1))
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer: %w", err)
	case len(reply) > MaxReplyBytes:
		return nil, fmt.Errorf("the answer is larger than %d bytes", MaxReplyBytes)
	}
	return reply, nil
}

// arrived is a body that has arrived whole.
type arrived struct {
	bytes.Reader
	all []byte
}

func newArrived(b []byte) *arrived {
	a := &arrived{all: b}
	a.Reset(b)
	return a
}

// Close implements io.Closer.
func (*arrived) Close() error { return nil }

func (p *Pool) height() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// saw takes note of an answer's height.
func (p *Pool) saw(a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h, ok := a.height(); ok && h > p.seen {
		p.seen, p.claimed = h, a.from
	}
}

// gaveUp notes that no replica has the height that a request wanted: whoever claimed it
// lied, or is gone with it.
func (p *Pool) gaveUp(r *request) {
	h, ok := r.best.height()
	if !ok || r.best.failed() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == r.wanted {
		p.seen = h
		p.claimed.restUntil = p.now().Add(liarRestTime)
	}
}

// order is the replicas in the order in which to ask them: in turn, those that
// failed lately last.
func (p *Pool) order() []*replica {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	var ready, resting []*replica
	for i := range p.replicas {
		r := p.replicas[(p.next+i)%len(p.replicas)]
		if now.Before(r.restUntil) {
			resting = append(resting, r)
		} else {
			ready = append(ready, r)
		}
	}
	p.next = (p.next + 1) % len(p.replicas)
	return append(ready, resting...)
}

func (p *Pool) rest(r *replica, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.restUntil = p.now().Add(d)
}
