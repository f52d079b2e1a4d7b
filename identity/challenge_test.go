package identity

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
	"time"
)

func TestAChallengeIsGoodForOneLogIn(t *testing.T) {
	w := newWorld(t, nil)
	before := now.Add(-ChallengeLifetime / 2)
	must(t, w.v.challenges.use(w.v.Challenge(browser, before), before))
	l := w.good()
	must(t, w.verify(l))
	wantCheck(t, w.verify(l), ChallengeUsed, "used")
	again := *l
	again.Signature = w.session.Signature(Message(l.Challenge, origin))
	wantCheck(t, w.verify(&again), ChallengeUsed, "used")
	// Until it expires, whatever else is used in between.
	for at := now; at.Before(now.Add(ChallengeLifetime)); at = at.Add(ChallengeLifetime / 8) {
		_, err := w.v.Verify(l, browser, at)
		wantCheck(t, err, ChallengeUsed, "used")
		must(t, w.v.challenges.use(w.v.Challenge(browser, at), at))
	}
}

func TestOfTwoThatUseAChallengeAtOnceOneLogsIn(t *testing.T) {
	w := newWorld(t, nil)
	for range 20 {
		challenge := w.v.Challenge(browser, now)
		var wait sync.WaitGroup
		refused := make(chan error, 8)
		for range cap(refused) {
			wait.Go(func() { refused <- w.v.challenges.use(challenge, now) })
		}
		wait.Wait()
		close(refused)
		used := 0
		for err := range refused {
			if err == nil {
				used++
			}
		}
		if used != 1 {
			t.Fatalf("%d used the same challenge", used)
		}
	}
}

func TestARefusedLogInDoesNotUseItsChallengeUp(t *testing.T) {
	w := newWorld(t, nil)
	l := w.good()
	damaged := *l
	damaged.Signature = bytes.Clone(l.Signature)
	damaged.Signature[0] ^= 1
	wantCheck(t, w.verify(&damaged), SessionSignature, "")
	must(t, w.verify(l))
}

func TestChallengesExpire(t *testing.T) {
	w := newWorld(t, nil)
	l := w.good()
	_, err := w.v.Verify(l, browser, now.Add(ChallengeLifetime+1))
	wantCheck(t, err, ChallengeExpired, "2m0s")
	_, err = w.v.Verify(l, browser, now.Add(ChallengeLifetime))
	must(t, err)
}

func TestChallengesOfOthersAreRefused(t *testing.T) {
	w, other := newWorld(t, nil), newWorld(t, nil)
	elsewhere := newWorld(t, func(cfg *Config) { cfg.Origin = "https://evil.example" })
	elsewhere.v.challenges.key = w.v.challenges.key
	later := w.v.Challenge(browser, now.Add(-time.Hour))
	binary.BigEndian.PutUint64(later, uint64(now.Add(time.Minute).UnixNano()))
	nonce := w.v.Challenge(browser, now)
	nonce[expiryBytes] ^= 1
	code := w.v.Challenge(browser, now)
	code[challengeBytes-1] ^= 1
	for name, challenge := range map[string][]byte{
		"of another server with this origin": other.v.Challenge(browser, now),
		"for another browser":                w.v.Challenge("another", now),
		"for no browser":                     w.v.Challenge("", now),
		"for another origin":                 elsewhere.v.Challenge(browser, now),
		"with a later expiry":                later,
		"with another nonce":                 nonce,
		"with another code":                  code,
		"made up":                            make([]byte, challengeBytes),
	} {
		t.Run(name, func(t *testing.T) {
			l := w.good()
			l.Challenge = challenge
			l.Signature = w.session.Signature(Message(challenge, origin))
			wantCheck(t, w.verify(l), Challenge, "not one of this server")
		})
	}
	for _, n := range []int{0, challengeBytes - 1, challengeBytes + 1} {
		l := w.good()
		l.Challenge = make([]byte, n)
		wantCheck(t, w.verify(l), Form, "want 56")
	}
}

// The bytes are fixed: pages make them too.
func TestMessagesAreSeparatedFromRequests(t *testing.T) {
	if got := string(Message([]byte("challenge"), origin)); got != "\x0Eportico-log-inchallengehttps://dapp.example" {
		t.Errorf("%q", got)
	}
}

func TestOriginAndBrowserOfAChallengeDoNotRunTogether(t *testing.T) {
	c := newChallenges("https://a.example")
	d := newChallenges("https://a.example:80")
	d.key = c.key
	head := make([]byte, expiryBytes+nonceBytes)
	if bytes.Equal(c.code(head, ":80 browser"), d.code(head, " browser")) {
		t.Error("a challenge for one origin and browser is one for others")
	}
}

func TestChallengesAreUnguessable(t *testing.T) {
	w := newWorld(t, nil)
	seen := map[[nonceBytes]byte]bool{}
	for range 1000 {
		nonce := nonceOf(w.v.Challenge(browser, now))
		if seen[nonce] {
			t.Fatalf("the nonce %x came twice", nonce)
		}
		seen[nonce] = true
	}
}

func TestUsedChallengesAreBoundedAndForgottenOnceExpired(t *testing.T) {
	c := newChallenges(origin)
	for range maxUsed {
		must(t, c.use(c.issue(browser, now), now))
	}
	wantCheck(t, c.use(c.issue(browser, now), now), Room, "100000")
	for i := range 3 {
		at := now.Add(time.Duration(i+1) * (ChallengeLifetime + 1))
		must(t, c.use(c.issue(browser, at), at))
	}
	if n := len(c.young) + len(c.old); n != 2 {
		t.Errorf("%d used challenges are remembered, want 2", n)
	}
}
