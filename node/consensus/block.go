package consensus

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"portico/lightclient/cbor"
	"portico/node/artifact"
	"portico/node/ingress"
	"portico/node/registry"
	"portico/node/types"
)

// Context is what a block's validity and execution depend on besides its ancestors. It
// never decreases along a chain.
type Context struct {
	// Certified is the newest height whose state the maker knew as certified.
	Certified types.Height
	Registry  registry.Version
	// Time is later than the parent's.
	Time types.Time
}

// Block is what a subnet agrees on for one height. It must not be changed once its
// hash was asked for.
type Block struct {
	Height  types.Height
	Parent  types.Hash
	Rank    uint16
	Context Context
	// Summary says that the block begins an interval: it carries no calls, and its
	// state becomes a checkpoint.
	Summary bool
	// Queries are what the block's maker reports of the queries that it answered: see Queries.
	Queries []types.QueryReport
	// Ingress are the ids of the calls that the block carries, in order.
	Ingress []artifact.ID
	// Calls are the calls themselves, or nil in a stripped block that has some.
	Calls []*ingress.Call

	hash types.Hash
}

// Domains of what is hashed and signed, each a length byte and that many characters.
const (
	domainBlock    = "\x0dportico-block"
	domainProposal = "\x10portico-proposal"
)

const (
	headerItems = 9
	// maxIngressIDs bounds what is read of a block before it is validated.
	maxIngressIDs = ingress.MaxBlockMessages
)

// appendHeader appends the block without its calls, CBOR: [height, parent, rank, certified,
// registry, time, summary, [query reports], [[expiry, hash]…]].
func (b *Block) appendHeader(out []byte) []byte {
	out = cbor.AppendArray(out, headerItems)
	out = cbor.AppendUint(out, uint64(b.Height))
	out = cbor.AppendBytes(out, b.Parent[:])
	out = cbor.AppendUint(out, uint64(b.Rank))
	out = cbor.AppendUint(out, uint64(b.Context.Certified))
	out = cbor.AppendUint(out, uint64(b.Context.Registry))
	out = cbor.AppendUint(out, uint64(b.Context.Time))
	out = appendQueries(appendBool(out, b.Summary), b.Queries)
	out = cbor.AppendArray(out, len(b.Ingress))
	for _, id := range b.Ingress {
		out = cbor.AppendArray(out, 2)
		out = cbor.AppendUint(out, uint64(id.Height))
		out = cbor.AppendBytes(out, id.Hash[:])
	}
	return out
}

// Hash identifies the block. The ids of its calls stand for them.
func (b *Block) Hash() types.Hash {
	if b.hash == (types.Hash{}) {
		b.hash = sha256.Sum256(b.appendHeader([]byte(domainBlock)))
	}
	return b.hash
}

// Stripped reports whether the block lacks its calls.
func (b *Block) Stripped() bool { return len(b.Calls) != len(b.Ingress) }

func decodeHeader(d *cbor.Decoder) (*Block, error) {
	if err := expectArray(d, headerItems); err != nil {
		return nil, err
	}
	b := &Block{}
	var err error
	number := func() (n uint64) {
		if err == nil {
			n, err = d.Uint()
		}
		return n
	}
	b.Height = types.Height(number())
	if err == nil {
		err = decodeHash(d, &b.Parent)
	}
	rank := number()
	b.Context = Context{types.Height(number()), registry.Version(number()), types.Time(number())}
	if err != nil {
		return nil, err
	}
	if b.Rank = uint16(rank); uint64(b.Rank) != rank {
		return nil, fmt.Errorf("rank %d is too large", rank)
	}
	if b.Summary, err = decodeBool(d); err != nil {
		return nil, err
	}
	if b.Queries, err = decodeQueries(d); err != nil {
		return nil, err
	}
	b.Ingress, err = decodeIngressIDs(d)
	return b, err
}

func decodeIngressIDs(d *cbor.Decoder) ([]artifact.ID, error) {
	n, err := d.Array()
	if err != nil {
		return nil, err
	}
	if n < 0 || n > maxIngressIDs {
		return nil, fmt.Errorf("a block carries at most %d calls", maxIngressIDs)
	}
	var out []artifact.ID
	for range n {
		if err := expectArray(d, 2); err != nil {
			return nil, err
		}
		expiry, err := d.Uint()
		if err != nil {
			return nil, err
		}
		id := artifact.ID{Kind: artifact.Ingress, Height: types.Height(expiry)}
		if err := decodeHash(d, &id.Hash); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, nil
}

// Proposal is a block with its maker's signature.
type Proposal struct {
	Block     *Block
	Maker     types.Member
	Signature []byte

	id artifact.ID
}

// ProposalMessage is what the maker of a block signs.
func ProposalMessage(h types.Height, block types.Hash) []byte {
	return append(cbor.AppendUint([]byte(domainProposal), uint64(h)), block[:]...)
}

// ID is the proposal's id: the hash is of its stripped encoding.
func (p *Proposal) ID() artifact.ID {
	if p.id == (artifact.ID{}) {
		p.id = artifact.ID{Kind: artifact.Proposal, Height: p.Block.Height, Hash: sha256.Sum256(p.Encode(false))}
	}
	return p.id
}

// Encode is the proposal's form on the wire, CBOR: [header, maker, signature, calls]. The
// calls are a list of ingress messages or, in the stripped form, an empty one.
func (p *Proposal) Encode(full bool) []byte {
	out := p.Block.appendHeader(cbor.AppendArray(nil, 4))
	out = cbor.AppendUint(out, uint64(p.Maker))
	out = cbor.AppendBytes(out, p.Signature)
	if !full {
		return cbor.AppendArray(out, 0)
	}
	out = cbor.AppendArray(out, len(p.Block.Calls))
	for _, c := range p.Block.Calls {
		out = append(out, c.Encoded...)
	}
	return out
}

// decodeProposal reads either form of a proposal.
func decodeProposal(d *cbor.Decoder) (*Proposal, error) {
	if err := expectArray(d, 4); err != nil {
		return nil, err
	}
	b, err := decodeHeader(d)
	if err != nil {
		return nil, err
	}
	p := &Proposal{Block: b}
	if p.Maker, err = decodeMember(d); err != nil {
		return nil, err
	}
	if p.Signature, err = decodeSignature(d); err != nil {
		return nil, err
	}
	n, err := d.Array()
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return p, nil
	}
	if n != len(b.Ingress) {
		return nil, fmt.Errorf("the block names %d calls and has %d", len(b.Ingress), n)
	}
	for _, id := range b.Ingress {
		m, err := ingress.Decode(d)
		if err != nil {
			return nil, err
		}
		c, err := ingress.Open(m)
		if err != nil {
			return nil, err
		}
		if c.ID != id {
			return nil, fmt.Errorf("the block names call %s and has %s", id, c.ID)
		}
		b.Calls = append(b.Calls, c)
	}
	return p, nil
}

// expectArray reads the head of an array of n items.
func expectArray(d *cbor.Decoder, n int) error {
	at := d.Offset()
	got, err := d.Array()
	if err != nil {
		return err
	}
	if got != n {
		return fmt.Errorf("offset %d: expected %d items, found %d", at, n, got)
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

func decodeMember(d *cbor.Decoder) (types.Member, error) {
	n, err := d.Uint()
	if err != nil {
		return 0, err
	}
	if n >= 1<<16 {
		return 0, fmt.Errorf("there is no member %d", n)
	}
	return types.Member(n), nil
}

// maxSignatureBytes is more than any scheme's signature has.
const maxSignatureBytes = 96

func decodeSignature(d *cbor.Decoder) ([]byte, error) {
	b, err := d.Bytes()
	if err == nil && len(b) > maxSignatureBytes {
		err = fmt.Errorf("a signature of %d bytes", len(b))
	}
	return b, err
}

// appendBool appends 0 or 1: the decoder has no use for CBOR's own booleans.
func appendBool(b []byte, v bool) []byte {
	if v {
		return cbor.AppendUint(b, 1)
	}
	return cbor.AppendUint(b, 0)
}

func decodeBool(d *cbor.Decoder) (bool, error) {
	n, err := d.Uint()
	if err == nil && n > 1 {
		err = errors.New("neither 0 nor 1")
	}
	return n == 1, err
}
