package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"portico/lightclient/principal"
)

// Bounds on sessions. They are in memory, about 300 bytes each.
const (
	maxSessions = 100_000
	// maxSessionsOfUser is how many a user may have, on several devices: another one
	// ends the oldest.
	maxSessionsOfUser = 16
	// sweepInterval is how long a full store waits before it looks for ended sessions again.
	sweepInterval = time.Minute
)

// A tokenHash is what a session is found by. The token itself is known to the browser
// alone, and comparing hashes tells nobody how much of a guess was right.
type tokenHash [sha256.Size]byte

// newToken makes 256 random bits, as text.
func newToken() string {
	var b [32]byte
	rand.Read(b[:]) //nolint:errcheck // it never fails
	return hex.EncodeToString(b[:])
}

type session struct {
	user    principal.ID
	expires time.Time
}

type sessions struct {
	limit int

	mu    sync.Mutex
	all   map[tokenHash]session
	of    map[principal.ID][]tokenHash // the oldest first
	swept time.Time
}

func newSessions(limit int) *sessions {
	return &sessions{limit: limit, all: map[tokenHash]session{}, of: map[principal.ID][]tokenHash{}}
}

// begin starts a session and returns its token. The error is a *Refusal when there is no room.
func (s *sessions) begin(user principal.ID, expires, now time.Time) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own := s.of[user]; len(own) >= maxSessionsOfUser {
		s.end(own[0])
	}
	if len(s.all) >= s.limit {
		s.sweep(now)
	}
	if len(s.all) >= s.limit {
		return "", &Refusal{Room, fmt.Errorf("%d people are logged in, as many as this server takes", len(s.all))}
	}
	token := newToken()
	h := tokenHash(sha256.Sum256([]byte(token)))
	s.all[h] = session{user, expires}
	s.of[user] = append(s.of[user], h)
	return token, nil
}

// find returns the session of a token.
func (s *sessions) find(token string, now time.Time) (session, bool) {
	h := tokenHash(sha256.Sum256([]byte(token)))
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.all[h]
	if ok && !now.Before(found.expires) {
		s.end(h)
		return session{}, false
	}
	return found, ok
}

// forget ends the session of a token, if there is one.
func (s *sessions) forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(sha256.Sum256([]byte(token)))
}

func (s *sessions) sweep(now time.Time) {
	if now.Sub(s.swept) < sweepInterval {
		return
	}
	s.swept = now
	for h, one := range s.all {
		if !now.Before(one.expires) {
			s.end(h)
		}
	}
}

func (s *sessions) end(h tokenHash) {
	one, ok := s.all[h]
	if !ok {
		return
	}
	delete(s.all, h)
	left := slices.DeleteFunc(s.of[one.user], func(other tokenHash) bool { return other == h })
	if len(left) == 0 {
		delete(s.of, one.user)
		return
	}
	s.of[one.user] = left
}
