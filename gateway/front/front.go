// Package front is where a gateway's clients come in: connections, HTTP/1.1 and
// HTTP/2, TLS with certificates from files or from a certificate authority (ACME),
// the way from http to https, and a door of its own for metrics.
//
// A client can be slow or hostile: headers, the time that every phase of a request
// may take, and connections are bounded.
package front

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"portico/gateway/host"
	"portico/gateway/quick"

	"golang.org/x/sync/errgroup"
)

// Config is what a front needs.
type Config struct {
	// Handler answers what comes in at Listener.
	Handler  http.Handler
	Listener net.Listener
	// Certificates make it HTTPS; nil: it is HTTP.
	Certificates *Certificates
	// Plain, which needs Certificates, sends those who come by HTTP to HTTPS, and answers
	// the challenges of a certificate authority; nil: nobody listens for them.
	Plain net.Listener
	// Admin answers with Metrics at /metrics; nil: nobody does. Whoever reaches it may read.
	Admin   net.Listener
	Metrics http.Handler
	// Bounds of connections; 0 is none. Beyond MaxConnections new ones wait, beyond
	// MaxPerAddress they are closed.
	MaxConnections int
	MaxPerAddress  int
	Log            *slog.Logger
	// BodyTimeout is how long a whole request may take to arrive; 0: 30 seconds.
	BodyTimeout time.Duration
}

// Bounds of connections. That of writing counts for the first piece of an answer,
// which has to wait for the longest call; the gateway extends it with each further one.
const (
	headerTimeout   = 10 * time.Second
	bodyTimeout     = 30 * time.Second
	writeTimeout    = 90 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
	maxHeaderBytes  = 64 << 10
	maxStreams      = 128 // of an HTTP/2 connection at the same time
)

// Serve serves until the context ends or a listener fails. It closes the listeners.
func Serve(ctx context.Context, cfg Config) error {
	if cfg.BodyTimeout == 0 {
		cfg.BodyTimeout = bodyTimeout
	}
	main := server(cfg, cfg.Handler)
	run, ctx := errgroup.WithContext(ctx)
	listener := bounded(cfg.Listener, cfg.MaxConnections, cfg.MaxPerAddress)
	if cfg.Certificates == nil {
		if q, ok := cfg.Handler.(quick.Handler); ok {
			listener = quick.Listener(listener, q)
		}
		until(ctx, run, main, func() error { return main.Serve(listener) })
	} else {
		main.TLSConfig = cfg.Certificates.config()
		until(ctx, run, main, func() error { return main.ServeTLS(listener, "", "") })
		if cfg.Plain != nil {
			redirect := server(cfg, cfg.Certificates.challenges(toHTTPS(port(cfg.Listener))))
			plain := bounded(cfg.Plain, cfg.MaxConnections, cfg.MaxPerAddress)
			until(ctx, run, redirect, func() error { return redirect.Serve(plain) })
		}
	}
	if cfg.Admin != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", cfg.Metrics)
		admin := server(cfg, mux)
		until(ctx, run, admin, func() error { return admin.Serve(cfg.Admin) })
	}
	return run.Wait()
}

func server(cfg Config, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: min(headerTimeout, cfg.BodyTimeout),
		ReadTimeout:       cfg.BodyTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
}

// until runs a server and ends it with the context: what is being answered gets some
// time to end.
func until(ctx context.Context, run *errgroup.Group, s *http.Server, serve func() error) {
	run.Go(func() error {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	run.Go(func() error {
		<-ctx.Done()
		stop, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer done()
		if err := s.Shutdown(stop); err != nil {
			return s.Close()
		}
		return nil
	})
}

const httpsPort = 443

// port is the port of a TCP listener, 0 for others.
func port(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// toHTTPS sends a client to the same place by HTTPS, with the same method.
func toHTTPS(port int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, err := host.Normalize(r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		switch {
		case port != 0 && port != httpsPort:
			name = net.JoinHostPort(name, strconv.Itoa(port))
		case net.ParseIP(name) != nil && net.ParseIP(name).To4() == nil:
			name = "[" + name + "]"
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", "https://"+name+r.URL.RequestURI())
		w.WriteHeader(http.StatusPermanentRedirect)
	})
}
