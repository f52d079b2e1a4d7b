package consensus_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/principal"
	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/ingress"
	"portico/node/types"

	"pgregory.net/rapid"
)

func drawHash(t *rapid.T, label string) types.Hash {
	return types.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, label))
}

func drawSignature(t *rapid.T, label string) []byte {
	return rapid.SliceOfN(rapid.Byte(), 0, 96).Draw(t, label)
}

func drawContent(t *rapid.T, kinds ...artifact.Kind) consensus.Content {
	c := consensus.Content{Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Height: types.Height(rapid.Uint64().Draw(t, "height"))}
	if c.Kind != artifact.Tape {
		c.Hash = drawHash(t, "hash")
	}
	return c
}

var signedKinds = []artifact.Kind{
	artifact.Beacon, artifact.Notarization, artifact.Finalization, artifact.Tape, artifact.Certification, artifact.CatchUp,
}

func drawBlock(t *rapid.T, calls []*ingress.Call) *consensus.Block {
	b := &consensus.Block{
		Height: types.Height(rapid.Uint64().Draw(t, "height")), Parent: drawHash(t, "parent"), Rank: rapid.Uint16().Draw(t, "rank"),
		Summary: rapid.Bool().Draw(t, "summary"),
		Context: consensus.Context{Certified: types.Height(rapid.Uint64().Draw(t, "certified")), Registry: 1, Time: types.Time(rapid.Uint64().Draw(t, "time"))},
	}
	for i := range rapid.Uint64Range(0, 3).Draw(t, "reports") {
		n := rapid.Uint64().Draw(t, "count")
		b.Queries = append(b.Queries, types.QueryReport{Canister: principal.Canister(i), QueryCounts: types.QueryCounts{Calls: n, Instructions: n / 2, RequestBytes: n / 3, ReplyBytes: n / 5}})
	}
	b.Calls = calls[:rapid.IntRange(0, len(calls)).Draw(t, "calls")]
	for _, c := range b.Calls {
		b.Ingress = append(b.Ingress, c.ID)
	}
	return b
}

func drawArtifact(t *rapid.T, calls []*ingress.Call) consensus.Artifact {
	member := func() types.Member { return types.Member(rapid.Uint16().Draw(t, "member")) }
	switch rapid.IntRange(0, 4).Draw(t, "type") {
	case 0:
		return &consensus.Proposal{Block: drawBlock(t, calls), Maker: member(), Signature: drawSignature(t, "signature")}
	case 1:
		return &consensus.Share{Content: drawContent(t, signedKinds...), By: member(), Signature: drawSignature(t, "signature")}
	case 2:
		a := &consensus.Aggregate{Content: drawContent(t, signedKinds[:5]...), Signature: drawSignature(t, "signature")}
		a.Signers = rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) types.Member { return types.Member(rapid.Uint16().Draw(t, "m")) }), 0, 50, rapid.ID).Draw(t, "signers")
		slices.Sort(a.Signers)
		return a
	case 3:
		e := &consensus.Equivocation{Height: types.Height(rapid.Uint64().Draw(t, "height")), Maker: member()}
		for i := range e.Blocks {
			e.Blocks[i], e.Signatures[i] = drawHash(t, "block"), drawSignature(t, "signature")
			e.Blocks[i][0] = byte(i) + e.Blocks[0][0]&0x7f
		}
		return e
	default:
		b := drawBlock(t, nil)
		b.Summary = true
		c := &consensus.CatchUp{Block: b, State: drawHash(t, "state"), Signature: drawSignature(t, "signature")}
		c.Beacon = &consensus.Aggregate{Content: drawContent(t, artifact.Beacon), Signature: drawSignature(t, "beacon")}
		c.Beacon.Height = b.Height
		return c
	}
}

func someCalls(t testing.TB) []*ingress.Call {
	var out []*ingress.Call
	for i := range 5 {
		out = append(out, call(t, i, genesisTime.Add(time.Minute), make([]byte, 10*i)...))
	}
	return out
}

func TestArtifactsAreReadAsTheyWereWritten(t *testing.T) {
	calls := someCalls(t)
	rapid.Check(t, func(t *rapid.T) {
		a := drawArtifact(t, calls)
		forms := [][]byte{consensus.Encode(a)}
		if p, ok := a.(*consensus.Proposal); ok {
			forms = append(forms, p.Encode(false))
		}
		for i, form := range forms {
			b, err := consensus.Decode(a.ID(), form)
			if err != nil {
				t.Fatal(err)
			}
			if p, ok := b.(*consensus.Proposal); ok && i == 1 {
				if !bytes.Equal(p.Encode(false), form) || p.Block.Stripped() != (len(p.Block.Ingress) > 0) {
					t.Error("the stripped form changes")
				}
			} else if !bytes.Equal(consensus.Encode(b), form) {
				t.Error("the encoding changes")
			}
			if b.ID() != a.ID() {
				t.Errorf("id %s, then %s", a.ID(), b.ID())
			}
			if _, err := consensus.Decode(a.ID(), append(form, 0)); err == nil {
				t.Error("bytes after the end are read")
			}
			if _, err := consensus.Decode(a.ID(), form[:len(form)-1]); err == nil {
				t.Error("an artifact that is cut off is read")
			}
			other := a.ID()
			other.Height++
			if _, err := consensus.Decode(other, form); err == nil {
				t.Error("an artifact is read as one of another height")
			}
		}
	})
}

func TestMalformedArtifactsAreRefusedWithTheReason(t *testing.T) {
	s := newSubnet(t, 4)
	p := s.block(s.genesis, 0, carrying(call(t, 1, genesisTime.Add(time.Minute)), call(t, 2, genesisTime.Add(time.Minute))))
	swapped := *p
	swapped.Block = &consensus.Block{Ingress: p.Block.Ingress, Calls: []*ingress.Call{p.Block.Calls[1], p.Block.Calls[0]}}
	many := &consensus.Proposal{Block: &consensus.Block{Ingress: make([]artifact.ID, ingress.MaxBlockMessages+1)}}
	share := s.share(content(artifact.Notarization, p.Block), 1)
	long := *share
	long.Signature = make([]byte, 97)
	votes := s.notarization(p.Block)
	unordered := *votes
	unordered.Signers = []types.Member{2, 1, 3}
	doubled := *votes
	doubled.Signers = []types.Member{1, 1, 3}
	crowd := *votes
	crowd.Signers = s.members(0, 1001)
	tape := s.tape(1)
	hashed := *tape
	hashed.Hash = types.Hash{1}
	e := &consensus.Equivocation{Height: 1, Blocks: [2]types.Hash{{2}, {1}}, Signatures: [2][]byte{{1}, {2}}}
	whole := &consensus.CatchUp{Block: &consensus.Block{Height: 10, Summary: true}, Beacon: s.beacon(10)}
	early, plain := *whole, *whole
	early.Beacon = s.beacon(9)
	plain.Block = &consensus.Block{Height: 10}
	for _, x := range []struct {
		kind    artifact.Kind
		encoded []byte
		want    string
	}{
		{artifact.Proposal, swapped.Encode(true), "the block names call"},
		{artifact.Proposal, many.Encode(false), "a block carries at most 1000 calls"},
		{artifact.NotarizationShare, consensus.Encode(&long), "a signature of 97 bytes"},
		{artifact.NotarizationShare, consensus.Encode(votes), "expected an unsigned integer"},
		{artifact.Notarization, consensus.Encode(share), "expected an array"},
		{artifact.Notarization, consensus.Encode(&unordered), "the signers are not in order"},
		{artifact.Notarization, consensus.Encode(&doubled), "the signers are not in order"},
		{artifact.Notarization, consensus.Encode(&crowd), "1001 signers"},
		{artifact.Tape, consensus.Encode(&hashed), "it has a hash, which nobody signs"},
		{artifact.Equivocation, consensus.Encode(e), "the blocks are not two in order"},
		{artifact.CatchUp, consensus.Encode(&early), "its beacon is not the one of its block's height"},
		{artifact.CatchUp, consensus.Encode(&plain), "its block is no summary block"},
		{artifact.Ingress, nil, "consensus has no artifacts of kind ingress message"},
		{artifact.Beacon, append(cbor.AppendArray(nil, 3), 0, 0, 0), "expected 4 items, found 3"},
		{artifact.Beacon, cbor.AppendBytes(cbor.AppendUint(cbor.AppendArray(nil, 4), 1), make([]byte, 31)), "a hash has 32 bytes, not 31"},
		{artifact.BeaconShare, cbor.AppendUint(cbor.AppendBytes(cbor.AppendUint(cbor.AppendArray(nil, 4), 1), make([]byte, 32)), 1<<16), "there is no member 65536"},
	} {
		if _, err := consensus.Decode(artifact.ID{Kind: x.kind}, x.encoded); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", x.kind, err, x.want)
		}
	}
	if _, err := consensus.Decode(tape.ID(), consensus.Encode(s.tape(2))); err == nil || !strings.Contains(err.Error(), "was sent as tape 1/") {
		t.Errorf("another artifact: %v", err)
	}
}

// A number has several forms in CBOR, a bignum's may be shorter than the usual one.
func TestNumbersHaveOneForm(t *testing.T) {
	s := newSubnet(t, 4)
	p := s.block(s.genesis, 0)
	usual := p.Encode(false)
	head := cbor.AppendUint(nil, uint64(p.Block.Context.Time))
	at := bytes.Index(usual, head)
	odd := slices.Concat(usual[:at], []byte{0xc2, 0x48}, head[1:], usual[at+len(head):])
	if q, err := consensus.DecodeKind(artifact.Proposal, odd); err != nil || q.ID() != p.ID() {
		t.Fatalf("the other form is not read at all: %v", err)
	}
	if _, err := consensus.Decode(p.ID(), odd); err == nil || !strings.Contains(err.Error(), "is not canonical") {
		t.Errorf("a proposal with a bignum: %v", err)
	}
	// a bignum of five bytes is shorter by two than the usual form, and a long head longer
	p = s.block(s.genesis, 0, func(b *consensus.Block) { b.Context.Time, b.Context.Certified = 1<<32, 0 })
	usual = p.Encode(false)
	head = cbor.AppendUint(nil, 1<<32)
	at = bytes.Index(usual, head)
	odd = slices.Concat(usual[:at], []byte{0xc2, 0x45, 1, 0, 0, 0, 0}, usual[at+len(head):])
	odd = slices.Concat([]byte{0x99, 0, 4}, odd[1:])
	if q, err := consensus.DecodeKind(artifact.Proposal, odd); err != nil || q.ID() != p.ID() || len(odd) != len(usual) {
		t.Fatalf("the other form of %d bytes instead of %d is not read at all: %v", len(odd), len(usual), err)
	}
	if _, err := consensus.Decode(p.ID(), odd); err == nil || !strings.Contains(err.Error(), "is not canonical") {
		t.Errorf("a proposal of the same length in another form: %v", err)
	}
}

func FuzzDecodeArtifact(f *testing.F) {
	s := newSubnet(f, 4)
	p := s.block(s.genesis, 0, carrying(someCalls(f)...), reporting(reports(1, 2)...))
	seeds := []consensus.Artifact{
		p, s.share(content(artifact.Notarization, p.Block), 1), s.notarization(p.Block), s.tape(1),
		&consensus.Equivocation{Height: 1, Blocks: [2]types.Hash{{1}, {2}}, Signatures: [2][]byte{{1}, {2}}},
		&consensus.CatchUp{Block: &consensus.Block{Height: 10, Summary: true}, Beacon: s.beacon(10)},
	}
	for _, a := range seeds {
		f.Add(byte(a.ID().Kind), consensus.Encode(a))
	}
	f.Add(byte(artifact.Proposal), p.Encode(false))
	f.Fuzz(func(t *testing.T, kind byte, encoded []byte) {
		a, err := consensus.DecodeKind(artifact.Kind(kind), encoded)
		if err != nil {
			return
		}
		canonical := consensus.Encode(a)
		if p, ok := a.(*consensus.Proposal); ok && p.Block.Stripped() {
			canonical = p.Encode(false)
		}
		again, err := consensus.Decode(a.ID(), canonical)
		if err != nil || again.ID() != a.ID() {
			t.Fatalf("what was written is not read: %v", err)
		}
		if _, err := consensus.Decode(a.ID(), encoded); (err == nil) != bytes.Equal(encoded, canonical) {
			t.Errorf("read %x, which is not the %x that is written: %v", encoded, canonical, err)
		}
	})
}
