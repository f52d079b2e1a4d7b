package fetch

import (
	"errors"
	"net"
	"net/http"
	"sync/atomic"
)

// Failures counts what went wrong with replicas since the Pool was made.
type Failures struct {
	Connect    uint64 // nobody listened
	Timeout    uint64 // no answer in time
	Broken     uint64 // the answer broke off or was too large
	Overloaded uint64 // status 429
	Status     uint64 // status 500 and above
	Retries    uint64 // times that all failed and all were asked again
}

// Failures gives the counts.
func (p *Pool) Failures() Failures {
	c := &p.counts
	return Failures{c.connect.Load(), c.timeout.Load(), c.broken.Load(), c.overloaded.Load(), c.status.Load(), c.retries.Load()}
}

type counts struct {
	connect, timeout, broken, overloaded, status, retries atomic.Uint64
}

func (c *counts) failed(a answer) {
	var network net.Error
	var operation *net.OpError
	switch {
	case a.err == nil && a.resp.StatusCode == http.StatusTooManyRequests:
		c.overloaded.Add(1)
	case a.err == nil:
		c.status.Add(1)
	case errors.As(a.err, &network) && network.Timeout():
		c.timeout.Add(1)
	case errors.As(a.err, &operation) && operation.Op == "dial":
		c.connect.Add(1)
	default:
		c.broken.Add(1)
	}
}
