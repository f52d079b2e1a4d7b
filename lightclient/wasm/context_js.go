package main

import (
	"context"
	"time"
)

// A requestContext is the context of one request. Those of package context would
// bring the text form of every time and duration into the program.
type requestContext struct {
	end    time.Time
	done   chan struct{}
	timer  *time.Timer
	err    error
	waited time.Duration // for the network
}

// newContext makes a context that ends by itself after some time.
func newContext(timeout time.Duration) *requestContext {
	c := &requestContext{end: time.Now().Add(timeout), done: make(chan struct{})}
	c.timer = time.AfterFunc(timeout, func() { c.finish(context.DeadlineExceeded) })
	return c
}

// cancel ends the context, if it has not ended.
func (c *requestContext) cancel() {
	c.timer.Stop()
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
func (c *requestContext) Deadline() (time.Time, bool) { return c.end, true }

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
