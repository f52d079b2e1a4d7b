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
	answerTimeout  = 60 * time.Second
	connectTimeout = 5 * time.Second
	// restTime is how long a replica that failed is asked last.
	restTime = 2 * time.Second
	// idlePerReplica bounds the open connections to a replica that wait for work.
	idlePerReplica = 64
)

// A Pool spreads requests over replicas. It is safe for concurrent use.
type Pool struct {
	client   *http.Client
	now      func() time.Time
	mu       sync.Mutex
	replicas []*replica
	next     int
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
		now: time.Now,
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
// returns the last answer if none does.
func (p *Pool) Post(ctx context.Context, path string, body []byte) (status int, reply []byte, err error) {
	resp, err := p.Do(ctx, http.MethodPost, path, body)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	reply, err = io.ReadAll(io.LimitReader(resp.Body, MaxReplyBytes+1))
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("reading the answer: %w", err)
	case len(reply) > MaxReplyBytes:
		return 0, nil, fmt.Errorf("the answer is larger than %d bytes", MaxReplyBytes)
	}
	return resp.StatusCode, reply, nil
}

// Do is Post for any method, with the answer's body still to be read and closed.
func (p *Pool) Do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	var failures []error
	order := p.order()
	for i, r := range order {
		req, err := http.NewRequestWithContext(ctx, method, r.url+path, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		if method == http.MethodPost {
			req.Header.Set("Content-Type", "application/cbor")
		}
		resp, err := p.client.Do(req)
		if ctx.Err() != nil && err != nil {
			return nil, err
		}
		last := i == len(order)-1
		switch {
		case err != nil:
			p.rest(r)
			failures = append(failures, err)
		case !last && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= http.StatusInternalServerError):
			p.rest(r)
			failures = append(failures, fmt.Errorf("%s answered with status %d", r.url, resp.StatusCode))
			resp.Body.Close()
		default:
			return resp, nil
		}
	}
	return nil, errors.Join(failures...)
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

func (p *Pool) rest(r *replica) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.restUntil = p.now().Add(restTime)
}
