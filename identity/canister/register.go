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

// puzzle is what a registration has to solve until it expires: a captcha, if one was
// required when it began.
type puzzle struct {
	expires  uint64
	captcha  captchaSeed
	required bool
}

// challenges are those of the first version of the interface that nobody answered yet.
// A key is good for one registration within some minutes.
type challenges struct {
	open map[string]puzzle // by key
	made uint64
}

const (
	challengeLife = 5 * minute
	flowLife      = 5 * minute
	maxFlows      = 10_000
	// emptyPNG is an image of one transparent pixel, base64.
	emptyPNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)

// challenge makes a challenge. If no captcha is required, there is nothing to be seen on
// its image and any characters solve it; the key alone must be right.
func (s *store) challenge(random func() (captchaSeed, error), now uint64) (challenge, error) {
	if err := s.limiter.take(s.config.RateLimit, now); err != nil {
		return challenge{}, err
	}
	c := &s.challenges
	if uint64(len(c.open)) >= s.config.Captcha.MaxUnsolved {
		maps.DeleteFunc(c.open, func(_ string, p puzzle) bool { return p.expires <= now })
		if uint64(len(c.open)) >= s.config.Captcha.MaxUnsolved {
			return challenge{}, errors.New("too many inflight captchas")
		}
	}
	p, image := puzzle{expires: now + challengeLife, required: s.captchaRequired(now)}, emptyPNG
	if p.required {
		var err error
		if p.captcha, err = random(); err != nil {
			return challenge{}, err
		}
		if image, err = p.captcha.draw(); err != nil {
			return challenge{}, err
		}
	}
	c.made++
	sum := hash(s.salt[:], []byte("challenge"), binary.LittleEndian.AppendUint64(nil, c.made), binary.LittleEndian.AppendUint64(nil, now))
	key := hex.EncodeToString(sum[:16])
	c.open[key] = p
	return challenge{PNG: image, Key: key}, nil
}

// solve uses up a challenge, by a right solution or a wrong one.
func (c *challenges) solve(r challengeResult, now uint64) bool {
	p, ok := c.open[r.Key]
	delete(c.open, r.Key)
	return ok && now < p.expires && (!p.required || p.captcha.solved(r.Chars))
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

// flows are registrations of the second version that were started and not finished, by
// caller.
type flows struct{ open map[who]puzzle }

// startFlow begins a registration. If a captcha is required, other messages are served
// while random asks for its seed.
func (s *store) startFlow(caller principal.ID, random func() (captchaSeed, error), now uint64) (result[nextStepResult, startError], error) {
	if caller.IsAnonymous() {
		return failed[nextStepResult](startError{InvalidCaller: true}), nil
	}
	if s.flows.get(caller, now) != nil {
		return failed[nextStepResult](startError{InProgress: true}), nil
	}
	if s.limiter.take(s.config.RateLimit, now) != nil {
		return failed[nextStepResult](startError{RateLimit: true}), nil
	}
	if len(s.flows.open) >= maxFlows {
		maps.DeleteFunc(s.flows.open, func(_ who, p puzzle) bool { return p.expires <= now })
		if len(s.flows.open) >= maxFlows {
			return failed[nextStepResult](startError{RateLimit: true}), nil
		}
	}
	p := puzzle{expires: now + flowLife, required: s.captchaRequired(now)}
	if p.required {
		var err error
		if p.captcha, err = random(); err != nil {
			return result[nextStepResult, startError]{}, err
		}
		if s.flows.get(caller, now) != nil {
			return failed[nextStepResult](startError{InProgress: true}), nil
		}
	}
	s.flows.open[whoIs(caller)] = p
	next, err := p.next()
	return ok[nextStepResult, startError](next), err
}

// next is what a registration has to do next.
func (p *puzzle) next() (nextStepResult, error) {
	if !p.required {
		return nextStepResult{nextStep{Finish: true}}, nil
	}
	image, err := p.captcha.draw()
	return nextStepResult{nextStep{CheckCaptcha: &captchaStep{image}}}, err
}

// get is a caller's registration, or nil.
func (f *flows) get(caller principal.ID, now uint64) *puzzle {
	p, ok := f.open[whoIs(caller)]
	if !ok || now >= p.expires {
		return nil
	}
	return &p
}

// solveCaptcha takes a solution. After a wrong one there is another captcha.
func (s *store) solveCaptcha(caller principal.ID, solution string, random func() (captchaSeed, error), now uint64) (result[nextStepResult, checkCaptchaError], error) {
	p := s.flows.get(caller, now)
	if p == nil {
		return failed[nextStepResult](checkCaptchaError{NoFlow: true}), nil
	}
	if !p.required {
		next, err := p.next()
		return failed[nextStepResult](checkCaptchaError{Unexpected: &next}), err
	}
	if p.captcha.solved(solution) {
		p.required = false
		s.flows.open[whoIs(caller)] = *p
		next, err := p.next()
		return ok[nextStepResult, checkCaptchaError](next), err
	}
	// The captcha is used up before others are served: of two solutions sent at once, the
	// second must not be tried on it too.
	p.captcha = captchaSeed{}
	delete(s.flows.open, whoIs(caller))
	seed, err := random()
	if err != nil {
		return result[nextStepResult, checkCaptchaError]{}, err
	}
	p.captcha = seed
	s.flows.open[whoIs(caller)] = *p
	image, err := seed.draw()
	return failed[nextStepResult](checkCaptchaError{Wrong: &newCaptcha{image}}), err
}

// finishFlow registers the caller's authentication method; the caller's key may act for
// the identity for some minutes.
func (s *store) finishFlow(caller principal.ID, arg finishArg, now uint64) (result[finishResult, finishError], error) {
	p := s.flows.get(caller, now)
	if p == nil {
		return failed[finishResult](finishError{NoFlow: true}), nil
	}
	if p.required {
		next, err := p.next()
		return failed[finishResult](finishError{Unexpected: &next}), err
	}
	d, err := arg.Method.device()
	if err != nil {
		return failed[finishResult](finishError{Invalid: textOf(err)}), nil
	}
	if arg.Name != nil && len(*arg.Name) > maxNameBytes {
		return failed[finishResult](finishError{Storage: textOf(errLongName)}), nil
	}
	if err := d.check(); err != nil {
		return failed[finishResult](finishError{Invalid: textOf(err)}), nil
	}
	a, err := s.register(caller, d, arg.Name, now)
	switch {
	case errors.Is(err, errTaken):
		return failed[finishResult](finishError{Invalid: textOf(err)}), nil
	case err != nil:
		return failed[finishResult](finishError{Storage: textOf(err)}), nil
	}
	delete(s.flows.open, whoIs(caller))
	s.temporary.add(caller, a.number, d.PubKey, now)
	return ok[finishResult, finishError](finishResult{a.number}), nil
}

var errLongName = fmt.Errorf("a name has at most %d bytes", maxNameBytes)
