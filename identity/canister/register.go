package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"

	"portico/identity/stable"
	"portico/lightclient/principal"
)

// limiter hands out tokens for registrations: some at once, then one from time to time.
type limiter struct {
	tokens uint64
	since  uint64 // up to when tokens were counted; zero before the first
}

var errRateLimit = errors.New("rate limit reached, try again later")

// take uses up a token.
func (l *limiter) take(limit *rateLimit, now uint64) error {
	if l.since == 0 {
		l.tokens, l.since = limit.MaxTokens, now
	}
	more := (now - l.since) / limit.TimePerToken
	l.since += more * limit.TimePerToken
	l.tokens = min(l.tokens+min(more, limit.MaxTokens), limit.MaxTokens)
	if l.tokens == 0 {
		return errRateLimit
	}
	l.tokens--
	return nil
}

// challenges are those of the first version of the interface that nobody answered yet.
// A key is good for one registration within some minutes.
type challenges struct {
	open map[string]uint64 // when they expire, by key
	made uint64
}

const (
	challengeLife = 5 * minute
	flowLife      = 5 * minute
	maxFlows      = 10_000
	// emptyPNG is an image of one transparent pixel, base64.
	emptyPNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)

// challenge makes a challenge. Captchas are disabled, so there is nothing to be seen on
// its image and any characters solve it; the key alone must be right.
func (s *store) challenge(now uint64) (challenge, error) {
	if err := s.limiter.take(s.config.RateLimit, now); err != nil {
		return challenge{}, err
	}
	c := &s.challenges
	if uint64(len(c.open)) >= s.config.Captcha.MaxUnsolved {
		maps.DeleteFunc(c.open, func(_ string, expires uint64) bool { return expires <= now })
		if uint64(len(c.open)) >= s.config.Captcha.MaxUnsolved {
			return challenge{}, errors.New("too many inflight captchas")
		}
	}
	c.made++
	sum := hash(s.salt[:], []byte("challenge"), binary.LittleEndian.AppendUint64(nil, c.made), binary.LittleEndian.AppendUint64(nil, now))
	key := hex.EncodeToString(sum[:16])
	c.open[key] = now + challengeLife
	return challenge{PNG: emptyPNG, Key: key}, nil
}

// solve uses up a challenge.
func (c *challenges) solve(r challengeResult, now uint64) bool {
	expires, ok := c.open[r.Key]
	delete(c.open, r.Key)
	return ok && now < expires
}

// registerFirst is the registration of the interface's first version. The caller must
// have the device's key, or name the temporary key that they sign with.
func (s *store) registerFirst(caller principal.ID, d device, solution challengeResult, temporary *principal.ID, now uint64) (registerResponse, error) {
	byDevice := principal.SelfAuthenticating(d.PubKey) == caller
	byTemporary := temporary != nil && *temporary == caller && caller.IsSelfAuthenticating()
	if !byDevice && !byTemporary {
		return registerResponse{}, fmt.Errorf("%s could not be authenticated against the device's public key", caller)
	}
	if !s.challenges.solve(solution, now) {
		return registerResponse{BadChallenge: true}, nil
	}
	a, err := s.register(caller, d, nil, now)
	if errors.Is(err, stable.ErrFull) {
		return registerResponse{Full: true}, nil
	}
	if err != nil {
		return registerResponse{}, err
	}
	if byTemporary {
		s.temporary.add(caller, a.number, d.PubKey, now)
	}
	return registerResponse{Registered: &registered{a.number}}, nil
}

// flows are registrations of the second version that were started and not finished: by
// caller, when they expire.
type flows struct{ open map[who]uint64 }

func (s *store) startFlow(caller principal.ID, now uint64) result[nextStepResult, startError] {
	if caller.IsAnonymous() {
		return failed[nextStepResult](startError{InvalidCaller: true})
	}
	if s.flows.has(caller, now) {
		return failed[nextStepResult](startError{InProgress: true})
	}
	if s.limiter.take(s.config.RateLimit, now) != nil {
		return failed[nextStepResult](startError{RateLimit: true})
	}
	if len(s.flows.open) >= maxFlows {
		maps.DeleteFunc(s.flows.open, func(_ who, expires uint64) bool { return expires <= now })
		if len(s.flows.open) >= maxFlows {
			return failed[nextStepResult](startError{RateLimit: true})
		}
	}
	s.flows.open[whoIs(caller)] = now + flowLife
	return ok[nextStepResult, startError](finishNext())
}

func finishNext() nextStepResult { return nextStepResult{nextStep{Finish: true}} }

func (f *flows) has(caller principal.ID, now uint64) bool {
	expires, ok := f.open[whoIs(caller)]
	return ok && now < expires
}

// solveCaptcha is never what comes next, as long as captchas are disabled.
func (s *store) solveCaptcha(caller principal.ID, now uint64) result[nextStepResult, checkCaptchaError] {
	if !s.flows.has(caller, now) {
		return failed[nextStepResult](checkCaptchaError{NoFlow: true})
	}
	next := finishNext()
	return failed[nextStepResult](checkCaptchaError{Unexpected: &next})
}

// finishFlow registers the caller's authentication method; the caller's key may act for
// the identity for some minutes.
func (s *store) finishFlow(caller principal.ID, arg finishArg, now uint64) result[finishResult, finishError] {
	if !s.flows.has(caller, now) {
		return failed[finishResult](finishError{NoFlow: true})
	}
	d, err := arg.Method.device()
	if err != nil {
		return failed[finishResult](finishError{Invalid: textOf(err)})
	}
	if arg.Name != nil && len(*arg.Name) > maxNameBytes {
		return failed[finishResult](finishError{Storage: textOf(errLongName)})
	}
	if err := d.check(); err != nil {
		return failed[finishResult](finishError{Invalid: textOf(err)})
	}
	a, err := s.register(caller, d, arg.Name, now)
	switch {
	case errors.Is(err, errTaken):
		return failed[finishResult](finishError{Invalid: textOf(err)})
	case err != nil:
		return failed[finishResult](finishError{Storage: textOf(err)})
	}
	delete(s.flows.open, whoIs(caller))
	s.temporary.add(caller, a.number, d.PubKey, now)
	return ok[finishResult, finishError](finishResult{a.number})
}

var errLongName = fmt.Errorf("a name has at most %d bytes", maxNameBytes)
