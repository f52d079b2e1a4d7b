package serve

import (
	"context"
	"log/slog"
)

// Observers are several as one.
type Observers []Observer

// Began implements Observer.
func (o Observers) Began() {
	for _, each := range o {
		each.Began()
	}
}

// Ended implements Observer.
func (o Observers) Ended(s Seen) {
	for _, each := range o {
		each.Ended(s)
	}
}

// AccessLog writes one line for each request that was answered.
type AccessLog struct{ Log *slog.Logger }

// maxLogged bounds what clients choose in a line of the log, in bytes each.
const maxLogged = 512

// Began implements Observer.
func (AccessLog) Began() {}

// Ended implements Observer. The query of the URL is left out: people's secrets are
// found there.
func (l AccessLog) Ended(s Seen) {
	canister, address := "", ""
	if s.Named {
		canister = s.Canister.String()
	}
	if s.Address.IsValid() {
		address = s.Address.String()
	}
	l.Log.LogAttrs(context.Background(), slog.LevelInfo, "request",
		slog.String("id", s.ID),
		slog.String("address", address),
		slog.String("method", cut(s.Method)),
		slog.String("host", cut(s.Host)),
		slog.String("path", cut(s.Path)),
		slog.String("protocol", s.Protocol),
		slog.String("kind", string(s.Kind)),
		slog.String("canister", canister),
		slog.Int("status", s.Status),
		slog.Int64("bytes", s.Bytes),
		slog.Duration("duration", s.Duration),
		slog.String("answer", s.Answer),
		slog.String("problem", s.Problem),
	)
}

func cut(s string) string {
	if len(s) > maxLogged {
		return s[:maxLogged]
	}
	return s
}
