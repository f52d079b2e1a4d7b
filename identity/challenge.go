package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ChallengeLifetime is how long a challenge may be signed after it was issued. Pages ask
// for one when they are about to sign it, after the user's passkey.
const ChallengeLifetime = 2 * time.Minute

// A challenge is its expiry in nanoseconds since 1970, big-endian, a nonce, and a code
// that only this server makes.
const (
	expiryBytes    = 8
	nonceBytes     = 16
	challengeBytes = expiryBytes + nonceBytes + sha256.Size
)

// maxUsed bounds how many log-ins succeed in the lifetime of a challenge.
const maxUsed = 100_000

// messageSeparator begins with its length, like those of the interface specification, so
// that no signature of a request, a delegation or an answer is one of a log-in.
const messageSeparator = "\x0Eportico-log-in"

// Message is what a session key signs to log in: the separator, the challenge of 56
// bytes, and the origin of the page that asks for the signature, as the browser tells it.
func Message(challenge []byte, origin string) []byte {
	return append(append([]byte(messageSeparator), challenge...), origin...)
}

// challenges issues challenges and remembers the used ones. Everything is in memory:
// after a restart, challenges that were on their way are refused.
type challenges struct {
	origin string
	key    [32]byte

	mu sync.Mutex
	// Nonces used since began, and in the lifetime before it. Older ones have expired.
	young, old map[[nonceBytes]byte]struct{}
	began      time.Time
}

func newChallenges(origin string) *challenges {
	c := &challenges{origin: origin, young: map[[nonceBytes]byte]struct{}{}}
	rand.Read(c.key[:]) //nolint:errcheck // it never fails
	return c
}

func (c *challenges) issue(browser string, now time.Time) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.Add(ChallengeLifetime).UnixNano()))
	var nonce [nonceBytes]byte
	rand.Read(nonce[:]) //nolint:errcheck // it never fails
	b = append(b, nonce[:]...)
	return append(b, c.code(b, browser)...)
}

// code binds a challenge's first bytes to the server's key, its origin and a browser.
func (c *challenges) code(head []byte, browser string) []byte {
	h := hmac.New(sha256.New, c.key[:])
	h.Write(head) // of fixed length
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(c.origin))))
	h.Write([]byte(c.origin))
	h.Write([]byte(browser))
	return h.Sum(nil)
}

// check decides whether a challenge may be used by a browser.
func (c *challenges) check(challenge []byte, browser string, now time.Time) error {
	if len(challenge) != challengeBytes {
		return &Refusal{Form, fmt.Errorf("challenge of %d bytes: want %d", len(challenge), challengeBytes)}
	}
	head, code := challenge[:expiryBytes+nonceBytes], challenge[expiryBytes+nonceBytes:]
	if !hmac.Equal(code, c.code(head, browser)) {
		return &Refusal{Challenge, errors.New("the challenge is not one of this server for this browser")}
	}
	if binary.BigEndian.Uint64(head) < uint64(now.UnixNano()) {
		return &Refusal{ChallengeExpired, fmt.Errorf("the challenge is older than %s", ChallengeLifetime)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.checkUnused(nonceOf(challenge))
}

// use takes a challenge that passed check.
func (c *challenges) use(challenge []byte, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.began) > ChallengeLifetime {
		// What was used before the last change of generations is older than that.
		c.old, c.young, c.began = c.young, map[[nonceBytes]byte]struct{}{}, now
	}
	nonce := nonceOf(challenge)
	if err := c.checkUnused(nonce); err != nil {
		return err
	}
	if len(c.young) >= maxUsed {
		return &Refusal{Room, fmt.Errorf("%d log-ins within %s are as many as this server takes", maxUsed, ChallengeLifetime)}
	}
	c.young[nonce] = struct{}{}
	return nil
}

func (c *challenges) checkUnused(nonce [nonceBytes]byte) error {
	_, young := c.young[nonce]
	if _, old := c.old[nonce]; young || old {
		return &Refusal{ChallengeUsed, errors.New("the challenge was used: each is good for one log-in")}
	}
	return nil
}

func nonceOf(challenge []byte) [nonceBytes]byte {
	return [nonceBytes]byte(challenge[expiryBytes:])
}
