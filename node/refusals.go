package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// refusals makes a log that tells people, one line each, what a gateway withheld and why.
func refusals(out io.Writer) *slog.Logger {
	return slog.New(&refusalLog{out: out, mu: new(sync.Mutex)})
}

// refusalLog is a slog.Handler. It leaves out records of requests that were answered.
type refusalLog struct {
	out    io.Writer
	mu     *sync.Mutex // shared by the handlers that WithAttrs makes
	attrs  []slog.Attr
	groups int // attributes below groups are details that are left out
}

// Enabled implements slog.Handler.
func (h *refusalLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// WithAttrs implements slog.Handler.
func (h *refusalLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	if h.groups > 0 {
		return h
	}
	next := *h
	next.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)
	return &next
}

// WithGroup implements slog.Handler.
func (h *refusalLog) WithGroup(string) slog.Handler {
	next := *h
	next.groups++
	return &next
}

// Handle implements slog.Handler.
func (h *refusalLog) Handle(_ context.Context, r slog.Record) error {
	values := map[string]string{}
	keep := func(a slog.Attr) bool {
		values[a.Key] = a.Value.String()
		return true
	}
	for _, a := range h.attrs {
		keep(a)
	}
	if h.groups == 0 {
		r.Attrs(keep)
	}
	reason := values["err"]
	if reason == "" || reason == "<nil>" {
		if values["title"] == "" {
			return nil
		}
		reason = "refused"
	}
	title := values["title"]
	if title == "" {
		title = r.Message
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	// Hosts, paths and reasons come from strangers: quoted, they cannot write lines of their own.
	_, err := fmt.Fprintf(h.out, "%s  %s  %q: %q\n", r.Time.Format("15:04:05"), title, values["host"]+values["path"], reason)
	return err
}
