package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
)

// Bounds of delegations (Internet Identity specification, "Identity design and data model").
const (
	defaultSession = 30 * minute
	maxSession     = 30 * day
	maxFrontend    = 255 // bytes of an origin
	// accountSeed stands where a seed has the anchor's number, for accounts whose number
	// follows: it is no number, so that none of their seeds is an anchor's.
	accountSeed = "<account>"
	// legacyDomain is where canisters were found first. Users keep their principals
	// when they come by the newer one.
	legacyDomain = ".ic0.app"
	newerDomain  = ".icp0.io"
)

// frontend is an origin as seeds have it: checked, and https://NAME.icp0.io, where
// NAME may end in .raw, rewritten.
func frontend(origin string) (string, error) {
	if len(origin) > maxFrontend {
		return "", fmt.Errorf("frontend hostname %d exceeds the limit of %d bytes", len(origin), maxFrontend)
	}
	host, isHTTPS := strings.CutPrefix(origin, "https://")
	canister, isNewer := strings.CutSuffix(host, newerDomain)
	if isHTTPS && isNewer && isLabel(strings.TrimSuffix(canister, ".raw")) {
		return "https://" + canister + legacyDomain, nil
	}
	return origin, nil
}

func isLabel(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != ""
}

// anchorSeed is the seed of an anchor's principal at an origin.
func (s *store) anchorSeed(number uint64, origin string) [32]byte {
	return hash(s.salt[:], strconv.AppendUint(nil, number, 10), []byte(origin))
}

// accountSeed is the seed of an added account's principal. It has no anchor in it.
func (s *store) accountSeed(number uint64, origin string) [32]byte {
	return hash(s.salt[:], []byte(accountSeed), strconv.AppendUint(nil, number, 10), []byte(origin))
}

// userKey is the public key, DER, of which signatures with the seed are the canister's
// (interface specification, "Canister signatures").
func (s *store) userKey(seed [32]byte) []byte {
	id := s.self.Bytes()
	bits := append(append([]byte{0, byte(len(id))}, id...), seed[:]...)
	key := []byte{tagSequence, byte(2 + len(algorithmCanister) + 2 + len(bits)), tagSequence, byte(len(algorithmCanister))}
	key = append(key, algorithmCanister...)
	return append(append(key, tagBitString, byte(len(bits))), bits...)
}

// signature is a signature that can be fetched until it expires.
type signature struct {
	seed, message [32]byte // hashes of both
	anchor        uint64
	expires       uint64
}

// signatures are what the canister signed in the last minute: a tree of the hashes of
// messages below those of seeds, whose root is certified.
type signatures struct {
	tree   hashtree.Tree
	queue  []signature // in the order in which they expire
	signed map[uint64]int
}

const (
	signatureLife = minute
	// maxSignatures bounds the tree, maxPerAnchor one identity's part of it.
	maxSignatures = 20_000
	maxPerAnchor  = 100
	// pruneAtOnce bounds what one message removes, so that none pays for all that expired
	// before it. It is more than a message adds.
	pruneAtOnce = 4

	sigLabel = "sig"
)

func newSignatures() signatures {
	return signatures{tree: hashtree.Empty{}, signed: map[uint64]int{}}
}

var errBusy = errors.New("too many delegations were prepared in the last minute, try again later")

// prune removes what expired.
func (s *signatures) prune(now uint64) {
	for range pruneAtOnce {
		if len(s.queue) == 0 || s.queue[0].expires > now {
			return
		}
		first := s.queue[0]
		s.queue = s.queue[1:]
		if s.signed[first.anchor]--; s.signed[first.anchor] == 0 {
			delete(s.signed, first.anchor)
		}
		s.tree = at(s.tree, 0, first.seed, func(below hashtree.Tree) hashtree.Tree {
			return at(below, 0, first.message, func(hashtree.Tree) hashtree.Tree { return hashtree.Empty{} })
		})
	}
}

// sign signs a message for an anchor.
func (s *signatures) sign(number uint64, seed [32]byte, message []byte, now uint64) error {
	s.prune(now)
	g := signature{plainHash(seed[:]), plainHash(message), number, now + signatureLife}
	if _, status := hashtree.Lookup(s.tree, g.seed[:], g.message[:]); status == hashtree.Found {
		return nil
	}
	if len(s.queue) >= maxSignatures || s.signed[number] >= maxPerAnchor {
		return errBusy
	}
	s.queue = append(s.queue, g)
	s.signed[number]++
	s.tree = at(s.tree, 0, g.seed, func(below hashtree.Tree) hashtree.Tree {
		return at(below, 0, g.message, func(hashtree.Tree) hashtree.Tree { return hashtree.Leaf{} })
	})
	return nil
}

// at changes what is at a label. The labels are hashes, so the tree forks by their bits
// and stays as deep as it must. Forks are not changed but made anew, which keeps the
// hashes of all others.
func at(t hashtree.Tree, depth int, label [32]byte, change func(hashtree.Tree) hashtree.Tree) hashtree.Tree {
	switch t := t.(type) {
	case hashtree.Empty:
		return labeled(label, change(t))
	case *hashtree.Labeled:
		if [32]byte(t.Label) == label {
			return labeled(label, change(t.Sub))
		}
		f := &hashtree.Fork{Left: t, Right: hashtree.Empty{}}
		if bit([32]byte(t.Label), depth) == 1 {
			f = &hashtree.Fork{Left: hashtree.Empty{}, Right: t}
		}
		return at(f, depth, label, change)
	case *hashtree.Fork:
		l, r := t.Left, t.Right
		if bit(label, depth) == 0 {
			l = at(l, depth+1, label, change)
		} else {
			r = at(r, depth+1, label, change)
		}
		return forked(l, r)
	default:
		panic("a tree of signatures has a node that is neither a fork nor a label")
	}
}

// forked joins two sides. One label alone needs no fork.
func forked(l, r hashtree.Tree) hashtree.Tree {
	_, noLeft := l.(hashtree.Empty)
	_, noRight := r.(hashtree.Empty)
	_, oneLeft := l.(*hashtree.Labeled)
	_, oneRight := r.(*hashtree.Labeled)
	switch {
	case noLeft && (noRight || oneRight):
		return r
	case noRight && oneLeft:
		return l
	}
	return &hashtree.Fork{Left: l, Right: r}
}

func labeled(label [32]byte, sub hashtree.Tree) hashtree.Tree {
	if _, none := sub.(hashtree.Empty); none {
		return sub
	}
	return &hashtree.Labeled{Label: label[:], Sub: sub}
}

func bit(label [32]byte, i int) byte { return label[i/8] >> (7 - i%8) & 1 }

// tree is what the canister certifies: what it serves and what it signed.
func (s *store) tree() *hashtree.Fork {
	return &hashtree.Fork{Left: s.site.tree(), Right: &hashtree.Labeled{Label: []byte(sigLabel), Sub: s.signatures.tree}}
}

// root is the hash of tree.
func (s *store) root() [32]byte { return s.tree().Hash() }

// signatureOf is the canister's signature of a message, CBOR, or nil if there is none.
// One that expired is there until the next ones have it removed: what it says is as true
// as it was.
func (s *store) signatureOf(seed [32]byte, message, certificate []byte) []byte {
	a, b := plainHash(seed[:]), plainHash(message)
	if _, status := hashtree.Lookup(s.signatures.tree, a[:], b[:]); status != hashtree.Found || certificate == nil {
		return nil
	}
	witness := hashtree.Witness(s.tree(), []hashtree.Path{{[]byte(sigLabel), a[:], b[:]}})
	out := cbor.AppendMap(cbor.AppendSelfDescribe(nil), 2)
	out = cbor.AppendBytes(cbor.AppendText(out, "certificate"), certificate)
	return hashtree.Append(cbor.AppendText(out, "tree"), hideEmpty(witness))
}

// hideEmpty replaces the empty sides of forks by their hash, which leaves the root as it
// is. Agents in Rust, and so icp-cli, take an empty left side for the end of a search and do
// not find what is to the right of it (ic-certification, lookup_label).
func hideEmpty(t hashtree.Tree) hashtree.Tree {
	switch t := t.(type) {
	case hashtree.Empty:
		return hashtree.Pruned(t.Hash())
	case *hashtree.Fork:
		return &hashtree.Fork{Left: hideEmpty(t.Left), Right: hideEmpty(t.Right)}
	case *hashtree.Labeled:
		return &hashtree.Labeled{Label: t.Label, Sub: hideEmpty(t.Sub)}
	default:
		return t
	}
}

// message is what is signed of a delegation.
func (d *delegation) message() []byte {
	e := envelope.Delegation{PublicKey: d.PubKey, Expiration: d.Expiration}
	if d.Permissions != nil {
		e.Permissions = *d.Permissions
	}
	return e.SignedBytes()
}

// newDelegation is a delegation to a session key, unrestricted unless p says otherwise.
func newDelegation(session []byte, expires uint64, p *permissions) delegation {
	d := delegation{PubKey: session, Expiration: expires}
	if p != nil && p.Queries {
		only := "queries"
		d.Permissions = &only
	}
	return d
}

// delegate signs a delegation from a seed's principal to a session key, and tells when
// it expires.
func (s *store) delegate(number uint64, seed [32]byte, session []byte, ttl *uint64, p *permissions, now uint64) (preparedDelegation, error) {
	if len(session) > maxSessionKey {
		return preparedDelegation{}, fmt.Errorf("a session key has at most %d bytes, not %d", maxSessionKey, len(session))
	}
	if err := checkKey(session); err != nil {
		return preparedDelegation{}, fmt.Errorf("the session key: %w", err)
	}
	life := defaultSession
	if ttl != nil {
		life = min(*ttl, maxSession)
	}
	d := newDelegation(session, now+life, p)
	if err := s.signatures.sign(number, seed, d.message(), now); err != nil {
		return preparedDelegation{}, err
	}
	return preparedDelegation{UserKey: s.userKey(seed), Expiration: d.Expiration}, nil
}

// delegated is a delegation that was signed, or nil.
func (s *store) delegated(seed [32]byte, d delegation, certificate []byte) *signedDelegation {
	sig := s.signatureOf(seed, d.message(), certificate)
	if sig == nil {
		return nil
	}
	return &signedDelegation{d, sig}
}
