package consensus

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"portico/lightclient/cbor"
	"portico/lightclient/certificate"
	"portico/node/artifact"
	"portico/node/types"
)

// Artifact is one of *Proposal, *Share, *Aggregate, *Equivocation and *CatchUp. It must not be
// changed once its id was asked for.
type Artifact interface {
	ID() artifact.ID
}

// Content is what members sign shares of: of a kind, at a height, a hash.
type Content struct {
	// Kind is that of the aggregate: Beacon, Notarization, Finalization, Tape,
	// Certification or CatchUp.
	Kind   artifact.Kind
	Height types.Height
	// Hash is that of the beacon before, of the block, of the state tree's root or of
	// the catch-up package's content. Tapes have none.
	Hash types.Hash
}

// Domains of what is signed, each a length byte and that many characters.
const (
	domainBeacon       = "\x10ic-random-beacon"
	domainTape         = "\x0eic-random-tape"
	domainNotarization = "\x0cnotarization"
	domainFinalization = "\x0cfinalization"
	domainCatchUp      = "\x10catch-up-package"
)

// Message is what is signed.
func (c Content) Message() []byte {
	var domain string
	switch c.Kind {
	case artifact.Beacon:
		domain = domainBeacon
	case artifact.Tape:
		return binary.BigEndian.AppendUint64([]byte(domainTape), uint64(c.Height))
	case artifact.Notarization:
		domain = domainNotarization
	case artifact.Finalization:
		domain = domainFinalization
	case artifact.Certification:
		return certificate.StateRootMessage(c.Hash)
	case artifact.CatchUp:
		domain = domainCatchUp
	default:
		panic(fmt.Sprintf("consensus: nobody signs a %s", c.Kind))
	}
	return append(binary.BigEndian.AppendUint64([]byte(domain), uint64(c.Height)), c.Hash[:]...)
}

// Scheme is how it is signed.
func (c Content) Scheme() Scheme {
	switch c.Kind {
	case artifact.Beacon, artifact.Tape:
		return SchemeLow
	case artifact.Notarization, artifact.Finalization:
		return SchemeCommittee
	default:
		return SchemeHigh
	}
}

// shareKind is the kind of the shares of an aggregate's kind.
func shareKind(k artifact.Kind) artifact.Kind {
	switch k {
	case artifact.Beacon:
		return artifact.BeaconShare
	case artifact.Notarization:
		return artifact.NotarizationShare
	case artifact.Finalization:
		return artifact.FinalizationShare
	case artifact.Tape:
		return artifact.TapeShare
	case artifact.Certification:
		return artifact.CertificationShare
	case artifact.CatchUp:
		return artifact.CatchUpShare
	default:
		panic(fmt.Sprintf("consensus: a %s has no shares", k))
	}
}

// signedKinds are the kinds of what is signed in shares.
var signedKinds = [...]artifact.Kind{
	artifact.Beacon, artifact.Notarization, artifact.Finalization, artifact.Tape, artifact.Certification, artifact.CatchUp,
}

// kindOfShares is the kind that shares of a kind are combined to, or false.
func kindOfShares(k artifact.Kind) (artifact.Kind, bool) {
	for _, kind := range signedKinds {
		if shareKind(kind) == k {
			return kind, true
		}
	}
	return 0, false
}

// Share is one member's share of a signature.
type Share struct {
	Content
	By        types.Member
	Signature []byte

	id artifact.ID
}

// Aggregate is the subnet's signature. For a CatchUp it is the signature alone, for
// what the package contains see CatchUp.
type Aggregate struct {
	Content
	// Signers are who signed a notarization or finalization, in order; otherwise empty.
	Signers   []types.Member
	Signature []byte

	id artifact.ID
}

// ID is the share's id.
func (s *Share) ID() artifact.ID {
	if s.id == (artifact.ID{}) {
		s.id = idOf(s)
	}
	return s.id
}

// ID is the aggregate's id.
func (a *Aggregate) ID() artifact.ID {
	if a.id == (artifact.ID{}) {
		a.id = idOf(a)
	}
	return a.id
}

// Equivocation proves that a member proposed two blocks at one height. The blocks are
// known by their hashes: that both were signed is enough.
type Equivocation struct {
	Height types.Height
	Maker  types.Member
	// Blocks are two different hashes, the lesser first.
	Blocks     [2]types.Hash
	Signatures [2][]byte
}

// ID is the proof's id.
func (e *Equivocation) ID() artifact.ID { return idOf(e) }

// CatchUp is a catch-up package: where the subnet stands at a summary block, signed by
// it, so that a node may begin there.
type CatchUp struct {
	// Block is a summary block: it has no calls.
	Block *Block
	// Beacon is the beacon of the block's height.
	Beacon *Aggregate
	// State identifies the whole state, heaps included.
	State     types.Hash
	Signature []byte
}

// ID is the package's id.
func (c *CatchUp) ID() artifact.ID { return idOf(c) }

// Content is what is signed.
func (c *CatchUp) Content() Content { return catchUpContent(c.Block, c.Beacon, c.State) }

func catchUpContent(b *Block, beacon *Aggregate, state types.Hash) Content {
	block, chained := b.Hash(), beaconHash(beacon)
	h := sha256.New()
	h.Write(block[:])
	h.Write(chained[:])
	h.Write(state[:])
	return Content{artifact.CatchUp, b.Height, types.Hash(h.Sum(nil))}
}

// beaconHash is what the next beacon signs.
func beaconHash(b *Aggregate) types.Hash { return sha256.Sum256(b.Signature) }

// idOf is an artifact's id: the hash of its encoding.
func idOf(a Artifact) artifact.ID {
	id := artifact.ID{Hash: sha256.Sum256(Encode(a))}
	switch a := a.(type) {
	case *Share:
		id.Kind, id.Height = shareKind(a.Kind), a.Height
	case *Aggregate:
		id.Kind, id.Height = a.Kind, a.Height
	case *Equivocation:
		id.Kind, id.Height = artifact.Equivocation, a.Height
	case *CatchUp:
		id.Kind, id.Height = artifact.CatchUp, a.Block.Height
	default:
		panic(fmt.Sprintf("consensus: artifact of type %T", a))
	}
	return id
}

// Encode is an artifact's canonical form, CBOR; of a proposal it is the full one.
func Encode(a Artifact) []byte {
	switch a := a.(type) {
	case *Proposal:
		return a.Encode(true)
	case *Share:
		out := appendContent(cbor.AppendArray(nil, 4), a.Content)
		return cbor.AppendBytes(cbor.AppendUint(out, uint64(a.By)), a.Signature)
	case *Aggregate:
		out := appendContent(cbor.AppendArray(nil, 4), a.Content)
		out = cbor.AppendArray(out, len(a.Signers))
		for _, m := range a.Signers {
			out = cbor.AppendUint(out, uint64(m))
		}
		return cbor.AppendBytes(out, a.Signature)
	case *Equivocation:
		out := cbor.AppendUint(cbor.AppendArray(nil, 6), uint64(a.Height))
		out = cbor.AppendUint(out, uint64(a.Maker))
		for i := range a.Blocks {
			out = cbor.AppendBytes(cbor.AppendBytes(out, a.Blocks[i][:]), a.Signatures[i])
		}
		return out
	case *CatchUp:
		out := a.Block.appendHeader(cbor.AppendArray(nil, 4))
		out = append(out, Encode(a.Beacon)...)
		return cbor.AppendBytes(cbor.AppendBytes(out, a.State[:]), a.Signature)
	default:
		panic(fmt.Sprintf("consensus: artifact of type %T", a))
	}
}

// appendContent appends the two items that an id does not tell: height and hash.
func appendContent(out []byte, c Content) []byte {
	return cbor.AppendBytes(cbor.AppendUint(out, uint64(c.Height)), c.Hash[:])
}

// Decode reads what a peer or the disk calls the artifact id. It is the one with that id,
// in canonical form, or an error; proposals may be stripped.
func Decode(id artifact.ID, encoded []byte) (Artifact, error) {
	d := cbor.NewDecoder(encoded)
	a, err := decode(d, id.Kind)
	if err == nil {
		err = d.End()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id.Kind, err)
	}
	canonical := Encode
	if p, ok := a.(*Proposal); ok && p.Block.Stripped() {
		canonical = func(Artifact) []byte { return p.Encode(false) }
	}
	if !bytes.Equal(encoded, canonical(a)) {
		return nil, fmt.Errorf("%s: the encoding is not canonical", id)
	}
	if a.ID() != id {
		return nil, fmt.Errorf("%s was sent as %s", a.ID(), id)
	}
	return a, nil
}

func decode(d *cbor.Decoder, k artifact.Kind) (Artifact, error) {
	switch k {
	case artifact.Proposal:
		return decodeProposal(d)
	case artifact.Equivocation:
		return decodeEquivocation(d)
	case artifact.CatchUp:
		return decodeCatchUp(d)
	}
	if kind, ok := kindOfShares(k); ok {
		return decodeShare(d, kind)
	}
	if slices.Contains(signedKinds[:], k) {
		return decodeAggregate(d, k)
	}
	return nil, fmt.Errorf("consensus has no artifacts of kind %s", k)
}

func decodeContent(d *cbor.Decoder, k artifact.Kind) (Content, error) {
	c := Content{Kind: k}
	if err := expectArray(d, 4); err != nil {
		return c, err
	}
	h, err := d.Uint()
	if err != nil {
		return c, err
	}
	c.Height = types.Height(h)
	if err := decodeHash(d, &c.Hash); err != nil {
		return c, err
	}
	if k == artifact.Tape && c.Hash != (types.Hash{}) {
		return c, errors.New("it has a hash, which nobody signs")
	}
	return c, nil
}

func decodeShare(d *cbor.Decoder, k artifact.Kind) (*Share, error) {
	c, err := decodeContent(d, k)
	if err != nil {
		return nil, err
	}
	s := &Share{Content: c}
	if s.By, err = decodeMember(d); err != nil {
		return nil, err
	}
	s.Signature, err = decodeSignature(d)
	return s, err
}

// maxSigners bounds a committee.
const maxSigners = 1000

func decodeAggregate(d *cbor.Decoder, k artifact.Kind) (*Aggregate, error) {
	c, err := decodeContent(d, k)
	if err != nil {
		return nil, err
	}
	a := &Aggregate{Content: c}
	n, err := d.Array()
	if err != nil {
		return nil, err
	}
	if n < 0 || n > maxSigners {
		return nil, fmt.Errorf("%d signers", n)
	}
	for i := range n {
		m, err := decodeMember(d)
		if err != nil {
			return nil, err
		}
		if i > 0 && m <= a.Signers[i-1] {
			return nil, errors.New("the signers are not in order")
		}
		a.Signers = append(a.Signers, m)
	}
	a.Signature, err = decodeSignature(d)
	return a, err
}

func decodeEquivocation(d *cbor.Decoder) (*Equivocation, error) {
	if err := expectArray(d, 6); err != nil {
		return nil, err
	}
	h, err := d.Uint()
	if err != nil {
		return nil, err
	}
	e := &Equivocation{Height: types.Height(h)}
	if e.Maker, err = decodeMember(d); err != nil {
		return nil, err
	}
	for i := range e.Blocks {
		if err := decodeHash(d, &e.Blocks[i]); err != nil {
			return nil, err
		}
		if e.Signatures[i], err = decodeSignature(d); err != nil {
			return nil, err
		}
	}
	if bytes.Compare(e.Blocks[0][:], e.Blocks[1][:]) >= 0 {
		return nil, errors.New("the blocks are not two in order")
	}
	return e, nil
}

func decodeCatchUp(d *cbor.Decoder) (*CatchUp, error) {
	if err := expectArray(d, 4); err != nil {
		return nil, err
	}
	b, err := decodeHeader(d)
	if err != nil {
		return nil, err
	}
	if !b.Summary || len(b.Ingress) > 0 {
		return nil, errors.New("its block is no summary block")
	}
	c := &CatchUp{Block: b}
	if c.Beacon, err = decodeAggregate(d, artifact.Beacon); err != nil {
		return nil, err
	}
	if c.Beacon.Height != b.Height || len(c.Beacon.Signers) > 0 {
		return nil, errors.New("its beacon is not the one of its block's height")
	}
	if err := decodeHash(d, &c.State); err != nil {
		return nil, err
	}
	c.Signature, err = decodeSignature(d)
	return c, err
}

// Randomness is the random bytes that the tape of a height yields.
func Randomness(tape *Aggregate) types.Hash { return sha256.Sum256(tape.Signature) }
