package signature

import (
	"crypto/sha256"
	"sync"
)

// A cache remembers digests in two generations: when the young one is full, the
// old one is forgotten and the young one becomes old.
type cache struct {
	mu         sync.Mutex
	limit      int // of one generation
	young, old map[[sha256.Size]byte]struct{}
}

func newCache(entries int) *cache {
	return &cache{limit: entries / 2, young: map[[sha256.Size]byte]struct{}{}}
}

func (c *cache) has(id [sha256.Size]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.young[id]; ok {
		return true
	}
	if _, ok := c.old[id]; !ok {
		return false
	}
	c.put(id)
	return true
}

func (c *cache) add(id [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(id)
}

func (c *cache) put(id [sha256.Size]byte) {
	if c.limit == 0 {
		return
	}
	if len(c.young) >= c.limit {
		c.old, c.young = c.young, make(map[[sha256.Size]byte]struct{}, c.limit)
	}
	c.young[id] = struct{}{}
}
