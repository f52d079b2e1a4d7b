package main

import (
	"context"
	"time"
)

// A requestContext is the context of one request. Those of package context, and any
// type in an interface that has a time.Time in it, would bring the text form of
// times into the program. Its timer starts when somebody first waits: to check a
// response that is here already needs none.
type requestContext struct {
	end    int64         // nanoseconds since 1970
	done   chan struct{} // nil until somebody waits
	stop   func() bool   // the timer
	err    error
	waited time.Duration // for the network
	early  *early        // the query that left before, or nil
}

// newContext makes a context that ends by itself after some time.
func newContext(timeout time.Duration) *requestContext {
	return &requestContext{end: time.Now().Add(timeout).UnixNano()}
}

// cancel ends the context, if it has not ended.
func (c *requestContext) cancel() {
	if c.stop != nil {
		c.stop()
	}
	c.finish(context.Canceled)
}

// finish needs no lock: a browser runs one goroutine at a time, and this does not wait.
func (c *requestContext) finish(err error) {
	if c.err == nil {
		c.err = err
		if c.done != nil {
			close(c.done)
		}
	}
}

// Deadline implements context.Context.
func (c *requestContext) Deadline() (time.Time, bool) { return time.Unix(0, c.end), true }

// Done implements context.Context.
func (c *requestContext) Done() <-chan struct{} {
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		} else {
			left := time.Duration(c.end - time.Now().UnixNano())
			c.stop = time.AfterFunc(left, func() { c.finish(context.DeadlineExceeded) }).Stop
		}
	}
	return c.done
}

// Err implements context.Context.
func (c *requestContext) Err() error { return c.err }

// Value implements context.Context; under waiting{} is how long the request waited.
func (c *requestContext) Value(key any) any {
	if key == (waiting{}) {
		return &c.waited
	}
	return nil
}
