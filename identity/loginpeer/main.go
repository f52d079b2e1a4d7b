// Command loginpeer makes chains of delegations as Internet Identity does, on a network
// whose keys are known, and verifies log-ins, so that a test in JavaScript can compare
// this repository with @icp-sdk/core. It answers lines of standard input:
//
//	root                     the network's root key, hexadecimal
//	chain SEED KEY MINUTES   a chain from the user of SEED to the session key KEY (DER,
//	                         hexadecimal) that expires in so many minutes, JSON
//	challenge                a challenge, hexadecimal
//	verify JSON              the principal of a log-in, or "refused" and the check
//	bench N                  milliseconds of processor time for one of N chains: by a server that meets the
//	                         network for the first time each, and by one that is running
package main

import (
	"bufio"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"portico/identity"
	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
	"portico/lightclient/signature/testsigner"
)

const (
	origin  = "http://localhost:9000"
	browser = "a browser"
)

type peer struct {
	net *fakenet.Network
	v   *identity.Verifier
}

func main() {
	p := &peer{net: fakenet.New("login")}
	p.v = p.verifier()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		out, err := p.answer(word, rest)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(out)
	}
}

func (p *peer) verifier() *identity.Verifier {
	v, err := identity.New(identity.Config{RootKey: p.net.RootKey(), Origin: origin})
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func (p *peer) answer(word, rest string) (string, error) {
	switch word {
	case "root":
		return hex.EncodeToString(p.net.RootKey()), nil
	case "chain":
		f := strings.Fields(rest)
		key, err := hex.DecodeString(f[1])
		if err != nil {
			return "", err
		}
		minutes, err := strconv.Atoi(f[2])
		if err != nil {
			return "", err
		}
		c, err := p.chain(f[0], key, time.Duration(minutes)*time.Minute)
		if err != nil {
			return "", err
		}
		return string(c.JSON()), nil
	case "challenge":
		return hex.EncodeToString(p.v.Challenge(browser, time.Now())), nil
	case "verify":
		return p.verify(p.v, []byte(rest)), nil
	case "bench":
		n, err := strconv.Atoi(rest)
		if err != nil {
			return "", err
		}
		return p.bench(n)
	default:
		return "", fmt.Errorf("no command %q", word)
	}
}

func (p *peer) chain(seed string, key []byte, life time.Duration) (*identity.Chain, error) {
	now := time.Now()
	user := testsigner.Canister(p.net, now, identity.InternetIdentity(), []byte(seed))
	d, err := envelope.Delegate(user, envelope.Delegation{PublicKey: key, Expiration: uint64(now.Add(life).UnixNano())})
	return &identity.Chain{PublicKey: user.DER, Delegations: []envelope.SignedDelegation{d}}, err
}

func (p *peer) verify(v *identity.Verifier, logIn []byte) string {
	l, err := identity.ParseLogIn(logIn)
	if err == nil {
		var user *identity.User
		if user, err = v.Verify(l, browser, time.Now()); err == nil {
			return user.Principal.String()
		}
	}
	var r *identity.Refusal
	if !errors.As(err, &r) {
		log.Fatal(err)
	}
	return "refused " + r.Check.String()
}

func (p *peer) bench(n int) (string, error) {
	seed := make([]byte, ed25519.SeedSize)
	session, err := envelope.NewEd25519(seed)
	if err != nil {
		return "", err
	}
	var cold, warm time.Duration
	for i := range n {
		c, err := p.chain(fmt.Sprint("bench", i), session.PublicKey(), time.Hour)
		if err != nil {
			return "", err
		}
		for v, spent := range map[*identity.Verifier]*time.Duration{p.v: &warm, p.verifier(): &cold} {
			challenge := v.Challenge(browser, time.Now())
			sig, err := session.Sign(identity.Message(challenge, origin))
			if err != nil {
				return "", err
			}
			body := fmt.Appendf(nil, `{"challenge":"%x","chain":%s,"signature":"%x"}`, challenge, c.JSON(), sig)
			began := processorTime()
			if got := p.verify(v, body); strings.HasPrefix(got, "refused") {
				return "", errors.New(got)
			}
			*spent += processorTime() - began
		}
	}
	each := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(n) }
	return fmt.Sprintf(`{"cold": %.3f, "warm": %.3f}`, each(cold), each(warm)), nil
}

// processorTime is what this process has used of it, whatever else runs.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
