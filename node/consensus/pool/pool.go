// Package pool keeps a node's artifacts on disk: an artifact.Store in one bbolt file.
//
// Artifacts of one height are written, rewritten and purged together, so keys begin
// with the height: a change touches the few pages at the end of the file's tree however
// many kinds it has. Since bbolt rewrites all values of a page when one of them
// changes, a value of more than largeBytes has a bucket, and with it pages, of its own.
package pool

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"portico/node/artifact"
	"portico/node/types"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Store is open on one file, which no other process may use. Load and Apply run one
// after the other.
type Store struct {
	db *bbolt.DB
	// purged says below which height nothing of a kind is left.
	purged  [artifact.Kinds]types.Height
	applied atomic.Uint64
}

const (
	bucketName  = "artifacts"
	lockTimeout = 2 * time.Second
	keyBytes    = 8 + 1 + sha256.Size
	// largeBytes is a quarter of a page: from there on bbolt never puts a bucket into
	// its parent's page.
	largeBytes = 1024
	// fillPercent is how full bbolt leaves a page that it splits. Hardly anything
	// is put between older keys.
	fillPercent = 0.9
)

// value is the key of the one value of a bucket for a large artifact.
const value = "v"

// Open opens the store at a path and makes it if there is none.
func Open(path string) (*Store, error) {
	if err := check(path); err != nil {
		return nil, err
	}
	// The list of free pages is found again when the file is opened, instead of being
	// written with each change.
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, NoFreelistSync: true})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s is in use by another replica", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte(bucketName))
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return &Store{db: db}, nil
}

// check walks over a file's pages: what bbolt says of a damaged one is a panic, and when it
// looks for free pages, one on a goroutine that nobody can recover.
func check(path string) (err error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%s is in use by another replica", path)
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("%s is damaged: %v", path, e)
		}
		err = errors.Join(err, db.Close())
	}()
	return db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error { return walk(b) })
	})
}

func walk(b *bbolt.Bucket) error {
	return b.ForEach(func(k, v []byte) error {
		if v != nil {
			return nil
		}
		return walk(b.Bucket(k))
	})
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Applied counts the transactions since Open. Each waits for the disk twice: for its
// pages, and for the page that makes them count.
func (s *Store) Applied() uint64 { return s.applied.Load() }

// Load implements artifact.Store. An artifact whose content is not what its id says, and a
// file that cannot be read, are errors that name the file; proposals are known by the
// hash of a part of their encoding, which is for yield to check. An error of yield is
// returned with the file and the id.
func (s *Store) Load(yield func(artifact.Item) error) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucketName))
		for kind := artifact.Kind(1); kind < artifact.Kinds; kind++ {
			err := each(b, kind, 0, ^types.Height(0), func(id artifact.ID, k, v []byte) error {
				item, err := s.item(b, id, k, v)
				if err != nil {
					return err
				}
				if err := yield(item); err != nil {
					return fmt.Errorf("%s: %s: %w", s.db.Path(), id, err)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// item is a stored artifact, checked as far as its id allows.
func (s *Store) item(b *bbolt.Bucket, id artifact.ID, k, v []byte) (artifact.Item, error) {
	if v == nil {
		v = b.Bucket(k).Get([]byte(value))
	}
	item := artifact.Item{ID: id, Encoded: bytes.Clone(v)}
	if id.Kind != artifact.Proposal {
		if got := sha256.Sum256(v); got != id.Hash {
			return item, fmt.Errorf("%s: %s has content with hash %x: the file is damaged", s.db.Path(), id, got)
		}
	}
	return item, nil
}

// Newest is the greatest height of the artifacts of a kind, 0 if there are none.
func (s *Store) Newest(kind artifact.Kind) (h types.Height, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		return each(tx.Bucket([]byte(bucketName)), kind, 0, ^types.Height(0), func(id artifact.ID, _, _ []byte) error {
			h = id.Height
			return nil
		})
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.db.Path(), err)
	}
	return h, nil
}

// Apply implements artifact.Store.
func (s *Store) Apply(c artifact.Change) error {
	purged := s.purged
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucketName))
		b.FillPercent = fillPercent
		for _, p := range c.Purge {
			if err := purge(b, p, purged[p.Kind]); err != nil {
				return err
			}
			purged[p.Kind] = max(purged[p.Kind], p.Below)
		}
		for _, item := range c.Put {
			if err := put(b, item); err != nil {
				return fmt.Errorf("%s: %w", item.ID, err)
			}
			purged[item.ID.Kind] = min(purged[item.ID.Kind], item.ID.Height)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", s.db.Path(), err)
	}
	s.purged = purged
	s.applied.Add(1)
	return nil
}

func put(b *bbolt.Bucket, item artifact.Item) error {
	k := key(item.ID)
	if len(item.Encoded) <= largeBytes {
		return b.Put(k, item.Encoded)
	}
	own, err := b.CreateBucketIfNotExists(k)
	if err != nil {
		return err
	}
	return own.Put([]byte(value), item.Encoded)
}

func purge(b *bbolt.Bucket, p artifact.Purge, from types.Height) error {
	var small, large [][]byte
	err := each(b, p.Kind, from, p.Below, func(_ artifact.ID, k, v []byte) error {
		if v == nil {
			large = append(large, bytes.Clone(k))
		} else {
			small = append(small, bytes.Clone(k))
		}
		return nil
	})
	for _, k := range small {
		err = errors.Join(err, b.Delete(k))
	}
	for _, k := range large {
		err = errors.Join(err, b.DeleteBucket(k))
	}
	return err
}

// key is [height, kind, hash], the numbers with their high byte first.
func key(id artifact.ID) []byte {
	k := append(make([]byte, 0, keyBytes), start(id.Height, id.Kind)...)
	return append(k, id.Hash[:]...)
}

// start is the beginning of the keys of a height and kind.
func start(h types.Height, k artifact.Kind) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(h)), byte(k))
}

func parseKey(k []byte) (artifact.ID, error) {
	if len(k) != keyBytes || k[8] == 0 || k[8] >= byte(artifact.Kinds) {
		return artifact.ID{}, fmt.Errorf("there is no artifact with key %x: the file is damaged", k)
	}
	return artifact.ID{Height: types.Height(binary.BigEndian.Uint64(k)), Kind: artifact.Kind(k[8]), Hash: types.Hash(k[9:])}, nil
}

// each calls do for the artifacts of a kind from one height to below another, in order. The
// value of a large one is nil. It skips from height to height over other kinds.
func each(b *bbolt.Bucket, kind artifact.Kind, from, below types.Height, do func(id artifact.ID, k, v []byte) error) error {
	c := b.Cursor()
	k, v := c.Seek(start(from, kind))
	for k != nil {
		id, err := parseKey(k)
		switch {
		case err != nil:
			return err
		case id.Height >= below:
			return nil
		case id.Kind < kind:
			k, v = c.Seek(start(id.Height, kind))
		case id.Kind > kind:
			k, v = c.Seek(start(id.Height+1, kind))
		default:
			if err := do(id, k, v); err != nil {
				return err
			}
			k, v = c.Next()
		}
	}
	return nil
}
