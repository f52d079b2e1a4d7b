// Package pool keeps a node's consensus artifacts on disk: the blocks since the
// oldest checkpoint and the certifications of their states. A change set is one
// transaction, durable when the call returns.
package pool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"portico/lightclient/cbor"
	"portico/node/consensus"
	"portico/node/types"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Pool is open on one file, which no other process may use.
type Pool struct{ db *bbolt.DB }

const (
	blockBucket         = "blocks"
	certificationBucket = "certifications"
	lockTimeout         = 2 * time.Second
)

// Certification is the subnet's signature on the root hash of a height's state.
type Certification struct {
	Height    types.Height
	Root      types.Hash
	Signature []byte
}

// Open opens the pool at a path and makes it if there is none.
func Open(path string) (*Pool, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s is in use by another replica", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{blockBucket, certificationBucket} {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return &Pool{db}, nil
}

// Close closes the file.
func (p *Pool) Close() error { return p.db.Close() }

func key(h types.Height) []byte { return binary.BigEndian.AppendUint64(nil, uint64(h)) }

// Change is one change set: a new block, the certification of an earlier height,
// and the height below which everything is dropped.
type Change struct {
	Block         *consensus.Block
	Certification *Certification
	PurgeBelow    types.Height
}

// Apply applies a change set.
func (p *Pool) Apply(c Change) error {
	return p.db.Update(func(tx *bbolt.Tx) error {
		blocks, certs := tx.Bucket([]byte(blockBucket)), tx.Bucket([]byte(certificationBucket))
		if c.Block != nil {
			if err := blocks.Put(key(c.Block.Height), sealBlock(c.Block)); err != nil {
				return err
			}
		}
		if c.Certification != nil {
			if err := certs.Put(key(c.Certification.Height), c.Certification.encode()); err != nil {
				return err
			}
		}
		return errors.Join(purge(blocks, c.PurgeBelow), purge(certs, c.PurgeBelow))
	})
}

func purge(b *bbolt.Bucket, below types.Height) error {
	c := b.Cursor()
	for k, _ := c.First(); k != nil && types.Height(binary.BigEndian.Uint64(k)) < below; k, _ = c.First() {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// Blocks calls yield for the blocks from a height on, in order.
func (p *Pool) Blocks(from types.Height, yield func(*consensus.Block) error) error {
	return p.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(blockBucket)).Cursor()
		for k, v := c.Seek(key(from)); k != nil; k, v = c.Next() {
			b, err := openBlock(v)
			if err != nil {
				return fmt.Errorf("%s: block %d: %w", p.db.Path(), binary.BigEndian.Uint64(k), err)
			}
			if err := yield(b); err != nil {
				return err
			}
		}
		return nil
	})
}

// sealBlock is the stored form of a block: its hash, by which damage is noticed, and
// its encoding.
func sealBlock(b *consensus.Block) []byte {
	h := b.Hash()
	return append(h[:], b.Encode()...)
}

func openBlock(stored []byte) (*consensus.Block, error) {
	var want types.Hash
	if len(stored) < len(want) {
		return nil, errors.New("it is cut off")
	}
	b, err := consensus.DecodeBlock(bytes.Clone(stored[len(want):]))
	if err != nil {
		return nil, err
	}
	copy(want[:], stored)
	if got := b.Hash(); got != want {
		return nil, fmt.Errorf("its content has hash %x, but it was stored as %x: the file is damaged", got, want)
	}
	return b, nil
}

// Certification returns what is known of a height, or nil.
func (p *Pool) Certification(h types.Height) (*Certification, error) {
	var out *Certification
	err := p.db.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket([]byte(certificationBucket)).Get(key(h))
		if v == nil {
			return nil
		}
		var err error
		out, err = decodeCertification(h, append([]byte(nil), v...))
		return err
	})
	return out, err
}

func (c *Certification) encode() []byte {
	b := cbor.AppendArray(nil, 2)
	return cbor.AppendBytes(cbor.AppendBytes(b, c.Root[:]), c.Signature)
}

func decodeCertification(h types.Height, b []byte) (*Certification, error) {
	d := cbor.NewDecoder(b)
	c := &Certification{Height: h}
	n, err := d.Array()
	if err != nil || n != 2 {
		return nil, fmt.Errorf("certification of height %d: not an array of two items", h)
	}
	root, err := d.Bytes()
	if err != nil || len(root) != len(c.Root) {
		return nil, fmt.Errorf("certification of height %d: the root is not a hash", h)
	}
	copy(c.Root[:], root)
	c.Signature, err = d.Bytes()
	return c, errors.Join(err, d.End())
}
