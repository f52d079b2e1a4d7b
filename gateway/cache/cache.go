// Package cache keeps verified answers of canisters and hands them out again
// (RFC 9111, for a cache that is shared), asks once where many want the same at
// once, and makes of an answer what a request wants of it: nothing new (304), a
// range (206), another content encoding.
//
// Only what a canister certified is kept: its answer holds for whoever asks,
// except where its `vary` header or its certification names headers of the
// request; then it holds for requests with the same values. Answers that a node
// merely signed, answers to calls, answers with cookies, and what `cache-control`
// keeps from shared caches go to the one who asked and to nobody else.
package cache

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"portico/lightclient"
	"portico/lightclient/principal"
)

// Config bounds a Cache. The zero value keeps nothing, but still asks once for
// what many want at once.
type Config struct {
	// Bytes bounds the answers that are kept: bodies, headers and keys.
	Bytes uint64
	// ItemBytes bounds a single body that is kept; 0 means 10 MiB. A quarter of Bytes is a
	// bound, too.
	ItemBytes int
	// HeldBytes bounds what all answers together hold in memory that come in parts
	// and must be whole before they leave; 0 means 256 MiB.
	HeldBytes int64
	// Lifetime is how long an answer is fresh that does not say so; 0 means 10 s.
	Lifetime time.Duration
	// StaleFor is how long after its certificate's time an answer may be given
	// while the network is away; 0 means never.
	StaleFor time.Duration
	// Now is the clock; nil: time.Now. Chance is uniform in [0, 1); nil: a random source.
	Now    func() time.Time
	Chance func() float64
}

const (
	defaultItemBytes = 10 << 20
	defaultHeldBytes = 256 << 20
	defaultLifetime  = 10 * time.Second
	// passFor is how long it is remembered that the answers at a place are nobody else's.
	passFor = 10 * time.Second
	// patience is how long somebody waits for a new answer who could have a stale one.
	patience = 3 * time.Second
	// retryAfter is how long nobody waits again after that was in vain.
	retryAfter = time.Second
	// flightLimit ends questions that get no answer: longer than any call takes.
	flightLimit = 5 * time.Minute
	// eagerness is how early the answers are renewed that are asked for often, in
	// units of the time that fetching them takes (beta of "Optimal Probabilistic
	// Cache Stampede Prevention", Vattani et al., 2015).
	eagerness = 3
)

// A Key is what an answer is kept under.
type Key struct {
	Canister principal.ID
	Host     string
	URL      string // path and query, as the canister gets them
	Range    string // the Range header, "" for the whole
	Accept   Accept
	// vary has the values of the headers that the answer depends on.
	vary string
}

// A Source asks a canister.
type Source interface {
	// Prepare makes a question of a request. The question may be asked after the
	// request has ended; hold is to be called before memory is taken for the
	// given number of bytes of an answer that comes in parts, and may refuse it.
	Prepare() func(ctx context.Context, hold func(bytes int) error) (*lightclient.HTTPResponse, error)
}

// Cache is safe for concurrent use.
type Cache struct {
	cfg    Config
	kept   *otter.Cache[Key, *slot] // nil: nothing is kept
	budget budget

	mu      sync.Mutex
	flights map[Key]*flight
	running sync.WaitGroup
	ctx     context.Context
	stop    context.CancelFunc
}

// A slot is what is known of a key: an entry, or that answers depend on the
// values of headers, or that they are nobody else's until a time.
type slot struct {
	entry     *Entry
	vary      []string
	passUntil time.Time
}

// New makes a cache.
func New(cfg Config) *Cache {
	if cfg.ItemBytes == 0 {
		cfg.ItemBytes = defaultItemBytes
	}
	cfg.ItemBytes = int(min(uint64(cfg.ItemBytes), cfg.Bytes/4))
	if cfg.HeldBytes == 0 {
		cfg.HeldBytes = defaultHeldBytes
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Chance == nil {
		cfg.Chance = rand.Float64
	}
	c := &Cache{cfg: cfg, budget: budget{limit: cfg.HeldBytes}, flights: map[Key]*flight{}}
	c.ctx, c.stop = context.WithCancel(context.Background())
	if cfg.Bytes > 0 {
		c.kept = otter.Must(&otter.Options[Key, *slot]{
			MaximumWeight: cfg.Bytes,
			Weigher:       weigh,
			// Eviction is short work, and done where it is caused nothing outlives its cause.
			Executor: func(work func()) { work() },
		})
	}
	return c
}

// Close ends what runs in the background, and waits for it.
func (c *Cache) Close() {
	c.stop()
	c.running.Wait()
}

// Bytes is how much is kept.
func (c *Cache) Bytes() uint64 {
	if c.kept == nil {
		return 0
	}
	c.kept.CleanUp()
	return c.kept.WeightedSize()
}

// slotBytes is what a key and its entry take besides their text, roughly.
const slotBytes = 512

func weigh(k Key, s *slot) uint32 {
	n := slotBytes + len(k.Host) + len(k.URL) + len(k.Range) + len(k.vary)
	for _, name := range s.vary {
		n += len(name)
	}
	if s.entry != nil {
		n += s.entry.bytes()
	}
	return uint32(n)
}

// An Answer is what Get returns. Done must be called once it was sent.
type Answer struct {
	Entry *Entry
	// Next is not nil if the entry's body is only the beginning: it returns the next
	// part, verified, and io.EOF after the last one.
	Next func(ctx context.Context) ([]byte, error)
	// Hit: it was kept; Age tells for how long. Stale: it is not fresh any more.
	Hit   bool
	Stale bool
	Age   time.Duration
	// SinceCertified is the age of the certificate, if the answer is stale.
	SinceCertified time.Duration

	flight *flight
}

// Done tells that the answer is not needed any more.
func (a *Answer) Done() {
	if a.flight != nil {
		a.flight.leave()
	}
}

// Get answers a request with what is kept, with what somebody else has just asked
// for, or by asking. header is the request's. Errors are those of the source.
func (c *Cache) Get(ctx context.Context, key Key, header http.Header, src Source) (Answer, error) {
	solo := len(header["Authorization"]) > 0
	if key.Range != "" {
		whole := key
		whole.Range = ""
		if s, _ := c.find(whole, header); s != nil && s.entry != nil && s.entry.ranges && c.cfg.Now().Before(s.entry.expires) {
			key = whole
		}
	}
	for attempt := 0; ; attempt++ {
		now := c.cfg.Now()
		s, k := c.find(key, header)
		var e *Entry
		switch {
		case s == nil:
		case s.entry == nil:
			solo = solo || now.Before(s.passUntil)
		case solo && !s.entry.public:
		default:
			e = s.entry
		}
		if e != nil && !asksAnew(header) {
			if a, ok := c.reuse(now, k, e, header, src); ok {
				return a, nil
			}
		}
		if solo || attempt > 1 {
			return c.alone(ctx, k, header, src)
		}
		f, first := c.join(k, header, src, e != nil && now.Before(e.keep))
		a, again, err := c.await(ctx, f, e, header, first)
		if again {
			solo = solo || !f.entry.shareable
			continue
		}
		return a, err
	}
}

// Kept reports whether Get would answer at once, with a body of at most maxBytes and
// without asking anybody.
func (c *Cache) Kept(key Key, header http.Header, maxBytes int) bool {
	if len(header["Authorization"]) > 0 || key.Range != "" || asksAnew(header) {
		return false
	}
	s, _ := c.find(key, header)
	return s != nil && s.entry != nil && len(s.entry.Body) <= maxBytes && c.cfg.Now().Before(s.entry.expires)
}

// asksAnew reports whether a person has forced a reload. Lesser wishes do not
// count, or whoever wants could make each request a question.
func asksAnew(header http.Header) bool {
	values := header["Cache-Control"]
	return len(values) > 0 && parseControl(values).noCache
}

// find looks a key up, with the values of the headers that answers depend on.
func (c *Cache) find(key Key, header http.Header) (*slot, Key) {
	if c.kept == nil {
		return nil, key
	}
	s, ok := c.kept.GetIfPresent(key)
	if ok && s.vary != nil {
		key.vary = valuesOf(header, s.vary)
		s, ok = c.kept.GetIfPresent(key)
	}
	if !ok {
		return nil, key
	}
	return s, key
}

// reuse answers with an entry that is fresh or may be given while it is renewed.
func (c *Cache) reuse(now time.Time, k Key, e *Entry, header http.Header, src Source) (Answer, bool) {
	a := Answer{Entry: e, Hit: true, Age: now.Sub(e.fetched)}
	switch {
	case now.Before(e.expires):
		if c.renewsEarly(now, e) {
			c.renew(k, header, src)
		}
	case now.Before(e.renewable):
		c.renew(k, header, src)
		a.Stale, a.SinceCertified = true, now.Sub(e.certified)
	case now.Before(e.keep) && now.UnixNano() < e.retryAt.Load():
		a.Stale, a.SinceCertified = true, now.Sub(e.certified)
	default:
		return Answer{}, false
	}
	return a, true
}

// stale is an answer with an entry that is not fresh any more.
func (c *Cache) stale(e *Entry) Answer {
	now := c.cfg.Now()
	return Answer{Entry: e, Hit: true, Stale: true, Age: now.Sub(e.fetched), SinceCertified: now.Sub(e.certified)}
}

// store keeps what a flight brought, for requests like the one that it was for.
func (c *Cache) store(f *flight) {
	e, k := f.entry, f.key
	if c.kept == nil {
		return
	}
	if !e.shareable {
		if _, taken := c.kept.GetIfPresent(k); !taken {
			c.kept.Set(k, &slot{passUntil: c.cfg.Now().Add(passFor)})
		}
		return
	}
	if !e.storable(c.cfg.ItemBytes) {
		return
	}
	if e.Status == http.StatusOK {
		k.Range = "" // the canister gave the whole all the same
	}
	if len(e.vary) > 0 {
		base := k
		base.vary = ""
		c.kept.Set(base, &slot{vary: e.vary})
		k.vary = valuesOf(f.header, e.vary)
	}
	c.kept.Set(k, &slot{entry: e})
}
