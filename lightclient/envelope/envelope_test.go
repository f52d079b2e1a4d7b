package envelope

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"portico/lightclient/cbor"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"

	"pgregory.net/rapid"
)

func id(t testing.TB, hexBytes string) principal.ID {
	t.Helper()
	b, err := hex.DecodeString(hexBytes)
	if err != nil {
		t.Fatal(err)
	}
	p, err := principal.FromBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// specRequest is the example of the specification, "Request ids".
func specRequest(t testing.TB) Request {
	return Request{
		Kind:          Call,
		Sender:        principal.Anonymous(),
		IngressExpiry: 1685570400000000000,
		Canister:      id(t, "00000000000004d2"),
		Method:        "hello",
		Arg:           []byte("DIDL\x00\xFD*"),
	}
}

const specID = "1d1091364d6bb8a6c16b203ee75467d59ead468f523eb058880ae8ec80e2b101"

func TestRequestIDOfTheSpecification(t *testing.T) {
	r := specRequest(t)
	if got := fmt.Sprintf("%x", r.ID()); got != specID {
		t.Errorf("request id is %s, want %s", got, specID)
	}
	e, err := Decode((&Envelope{Request: r}).Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", e.RequestID); got != specID {
		t.Errorf("decoded request id is %s, want %s", got, specID)
	}
}

// The values are those of the specification's worked example.
func TestHashesOfFieldValuesAreThoseOfTheSpecification(t *testing.T) {
	for _, c := range []struct {
		v    cbor.Value
		want string
	}{
		{cbor.Text("request_type"), "769e6f87bdda39c859642b74ce9763cdd37cb1cd672733e8c54efaa33ab78af9"},
		{cbor.Bytes{4}, "e52d9c508c502347344d8c07ad91cbd6068afc75ff6292f062a09ca381c89e71"},
		{cbor.NatOf(1685570400000000000), "db8e57abc8cda1525d45fdd2637af091bc1f28b35819a40df71517d1501f2c76"},
		{cbor.Bytes("DIDL\x00\xFD*"), "6c0b2ae49718f6995c02ac5700c9c789d7b7862a0d53e6d40a73f1fcd2f70189"},
	} {
		got, err := hashOf(c.v)
		if err != nil || hex.EncodeToString(got[:]) != c.want {
			t.Errorf("hash of %v is %x (%v), want %s", c.v, got, err, c.want)
		}
	}
}

func TestNumbersAreHashedInTheirShortestForm(t *testing.T) {
	for _, c := range []struct{ got, want []byte }{
		{appendNat(nil, cbor.NatOf(0)), []byte{0}},
		{appendNat(nil, cbor.NatOf(624485)), []byte{0xE5, 0x8E, 0x26}},
		{appendNegative(nil, 123456-1), []byte{0xC0, 0xBB, 0x78}}, // -123456
		{appendNegative(nil, 0), []byte{0x7f}},                    // -1
		{appendNegative(nil, 1<<64-1), []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7e}},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("got %x, want %x", c.got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "n"))
		b := appendNat(nil, cbor.NatOfBytes(n.Bytes()))
		back := new(big.Int)
		for i, c := range b {
			if last := i == len(b)-1; (c < 0x80) != last {
				t.Fatalf("%x: continuation bits are wrong", b)
			}
			back.Or(back, new(big.Int).Lsh(big.NewInt(int64(c&0x7f)), uint(7*i)))
		}
		if back.Cmp(n) != 0 || (len(b) > 1 && b[len(b)-1] == 0) {
			t.Fatalf("%v became %x", n, b)
		}
	})
}

func TestUnknownFieldsEnterTheRequestID(t *testing.T) {
	r := specRequest(t)
	plain := r.ID()
	m := r.content()
	m.Set("color", cbor.Text("red"))
	e := decodeContent(t, m)
	want, err := HashOfMap(m)
	if err != nil {
		t.Fatal(err)
	}
	if e.RequestID != want || e.RequestID == plain || e.Request.ID() != want {
		t.Errorf("request id is %x, recomputed %x; want %x", e.RequestID, e.Request.ID(), want)
	}
	again, err := Decode(e.Append(nil))
	if err != nil || again.RequestID != want {
		t.Errorf("after encoding again the id is %x (%v)", again.RequestID, err)
	}
}

func TestNullFieldsCountAsAbsent(t *testing.T) {
	r := specRequest(t)
	for _, null := range []cbor.Simple{22, 23} {
		m := r.content()
		m.Set("nonce", null)
		m.Set("sender_info", null)
		m.Set("color", null)
		if e := decodeContent(t, m); e.RequestID != r.ID() || e.Request.Nonce != nil {
			t.Errorf("simple value %d: request id is %x", null, e.RequestID)
		}
	}
}

func TestAnEmptyNonceIsNotNoNonce(t *testing.T) {
	r := specRequest(t)
	plain := r.ID()
	r.Nonce = []byte{}
	e, err := Decode((&Envelope{Request: r}).Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if e.Request.Nonce == nil || e.RequestID == plain || e.RequestID != e.Request.ID() {
		t.Errorf("nonce %v, id %x", e.Request.Nonce, e.RequestID)
	}
}

// decodeContent wraps content into an anonymous envelope.
func decodeContent(t testing.TB, content *cbor.Map) *Envelope {
	t.Helper()
	e, err := Decode(encodeContent(content))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func encodeContent(content *cbor.Map) []byte {
	m := &cbor.Map{}
	m.Set("content", content)
	return cbor.AppendValue(nil, m)
}

func TestDecodeRefusesContent(t *testing.T) {
	longPath := make(cbor.Array, MaxPathLabels+1)
	for i := range longPath {
		longPath[i] = cbor.Bytes{1}
	}
	manyPaths := make(cbor.Array, MaxPaths+1)
	for i := range manyPaths {
		manyPaths[i] = cbor.Array{}
	}
	hugeExpiry := cbor.NatOfBytes(new(big.Int).Lsh(big.NewInt(1), 64).Bytes())
	drop := cbor.Value(nil)
	for _, c := range []struct {
		key  string
		v    cbor.Value
		want string
	}{
		{"request_type", cbor.Text("update"), `content.request_type: "update" is none of`},
		{"request_type", drop, "content.request_type: missing"},
		{"sender", drop, "content.sender: missing"},
		{"sender", cbor.Bytes(make([]byte, 30)), "content.sender: principal of 30 bytes"},
		{"ingress_expiry", drop, "content.ingress_expiry: missing"},
		{"ingress_expiry", hugeExpiry, "does not fit into 64 bits"},
		{"ingress_expiry", cbor.NegInt{N: 1}, "expected a number"},
		{"ingress_expiry", cbor.Float{Width: 8}, "content.ingress_expiry: a simple value or float"},
		{"nonce", cbor.Bytes(make([]byte, 33)), "content.nonce: 33 bytes; at most 32"},
		{"nonce", cbor.Text("x"), "content.nonce: a text, expected a blob"},
		{"canister_id", drop, "content.canister_id: missing"},
		{"method_name", cbor.Bytes("m"), "content.method_name: a blob, expected a text"},
		{"arg", drop, "content.arg: missing"},
		{"sender_info", cbor.Bytes{}, "content.sender_info is a blob instead of a map"},
		{"sender_info", &cbor.Map{}, "content.sender_info.info: missing"},
		{"color", cbor.Simple(21), "content.color: a simple value or float has no"},
		{"color", cbor.Array{cbor.Simple(22)}, "content.color: item 0"},
	} {
		r := specRequest(t)
		expectRefusal(t, replace(r.content(), c.key, c.v), c.key, c.want)
	}
	read := Request{Kind: ReadState, Sender: principal.Anonymous()}
	for _, c := range []struct {
		v    cbor.Value
		want string
	}{
		{drop, "content.paths: missing"},
		{manyPaths, "content.paths: 1001 elements; at most 1000"},
		{cbor.Array{longPath}, "content.paths: path 0 has 128 labels; at most 127"},
		{cbor.Array{cbor.Bytes{}}, "content.paths: path 0 is a blob"},
		{cbor.Array{cbor.Array{cbor.Text("time")}}, "content.paths: label 0 of path 0 is a text"},
	} {
		expectRefusal(t, replace(read.content(), "paths", c.v), "paths", c.want)
	}
}

func replace(m *cbor.Map, key string, v cbor.Value) *cbor.Map {
	out := &cbor.Map{}
	for i, k := range m.Keys {
		if k != key {
			out.Set(k, m.Values[i])
		}
	}
	if v != nil {
		out.Set(key, v)
	}
	return out
}

func expectRefusal(t *testing.T, content *cbor.Map, key, want string) {
	t.Helper()
	_, err := Decode(encodeContent(content))
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want one with %q", key, err, want)
	}
}

func TestTheLargestReadStateRequestIsAccepted(t *testing.T) {
	r := Request{Kind: ReadState, Sender: principal.Anonymous()}
	for range MaxPaths {
		p := make(hashtree.Path, MaxPathLabels)
		for i := range p {
			p[i] = []byte{byte(i)}
		}
		r.Paths = append(r.Paths, p)
	}
	e, err := Decode((&Envelope{Request: r}).Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Request.Paths) != MaxPaths || len(e.Request.Paths[MaxPaths-1]) != MaxPathLabels || e.RequestID != r.ID() {
		t.Error("the request changed")
	}
}

func key(t testing.TB, n byte) Ed25519 {
	t.Helper()
	k, err := NewEd25519(bytes.Repeat([]byte{n}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func chain(t testing.TB, keys ...Ed25519) []SignedDelegation {
	t.Helper()
	var out []SignedDelegation
	for i := 1; i < len(keys); i++ {
		d, err := Delegate(keys[i-1], Delegation{PublicKey: keys[i].PublicKey(), Expiration: 7})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

func TestDecodeRefusesAuthentication(t *testing.T) {
	owner := key(t, 1)
	anonymous := specRequest(t)
	named := anonymous
	named.Sender = Keyed{owner}.Sender()
	var many []Ed25519
	for i := range MaxDelegations + 2 {
		many = append(many, key(t, byte(i)))
	}
	manyTargets := chain(t, owner, key(t, 2))
	manyTargets[0].Delegation.Targets = make([]principal.ID, MaxTargets+1)
	badPermissions := chain(t, owner, key(t, 2))
	badPermissions[0].Delegation.Permissions = "updates"
	unhashable := chain(t, owner, key(t, 2))
	unhashable[0].Delegation.unknown.Set("x", cbor.Simple(20))
	der, sig := owner.PublicKey(), []byte{1}
	for _, c := range []struct {
		e    Envelope
		want string
	}{
		{Envelope{Request: anonymous, SenderPublicKey: der}, "must be omitted"},
		{Envelope{Request: anonymous, SenderSig: sig}, "must be omitted"},
		{Envelope{Request: anonymous, SenderDelegation: chain(t, many[:2]...)}, "must be omitted"},
		{Envelope{Request: named}, "must be set"},
		{Envelope{Request: named, SenderPublicKey: der}, "must be set"},
		{Envelope{Request: named, SenderSig: sig}, "must be set"},
		{Envelope{Request: named, SenderPublicKey: der, SenderSig: sig, SenderDelegation: chain(t, many...)}, "21 elements; at most 20"},
		{Envelope{Request: named, SenderPublicKey: der, SenderSig: sig, SenderDelegation: manyTargets}, "sender_delegation[0].delegation.targets: 1001 elements"},
		{Envelope{Request: named, SenderPublicKey: der, SenderSig: sig, SenderDelegation: badPermissions}, `"updates" is neither`},
		{Envelope{Request: named, SenderPublicKey: der, SenderSig: sig, SenderDelegation: unhashable}, "sender_delegation[0].delegation.x"},
		{Envelope{Request: named, SenderPublicKey: der, SenderSig: sig, SenderDelegation: chain(t, owner, owner)}, "appeared before"},
		{Envelope{Request: named, SenderPublicKey: der, SenderSig: sig, SenderDelegation: chain(t, owner, key(t, 2), owner)}, "sender_delegation[1].delegation.pubkey: the key appeared before"},
	} {
		_, err := Decode(c.e.Append(nil))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

func TestDecodeRefusesWhatIsNoEnvelope(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "ends inside"},
		{"a0", "content is missing instead of a map"},
		{"80", "the request is an array instead of a map"},
		{"a167636f6e74656e7480", "content is an array instead of a map"},
		{"a267636f6e74656e74a067636f6e74656e74a0", `"content" appears twice`},
	} {
		b, err := hex.DecodeString(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.in, err, c.want)
		}
	}
}

func TestDelegationHashCoversUnknownFieldsAndTellsNoTargetsFromEmptyTargets(t *testing.T) {
	plain := Delegation{PublicKey: []byte{1}, Expiration: 2}
	empty, queries, unknown := plain, plain, plain
	empty.Targets = []principal.ID{}
	queries.Permissions = PermissionQueries
	unknown.unknown.Set("x", cbor.Text("y"))
	seen := map[string]bool{}
	for _, d := range []Delegation{plain, empty, queries, unknown} {
		seen[string(d.SignedBytes())] = true
		in := Envelope{Request: specRequest(t), SenderPublicKey: []byte{9}, SenderSig: []byte{8}, SenderDelegation: []SignedDelegation{{Delegation: d}}}
		in.Request.Sender = principal.SelfAuthenticating([]byte{9})
		e, err := Decode(in.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		got := e.SenderDelegation[0].Delegation
		if !bytes.Equal(got.SignedBytes(), d.SignedBytes()) || (got.Targets == nil) != (d.Targets == nil) {
			t.Errorf("decoding changed %+v into %+v", d, got)
		}
	}
	if len(seen) != 4 {
		t.Errorf("four delegations have %d hashes", len(seen))
	}
}

func TestIdentitiesSignWhatTheirKeysVerify(t *testing.T) {
	owner, session := key(t, 1), key(t, 2)
	for _, c := range []struct {
		identity Identity
		signer   Ed25519
	}{
		{Keyed{owner}, owner},
		{Delegated{PublicKey: owner.PublicKey(), Chain: chain(t, owner, session), Signer: session}, session},
	} {
		sent, err := c.identity.Sign(specRequest(t))
		if err != nil {
			t.Fatal(err)
		}
		e, err := Decode(sent.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if e.Request.Sender != principal.SelfAuthenticating(owner.PublicKey()) || e.Request.Sender != c.identity.Sender() {
			t.Errorf("sender is %s", e.Request.Sender)
		}
		if !ed25519.Verify(publicKey(c.signer), RequestSignedBytes(e.RequestID), e.SenderSig) {
			t.Error("the signature does not verify")
		}
		for _, d := range e.SenderDelegation {
			if !ed25519.Verify(publicKey(owner), d.Delegation.SignedBytes(), d.Signature) {
				t.Error("the delegation's signature does not verify")
			}
		}
	}
	sent, err := Anonymous{}.Sign(Request{Kind: Query, Method: "m"})
	if err != nil || sent.SenderSig != nil || !sent.Request.Sender.IsAnonymous() {
		t.Errorf("anonymous envelope: %+v, %v", sent, err)
	}
}

func publicKey(k Ed25519) ed25519.PublicKey {
	der := k.PublicKey()
	return ed25519.PublicKey(der[len(der)-32:])
}

func TestSeedsHave32Bytes(t *testing.T) {
	if _, err := NewEd25519(make([]byte, 31)); err == nil {
		t.Error("31 bytes were accepted")
	}
}

func genRequest(t *rapid.T) Request {
	blob := rapid.SliceOfN(rapid.Byte(), 0, 32)
	principals := rapid.Custom(func(t *rapid.T) principal.ID {
		p, err := principal.FromBytes(rapid.SliceOfN(rapid.Byte(), 0, principal.MaxLen).Draw(t, "id"))
		if err != nil {
			t.Fatal(err)
		}
		return p
	})
	r := Request{
		Kind:          rapid.SampledFrom([]Kind{Call, Query, ReadState}).Draw(t, "kind"),
		Sender:        principals.Draw(t, "sender"),
		IngressExpiry: rapid.Uint64().Draw(t, "expiry"),
	}
	if rapid.Bool().Draw(t, "nonce?") {
		r.Nonce = blob.Draw(t, "nonce")
	}
	if r.Kind == ReadState {
		r.Paths = rapid.SliceOfN(rapid.SliceOfN(blob, 0, 4), 0, 4).Draw(t, "paths")
		return r
	}
	r.Canister, r.Method, r.Arg = principals.Draw(t, "canister"), rapid.String().Draw(t, "method"), blob.Draw(t, "arg")
	if rapid.Bool().Draw(t, "info?") {
		r.SenderInfo = &SenderInfo{Info: blob.Draw(t, "info"), Signer: principals.Draw(t, "signer"), Sig: blob.Draw(t, "sig")}
	}
	if rapid.Bool().Draw(t, "unknown?") {
		r.unknown.Set("zz", cbor.Array{cbor.NatOf(1), cbor.NegInt{N: 3}, cbor.Text("x")})
	}
	return r
}

func TestDecodeInvertsAppend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := Envelope{Request: genRequest(t)}
		if !in.Request.Sender.IsAnonymous() {
			in.SenderPublicKey, in.SenderSig = []byte{1}, []byte{}
			in.SenderDelegation = []SignedDelegation{{Delegation: Delegation{
				PublicKey: []byte{2}, Expiration: rapid.Uint64().Draw(t, "until"), Targets: []principal.ID{in.Request.Canister}, Permissions: PermissionAll,
			}, Signature: []byte{3}}}
		}
		b := in.Append(nil)
		e, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(e.Append(nil), b) || e.RequestID != in.Request.ID() || e.Request.ID() != in.Request.ID() {
			t.Fatalf("%+v became %+v", in, e)
		}
	})
}

func FuzzDecode(f *testing.F) {
	r := specRequest(f)
	f.Add((&Envelope{Request: r}).Append(nil))
	r.SenderInfo = &SenderInfo{Info: []byte("info")}
	signed, err := Delegated{PublicKey: key(f, 1).PublicKey(), Chain: chain(f, key(f, 1), key(f, 2)), Signer: key(f, 2)}.Sign(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed.Append(nil))
	f.Add((&Envelope{Request: Request{Kind: ReadState, Sender: principal.Anonymous(), Paths: []hashtree.Path{{[]byte("time")}}}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(b)
		if err != nil {
			return
		}
		if e.Request.ID() != e.RequestID {
			t.Fatal("the request id depends on more than the decoded request")
		}
		again, err := Decode(e.Append(nil))
		if err != nil {
			t.Fatalf("re-encoded envelope is refused: %v", err)
		}
		if again.RequestID != e.RequestID || !bytes.Equal(again.Append(nil), e.Append(nil)) {
			t.Fatal("the envelope changed")
		}
	})
}

func BenchmarkDecodeCall(b *testing.B) {
	r := specRequest(b)
	r.Arg = make([]byte, 1000)
	signed, err := Keyed{key(b, 1)}.Sign(r)
	if err != nil {
		b.Fatal(err)
	}
	in := signed.Append(nil)
	for b.Loop() {
		if _, err := Decode(in); err != nil {
			b.Fatal(err)
		}
	}
}
