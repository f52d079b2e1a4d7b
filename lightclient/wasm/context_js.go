package main

import (
	"context"
	"time"
)

// A requestContext is the context of one request. Those of package context, and any
// type in an interface that has a time.Time in it, would bring the text form of
// times into the program.
type requestContext struct {
	end    int64 // nanoseconds since 1970
	done   chan struct{}
	stop   func() bool
	err    error
	waited time.Duration // for the network
	early  *early        // the query that left before, or nil
}

// newContext makes a context that ends by itself after some time.
func newContext(timeout time.Duration) *requestContext {
	c := &requestContext{end: time.Now().Add(timeout).UnixNano(), done: make(chan struct{})}
	c.stop = time.AfterFunc(timeout, func() { c.finish(context.DeadlineExceeded) }).Stop
	return c
}

// cancel ends the context, if it has not ended.
func (c *requestContext) cancel() {
	c.stop()
	c.finish(context.Canceled)
}

// finish needs no lock: a browser runs one goroutine at a time, and this does not wait.
func (c *requestContext) finish(err error) {
	if c.err == nil {
		c.err = err
		close(c.done)
	}
}

// Deadline implements context.Context.
func (c *requestContext) Deadline() (time.Time, bool) { return time.Unix(0, c.end), true }

// Done implements context.Context.
func (c *requestContext) Done() <-chan struct{} { return c.done }

// Err implements context.Context.
func (c *requestContext) Err() error { return c.err }

// Value implements context.Context; under waiting{} is how long the request waited.
func (c *requestContext) Value(key any) any {
	if key == (waiting{}) {
		return &c.waited
	}
	return nil
}
