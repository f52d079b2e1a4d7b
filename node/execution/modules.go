package execution

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"

	"portico/node/state"
	"portico/node/types"
	"portico/node/wasm"

	"github.com/klauspost/compress/gzip"
)

// modules are compiled modules: those in use, and some that were used a short time ago. The
// others are compiled again when they are used, mostly from the engine's cache.
type modules struct {
	mu     sync.Mutex
	most   uint64 // bytes of Wasm in unused
	all    map[types.Hash]*compiled
	unused list.List // of *compiled: the most recently used first
	bytes  uint64    // of Wasm in unused
}

// compiled is a module; done is closed when module or err is set, once and for all.
type compiled struct {
	hash     types.Hash
	uploaded []byte
	done     chan struct{}
	module   *wasm.Module
	weight   uint64
	err      error

	// What follows is guarded by modules.mu.
	users int
	at    *list.Element // of modules.unused; nil while there are users
}

// moduleOverhead is what the smallest compiled module takes, as if it were Wasm.
const moduleOverhead = 32 * types.KiB

// Compile prepares a module as uploaded, raw or gzip, so that installing it soon takes
// no time in a round. It is safe to call at any time.
func (x *Executor) Compile(uploaded []byte) error {
	c, err := x.compile(sha256.Sum256(uploaded), uploaded)
	if err == nil {
		x.modules.leave(c)
	}
	return err
}

// compile returns a module that stays compiled until the caller leaves it.
func (x *Executor) compile(hash types.Hash, uploaded []byte) (*compiled, error) {
	m := &x.modules
	m.mu.Lock()
	c := m.all[hash]
	if c != nil {
		m.enter(c)
		m.mu.Unlock()
		<-c.done
		return c, c.err
	}
	c = &compiled{hash: hash, uploaded: uploaded, done: make(chan struct{}), users: 1}
	m.all[hash] = c
	m.mu.Unlock()
	defer close(c.done)
	raw, err := Decompress(uploaded)
	if err == nil {
		c.module, err = x.deps.Engine.Compile(context.Background(), raw)
	}
	c.weight = uint64(len(raw)) + moduleOverhead
	if c.err = err; err != nil {
		// a refused module is not worth remembering
		m.mu.Lock()
		delete(m.all, hash)
		m.mu.Unlock()
	}
	return c, c.err
}

// enter adds a user of a module. The caller holds the lock.
func (m *modules) enter(c *compiled) {
	c.users++
	if c.at != nil {
		m.unused.Remove(c.at)
		m.bytes -= c.weight
		c.at = nil
	}
}

// share adds a user of a module that has one.
func (m *modules) share(c *compiled) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.enter(c)
}

// leave ends a use of a module, and closes those that were not used for the longest time if
// there are too many.
func (m *modules) leave(c *compiled) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.users--; c.users > 0 {
		return
	}
	c.at = m.unused.PushFront(c)
	for m.bytes += c.weight; m.bytes > m.most; {
		old := m.unused.Remove(m.unused.Back()).(*compiled)
		m.bytes -= old.weight
		delete(m.all, old.hash)
		// It fails only if its code was never compiled.
		_ = old.module.Close()
	}
}

// gzipMagic begins a gzip file.
const gzipMagic = "\x1f\x8b\x08"

// Decompress returns the raw Wasm of a module as uploaded.
func Decompress(uploaded []byte) ([]byte, error) {
	if !bytes.HasPrefix(uploaded, []byte(gzipMagic)) {
		if len(uploaded) > maxModuleBytes {
			return nil, &wasm.Invalid{Reason: fmt.Sprintf("the module of %d bytes is larger than %d", len(uploaded), maxModuleBytes)}
		}
		return uploaded, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(uploaded))
	if err != nil {
		return nil, &wasm.Invalid{Reason: "the module is not valid gzip: " + err.Error()}
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxModuleBytes+1))
	switch {
	case err != nil:
		return nil, &wasm.Invalid{Reason: "the module is not valid gzip: " + err.Error()}
	case len(raw) > maxModuleBytes:
		return nil, &wasm.Invalid{Reason: fmt.Sprintf("the decompressed module is larger than %d bytes", maxModuleBytes)}
	}
	return raw, nil
}

// code returns a canister's module, which compiled when it was installed; it stays compiled until
// the caller leaves it.
func (x *Executor) code(id types.CanisterID, code *state.Code) *compiled {
	c, err := x.compile(code.ModuleHash, code.Module)
	must(id, err)
	return c
}

// Module returns a canister's module for its Info. Instances are made of what code returns: this
// one may be closed at any time.
func (x *Executor) Module(id types.CanisterID, code *state.Code) *wasm.Module {
	c := x.code(id, code)
	x.modules.leave(c)
	return c.module
}
