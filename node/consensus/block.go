// Package consensus makes the blocks of a subnet and decides their order. A block
// is a batch of users' calls with the time at which they run.
//
// A subnet of one node agrees with itself: its block maker proposes, and what it
// has stored is final. The random tape and the certification of its states are
// signatures by the subnet's key, as with any number of nodes.
package consensus

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"portico/lightclient/cbor"
	"portico/node/ingress"
	"portico/node/types"
)

// Block is what a subnet agreed on for one height.
type Block struct {
	Height types.Height
	Parent types.Hash
	Time   types.Time
	// ParentRoot is the certified root hash of the state of the height before.
	ParentRoot types.Hash
	Payload    []ingress.Message
}

// blockItems is the length of the CBOR array that a block is.
const blockItems = 5

// Encode is the block's canonical form, CBOR: [height, parent, time, parent root, payload].
func (b *Block) Encode() []byte {
	out := cbor.AppendArray(nil, blockItems)
	out = cbor.AppendUint(out, uint64(b.Height))
	out = cbor.AppendBytes(out, b.Parent[:])
	out = cbor.AppendUint(out, uint64(b.Time))
	out = cbor.AppendBytes(out, b.ParentRoot[:])
	out = cbor.AppendArray(out, len(b.Payload))
	for _, m := range b.Payload {
		out = m.Append(out)
	}
	return out
}

// Hash identifies the block.
func (b *Block) Hash() types.Hash {
	return sha256.Sum256(append([]byte("\x0dportico-block"), b.Encode()...))
}

// DecodeBlock reads what Encode wrote.
func DecodeBlock(encoded []byte) (*Block, error) {
	d := cbor.NewDecoder(encoded)
	b := &Block{}
	if err := b.decode(d); err != nil {
		return nil, fmt.Errorf("block: %w", err)
	}
	return b, d.End()
}

func (b *Block) decode(d *cbor.Decoder) error {
	if n, err := d.Array(); err != nil {
		return err
	} else if n != blockItems {
		return fmt.Errorf("expected %d items, found %d", blockItems, n)
	}
	height, err := d.Uint()
	if err != nil {
		return err
	}
	if err := decodeHash(d, &b.Parent); err != nil {
		return err
	}
	at, err := d.Uint()
	if err != nil {
		return err
	}
	b.Height, b.Time = types.Height(height), types.Time(at)
	if err := decodeHash(d, &b.ParentRoot); err != nil {
		return err
	}
	n, err := d.Array()
	if err != nil {
		return err
	}
	for i := 0; d.More(i, n); i++ {
		m, err := ingress.Decode(d)
		if err != nil {
			return err
		}
		b.Payload = append(b.Payload, m)
	}
	return nil
}

func decodeHash(d *cbor.Decoder, h *types.Hash) error {
	b, err := d.Bytes()
	if err != nil {
		return err
	}
	if len(b) != len(h) {
		return fmt.Errorf("a hash has %d bytes, not %d", len(h), len(b))
	}
	copy(h[:], b)
	return nil
}

// TapeMessage is what the subnet signs to make the randomness of a height.
func TapeMessage(h types.Height) []byte {
	return binary.BigEndian.AppendUint64([]byte("\x0eic-random-tape"), uint64(h))
}

// Randomness is the random bytes that a signature on TapeMessage yields.
func Randomness(signature []byte) types.Hash { return sha256.Sum256(signature) }
