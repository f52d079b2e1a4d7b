// Package identity lets web servers that are not on the Internet Computer accept
// log-ins with Internet Identity. They ask nobody: a log-in is a chain of
// delegations that a canister signed, and the network's root key tells whether it is
// genuine (interface specification, "Canister signatures"; Internet Identity
// specification, "Client authentication protocol").
//
// A Verifier issues challenges and checks log-ins; who has sessions already needs no
// more. A Server adds them, and handlers. In a page, with the npm packages of the
// Internet Computer, a log-in is
//
//	const identity = await authClient.signIn();            // a DelegationIdentity
//	const challenge = …                                    // POST to ChallengePath
//	const chain = identity.getDelegation().toJSON();
//	const signature = await identity.sign(message);        // the bytes that Message gives
//	…                                                      // POST to LogInPath
//
// A verified log-in proves that whoever has the session key in this browser signed this
// server's challenge just now, and that Internet Identity let that key sign for the
// principal. Who logged in at this server's pages has the principal of this origin and of
// nowhere else. Nothing in a chain tells the origin, though: another site can bring its own
// visitors here, as users with principals that nobody else has. No answer of
// a server and no replica is believed. Delegations cannot be withdrawn: until the
// earliest of a chain expires, its session key may log in again.
//
// Whoever can write to the server's configuration decides whom it believes: the root key
// is the one secret-free thing that must come from a trusted place. In example is a
// server to read and copy.
package identity

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"portico/lightclient/bls"
	"portico/lightclient/certificate"
	"portico/lightclient/principal"
	"portico/lightclient/signature"
)

// Config makes a Verifier.
type Config struct {
	// RootKey is the network's public key, DER, 133 bytes.
	RootKey []byte
	// Origin is the server's own as browsers spell it, such as "https://dapp.example":
	// what is signed for another is refused. It must be https, except at localhost.
	Origin string
	// Canisters may sign for users. Nil is Internet Identity alone.
	Canisters []principal.ID
	// PlainKeys accepts also users who sign with a key of their own, with or without
	// delegations: programs, for example. Their principals are not bound to an origin.
	PlainKeys bool
	// Targets are the canisters that this server acts for. Chains whose delegations
	// are restricted to targets are refused, unless all of these are among them; with
	// none here, all such chains are refused.
	Targets []principal.ID
}

// InternetIdentity is the canister that Internet Identity has on every network.
func InternetIdentity() principal.ID { return principal.Canister(7) }

// A Verifier issues challenges and checks log-ins. It may be used by many goroutines.
type Verifier struct {
	cfg        Config
	signatures *signature.Verifier
	challenges *challenges
}

// rememberedSignatures bounds how many verified signatures a Verifier remembers: a
// person who logs in again with the same delegation costs no pairing.
const rememberedSignatures = 10_000

// New makes a Verifier. It fails on a root key that is none and on an origin that
// could not be one of a server that people may trust with their log-in.
func New(cfg Config) (*Verifier, error) {
	key, err := bls.FromDER(cfg.RootKey)
	if err != nil {
		return nil, fmt.Errorf("identity: root key: %w", err)
	}
	if err := checkOrigin(cfg.Origin); err != nil {
		return nil, fmt.Errorf("identity: origin %q: %w", cfg.Origin, err)
	}
	if cfg.Canisters == nil {
		cfg.Canisters = []principal.ID{InternetIdentity()}
	}
	verifier := bls.NewVerifier()
	verifier.Prepare(key)
	return &Verifier{
		cfg: cfg,
		signatures: signature.New(signature.Config{
			Certificates: &certificate.Verifier{RootKey: cfg.RootKey, BLS: verifier.Verify},
			CacheEntries: rememberedSignatures,
		}),
		challenges: newChallenges(cfg.Origin),
	}, nil
}

// maxOriginBytes bounds what stands at the end of every signed message.
const maxOriginBytes = 300

func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	switch {
	case err != nil:
		return err
	case len(origin) > maxOriginBytes:
		return fmt.Errorf("has %d bytes, at most %d are allowed", len(origin), maxOriginBytes)
	case u.Host == "" || origin != strings.ToLower(u.Scheme+"://"+u.Host):
		return errors.New("want a scheme and a host in lower case and nothing else, such as https://dapp.example")
	case u.Scheme == "http" && !local(u.Hostname()):
		return errors.New("want https: over http, whoever is on the way could take the session")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("want https")
	case u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80":
		return errors.New("browsers leave out the port that the scheme implies")
	}
	return nil
}

// local reports whether a host is this machine by its name, as browsers see it.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip.IsLoopback()
}

// A User is who logged in.
type User struct {
	// Principal is the user's at this origin.
	Principal principal.ID
	// Expires is when the first of the delegations does; no session should outlast
	// it. It is far ahead for a key without delegations.
	Expires time.Time
}

// Challenge makes a challenge for a browser, to be signed within ChallengeLifetime.
// The browser is named by a value that it alone has, such as that of a cookie, so that
// nobody can have another's browser log in. Challenges take no memory.
func (v *Verifier) Challenge(browser string, now time.Time) []byte {
	return v.challenges.issue(browser, now)
}

// Verify checks a log-in by a browser at the time now, and uses its challenge up if
// everything is right. The errors are *Refusal.
func (v *Verifier) Verify(l *LogIn, browser string, now time.Time) (*User, error) {
	if err := v.challenges.check(l.Challenge, browser, now); err != nil {
		return nil, err
	}
	chain := &l.Chain
	terms, err := v.read(chain, now)
	if err != nil {
		return nil, err
	}
	if err := v.signatures.VerifyChain(chain.PublicKey, chain.Delegations); err != nil {
		return nil, &Refusal{ChainSignature, err}
	}
	if err := v.signatures.VerifyAs("log-in", terms.Key, Message(l.Challenge, v.cfg.Origin), l.Signature); err != nil {
		return nil, &Refusal{SessionSignature, err}
	}
	// Only now, so that nobody without a genuine chain can fill the memory of used ones.
	if err := v.challenges.use(l.Challenge, now); err != nil {
		return nil, err
	}
	expires := time.Unix(0, int64(min(terms.Expiration, math.MaxInt64))).UTC()
	return &User{principal.SelfAuthenticating(chain.PublicKey), expires}, nil
}

// read checks what a chain says, before any signature.
func (v *Verifier) read(c *Chain, now time.Time) (*signature.Terms, error) {
	if err := v.checkSigners(c); err != nil {
		return nil, err
	}
	terms, err := signature.ReadChain(c.PublicKey, c.Delegations, now)
	if err != nil {
		check := Delegations
		var d *signature.DelegationError
		if errors.As(err, &d) && d.Expired {
			check = Expired
		}
		return nil, &Refusal{check, err}
	}
	if terms.QueriesOnly > 0 {
		return nil, &Refusal{Permissions, fmt.Errorf("delegation %d allows queries only, and a session may do more", terms.QueriesOnly)}
	}
	if err := v.checkTargets(terms); err != nil {
		return nil, &Refusal{Targets, err}
	}
	return terms, nil
}

// checkSigners refuses chains by whom the server does not trust: a canister that signs
// anywhere in the chain could sign for whoever it likes.
func (v *Verifier) checkSigners(c *Chain) error {
	key, err := signature.ParseKey(c.PublicKey)
	switch {
	case err != nil:
		return &Refusal{Form, fmt.Errorf("publicKey: %w", err)}
	case v.cfg.PlainKeys:
	case key.Scheme != signature.CanisterSignature:
		return &Refusal{PlainKey, fmt.Errorf("the user's key is of scheme %s: this server accepts only those of canisters", key.Scheme)}
	case len(c.Delegations) == 0:
		return &Refusal{PlainKey, errors.New("there is no delegation: this server accepts only keys that a canister delegated to")}
	}
	if err := v.checkSigner(key); err != nil {
		return err
	}
	for i := range c.Delegations {
		key, err := signature.ParseKey(c.Delegations[i].Delegation.PublicKey)
		if err != nil {
			return &Refusal{Form, fmt.Errorf("delegation %d: pubkey: %w", i+1, err)}
		}
		if err := v.checkSigner(key); err != nil {
			return err
		}
	}
	return nil
}

func (v *Verifier) checkSigner(key *signature.PublicKey) error {
	if key.Scheme == signature.CanisterSignature && !slices.Contains(v.cfg.Canisters, key.Signer) {
		return &Refusal{Signer, fmt.Errorf("canister %s signs in this chain; this server trusts %v", key.Signer, v.cfg.Canisters)}
	}
	return nil
}

func (v *Verifier) checkTargets(terms *signature.Terms) error {
	if !terms.Restricted() {
		return nil
	}
	if len(v.cfg.Targets) == 0 {
		return errors.New("the delegations are restricted to canisters, and this server acts for none")
	}
	for _, id := range v.cfg.Targets {
		if !terms.MayReach(id) {
			return fmt.Errorf("the delegations do not allow canister %s, which this server acts for", id)
		}
	}
	return nil
}
