package certificate

// A cache has two generations. When the young one is full it becomes the old one,
// whose entries are forgotten unless they are used again in time. It is not safe
// for concurrent use; its zero value is empty.
type cache[V any] struct {
	young, old map[string]V
	bytes      int // of the keys of the young generation
}

// get returns the value of a key and makes it young.
func (c *cache[V]) get(key []byte, limit int) (v V, ok bool) {
	if v, ok = c.young[string(key)]; ok {
		return v, true
	}
	if v, ok = c.old[string(key)]; ok {
		c.put(key, v, limit)
	}
	return v, ok
}

// put keeps v unless its key alone would take much of limit, which bounds the
// bytes of the keys in a generation.
func (c *cache[V]) put(key []byte, v V, limit int) {
	if len(key) > limit/4 {
		return
	}
	if c.bytes+len(key) > limit || c.young == nil {
		c.old, c.young, c.bytes = c.young, map[string]V{}, 0
	}
	if _, ok := c.young[string(key)]; !ok {
		c.bytes += len(key)
	}
	c.young[string(key)] = v
}

// all are the values of both generations.
func (c *cache[V]) all() []V {
	var out []V
	for _, v := range c.young {
		out = append(out, v)
	}
	for key, v := range c.old {
		if _, ok := c.young[key]; !ok {
			out = append(out, v)
		}
	}
	return out
}
