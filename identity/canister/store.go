package main

import (
	"errors"
	"fmt"

	"portico/identity/stable"
	"portico/lightclient/principal"
	"portico/node/cdk"
)

// The canister's stable memory: what it is, and its regions.
const (
	magic         = "portico identity"
	formatVersion = 1

	anchorRegion stable.Region = 1 // a slot for each anchor
	bucketRegion stable.Region = 2 // the buckets of the index
	blockRegion  stable.Region = 3 // blocks, see stable.Blocks
	entryRegion  stable.Region = 4 // slots for entries that the archive has not fetched yet
)

// Kinds of names in the index.
const (
	principalName  = 'p' // of a device's key: the anchor
	credentialName = 'c' // of a device: the anchor
	accountsName   = 'a' // of an anchor at an origin: the chain of the accounts there
)

// counters are the numbers in stable memory that change.
type counters struct {
	anchors  uint64 // allocated so far
	accounts uint64 // numbered so far
	entries  uint64 // of the index
	buckets  uint64 // of the index
	handed   uint64 // blocks
	freed    uint64 // the first block of the list of free ones, plus one
	salted   uint64 // 1 once the salt is set

	recorded     uint64 // entries for the archive
	acknowledged uint64 // of them, by the archive

	rates rates // of registrations
}

func (c *counters) fields() []*uint64 {
	out := []*uint64{&c.anchors, &c.accounts, &c.entries, &c.buckets, &c.handed, &c.freed, &c.salted, &c.recorded, &c.acknowledged}
	return append(append(out, c.rates.current.fields()...), c.rates.reference.fields()...)
}

// store is the canister's state. What is in regions and the header outlives upgrades;
// everything else is about the last minutes and may be lost: signatures not fetched
// yet, registrations under way, temporary keys.
type store struct {
	regions *stable.Regions
	counters
	written counters // as the header has them
	blocks  stable.Blocks
	index   stable.Index
	salt    [stable.SecretBytes]byte
	config  initArgs
	archive archive
	self    principal.ID

	signatures signatures
	site       site
	limiter    limiter
	challenges challenges
	flows      flows
	temporary  temporaryKeys
	pairings   pairings
}

// newStore is the state of a canister whose stable memory mem is; begin or load comes next.
func newStore(mem stable.Medium, self principal.ID) *store {
	s := &store{self: self, regions: stable.New(mem)}
	s.buckets = stable.FirstBuckets
	s.blocks = stable.Blocks{Regions: s.regions, Region: blockRegion, Handed: &s.handed, Freed: &s.freed}
	s.index = stable.Index{Regions: s.regions, Region: bucketRegion, Blocks: &s.blocks, Entries: &s.entries, Buckets: &s.buckets, Salt: &s.salt}
	s.signatures = newSignatures()
	s.challenges.open = map[string]puzzle{}
	s.flows.open = map[who]puzzle{}
	s.temporary.keys = map[who]temporaryKey{}
	s.pairings.open, s.pairings.ids = map[uint64]*pairing{}, map[string]uint64{}
	return s
}

// begin writes the header of a new canister.
func (s *store) begin() error {
	if err := s.regions.Begin(magic, formatVersion); err != nil {
		return err
	}
	return s.flush()
}

// whole traps if a step of a change failed, as when stable memory does not grow any more:
// what the steps before it wrote must not stay, and some messages answer what went wrong.
func whole(err error) {
	if err != nil {
		cdk.Trap(err.Error())
	}
}

// flush writes the counters if they changed.
func (s *store) flush() error {
	if s.counters == s.written {
		return nil
	}
	s.written = s.counters
	return s.regions.SetCounters(s.counters.fields())
}

// load reads what an earlier version of the code left.
func load(mem stable.Medium, self principal.ID) (*store, error) {
	s := newStore(mem, self)
	if err := s.regions.Open(magic, formatVersion); err != nil {
		return nil, err
	}
	var err error
	if s.salt, err = s.regions.Secret(); err != nil {
		return nil, err
	}
	if err := s.regions.Counters(s.counters.fields()); err != nil {
		return nil, err
	}
	s.written = s.counters
	if s.buckets == 0 {
		return nil, errors.New("stable memory says that the index has no buckets")
	}
	return s, s.loadConfig()
}

// setSalt sets the salt for good. Whoever comes second changes nothing.
func (s *store) setSalt(salt []byte) error {
	if s.salted != 0 {
		return errSalted
	}
	if len(salt) != stable.SecretBytes {
		return fmt.Errorf("the salt has %d bytes, not %d", stable.SecretBytes, len(salt))
	}
	copy(s.salt[:], salt)
	s.salted = 1
	return s.regions.SetSecret(s.salt)
}

var errSalted = errors.New("the salt is set already")

// unauthorized is a caller who did not prove to have a key of the anchor. An anchor
// that does not exist gives the same answer, so that guessing numbers tells nothing.
type unauthorized struct{ caller principal.ID }

func (e unauthorized) Error() string { return fmt.Sprintf("%s could not be authenticated.", e.caller) }

// authenticate reads an anchor for a caller with one of its keys: a device's, or for
// some minutes after a registration the key that it was made with. The error is an
// unauthorized or says what is broken.
func (s *store) authenticate(caller principal.ID, number, now uint64) (a *anchor, device int, err error) {
	a, err = s.anchor(number)
	if errors.Is(err, errNoAnchor) {
		return nil, 0, unauthorized{caller}
	}
	if err != nil {
		return nil, 0, err
	}
	if i := a.owner(caller); i >= 0 {
		return a, i, nil
	}
	if t, ok := s.temporary.get(caller, now); ok && t.anchor == number {
		if i := a.owner(t.device.principal()); i >= 0 {
			return a, i, nil
		}
	}
	return nil, 0, unauthorized{caller}
}

// usageGrain is how exactly the last use of a device is known: noting every use would
// store an anchor more often than anybody looks.
const usageGrain = minute

// open is authenticate for what changes the anchor: it notes when the device was used,
// for the caller to keep.
func (s *store) open(caller principal.ID, number, now uint64) (*anchor, error) {
	a, i, err := s.authenticate(caller, number, now)
	if err != nil {
		return nil, err
	}
	if d := &a.Devices[i]; d.LastUsage == nil || now-*d.LastUsage >= usageGrain {
		d.LastUsage = &now
		a.used = true
	}
	return a, nil
}

// use is open for what changes something else.
func (s *store) use(caller principal.ID, number, now uint64) (*anchor, error) {
	a, err := s.open(caller, number, now)
	if err != nil || !a.used {
		return a, err
	}
	return a, s.keep(a)
}

const (
	second = uint64(1_000_000_000)
	minute = 60 * second
	day    = 24 * 60 * minute
)

// who is a principal without a pointer: its length and its bytes. The collector does not
// look into maps of them, so that calls do not pay for how many there are.
type who [1 + principal.MaxLen]byte

func whoIs(id principal.ID) (w who) {
	w[0] = byte(id.Len())
	copy(w[1:], id.Raw())
	return w
}

func (w who) principal() principal.ID {
	id, err := principal.FromBytes(w[1 : 1+w[0]])
	if err != nil {
		panic(err) // made by whoIs
	}
	return id
}

// temporaryKey is a key that may act for an anchor as if it were one of its devices'.
type temporaryKey struct {
	anchor  uint64
	device  who // whose key it stands for
	expires uint64
}

// temporaryKeys let a page go on after a registration: it has made the passkey a moment
// ago, and asking for it at once a second time would be a nuisance.
type temporaryKeys struct {
	keys  map[who]temporaryKey
	queue []who // in the order in which they expire
}

const (
	temporaryLife = 10 * minute
	maxTemporary  = 10_000
)

func (t *temporaryKeys) get(caller principal.ID, now uint64) (temporaryKey, bool) {
	k, ok := t.keys[whoIs(caller)]
	return k, ok && now < k.expires
}

// add lets a caller act for an anchor. Up to two keys go that expired or are too many: as
// many as come would do, and no message pays for all that expired before it.
func (t *temporaryKeys) add(caller principal.ID, number uint64, pubkey []byte, now uint64) {
	added := whoIs(caller)
	t.queue = append(t.queue, added)
	t.keys[added] = temporaryKey{number, whoIs(principal.SelfAuthenticating(pubkey)), now + temporaryLife}
	for range 2 {
		first := t.queue[0]
		if len(t.queue) <= maxTemporary && t.keys[first].expires > now {
			return
		}
		t.queue = t.queue[1:]
		if first != added {
			delete(t.keys, first)
		}
	}
}

// hash is SHA-256 of some parts, each with its length in one byte before it, as seeds
// are made: parts of more than 255 bytes are a mistake of the caller's.
func hash(parts ...[]byte) [32]byte {
	h := cdk.NewSHA256()
	for _, p := range parts {
		h.Write([]byte{byte(len(p))})
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

// plainHash is SHA-256.
func plainHash(b []byte) [32]byte {
	h := cdk.NewSHA256()
	h.Write(b)
	return [32]byte(h.Sum(nil))
}
