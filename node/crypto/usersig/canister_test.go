package usersig

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
	"portico/lightclient/hashtree"
	"portico/lightclient/leb128"
	"portico/lightclient/principal"
	"portico/node/crypto/bls"
)

// A testNetwork has a root subnet and one other, which hosts canisters 0 to 100.
type testNetwork struct {
	root, subnet *bls.SecretKey
	// subnetType is the value of /subnet/<id>/type, or empty for none.
	subnetType string
	issued     time.Time
}

func newNetwork(t testing.TB) *testNetwork {
	root, err := bls.GenerateKey(rand.Reader)
	must(t, err)
	subnet, err := bls.GenerateKey(rand.Reader)
	must(t, err)
	return &testNetwork{root: root, subnet: subnet, subnetType: "application", issued: now.Std()}
}

func (n *testNetwork) verifier() *Verifier {
	return New(Config{Certificates: &certificate.Verifier{RootKey: n.root.PublicKeyDER(), BLS: bls.VerifyBLS}})
}

func labeled(label []byte, sub hashtree.Tree) *hashtree.Labeled {
	return &hashtree.Labeled{Label: label, Sub: sub}
}

func tree(children ...*hashtree.Labeled) hashtree.Tree { return hashtree.New(children) }

func (n *testNetwork) timeLeaf() *hashtree.Labeled {
	return labeled([]byte("time"), hashtree.Leaf(leb128.AppendUint(nil, uint64(n.issued.UnixNano()))))
}

func sign(key *bls.SecretKey, t hashtree.Tree) []byte {
	return key.Sign(certificate.StateRootMessage(t.Hash()))
}

// certify makes a certificate of a canister's certified data, by the root subnet
// or, with a delegation, by the other.
func (n *testNetwork) certify(canister principal.ID, data []byte, delegated bool) []byte {
	state := tree(
		labeled([]byte("canister"), tree(labeled(canister.Bytes(), tree(labeled([]byte("certified_data"), hashtree.Leaf(data)))))),
		n.timeLeaf(),
	)
	c := &certificate.Certificate{Tree: state, Signature: sign(n.root, state)}
	if delegated {
		c.Signature = sign(n.subnet, state)
		c.Delegation = n.delegation()
	}
	return c.Append(nil)
}

func (n *testNetwork) delegation() *certificate.Delegation {
	der := n.subnet.PublicKeyDER()
	id := principal.SelfAuthenticating(der)
	ranges := cbor.AppendArray(cbor.AppendArray(cbor.AppendSelfDescribe(nil), 1), 2)
	low := principal.Canister(0).Bytes()
	ranges = cbor.AppendBytes(cbor.AppendBytes(ranges, low), principal.Canister(100).Bytes())
	about := []*hashtree.Labeled{labeled([]byte("public_key"), hashtree.Leaf(der))}
	if n.subnetType != "" {
		about = append(about, labeled([]byte("type"), hashtree.Leaf(n.subnetType)))
	}
	state := tree(
		labeled([]byte("canister_ranges"), tree(labeled(id.Bytes(), tree(labeled(low, hashtree.Leaf(ranges)))))),
		labeled([]byte("subnet"), tree(labeled(id.Bytes(), tree(about...)))),
		n.timeLeaf(),
	)
	parent := &certificate.Certificate{Tree: state, Signature: sign(n.root, state)}
	return &certificate.Delegation{Subnet: id, Certificate: parent.Append(nil)}
}

// sigTree is the tree in which a canister signs msg with a seed.
func sigTree(seed, msg, value []byte) hashtree.Tree {
	s, m := sha256.Sum256(seed), sha256.Sum256(msg)
	return tree(labeled([]byte("sig"), tree(labeled(s[:], tree(labeled(m[:], hashtree.Leaf(value)))))))
}

func encodeCanisterSig(cert []byte, t hashtree.Tree) []byte {
	b := cbor.AppendMap(cbor.AppendSelfDescribe(nil), 2)
	b = cbor.AppendBytes(cbor.AppendText(b, "certificate"), cert)
	return hashtree.Append(cbor.AppendText(b, "tree"), t)
}

// signer signs as a canister with a seed.
func (n *testNetwork) signer(canister principal.ID, seed []byte, delegated bool) testSigner {
	return testSigner{der: canisterKey(canister, seed), sign: func(msg []byte) []byte {
		t := sigTree(seed, msg, nil)
		root := t.Hash()
		return encodeCanisterSig(n.certify(canister, root[:], delegated), t)
	}}
}

// The test network of the light client makes certificates that canisters sign with, too.
func TestFakeNetworksCertifyCanisterSignatures(t *testing.T) {
	net := fakenet.New("canister signatures")
	v := New(Config{Certificates: &certificate.Verifier{RootKey: net.RootKey(), BLS: bls.VerifyBLS}})
	s := sigTree([]byte("seed"), message, nil)
	sig := encodeCanisterSig(net.CertifyData(now.Std(), canisterA, s.Hash()), s)
	must(t, v.Verify(canisterKey(canisterA, []byte("seed")), message, sig))
}

func TestCanistersSignRequests(t *testing.T) {
	n := newNetwork(t)
	for _, delegated := range []bool{false, true} {
		for _, seed := range [][]byte{nil, []byte("seed")} {
			s := n.signer(canisterA, seed, delegated)
			for _, kind := range kinds {
				auth, err := n.verifier().Check(signed(t, envelope.Keyed{Signer: s}, request(kind)), now)
				must(t, err)
				if auth.Sender != s.principal() {
					t.Fatalf("authenticated %s", auth.Sender)
				}
			}
		}
	}
}

func TestCanistersDelegateAndAreDelegatedTo(t *testing.T) {
	n := newNetwork(t)
	canister, user := n.signer(canisterA, []byte("seed"), true), newEd25519(t)
	for _, chain := range [][]testSigner{{canister, user}, {user, canister}} {
		_, err := n.verifier().Check(signed(t, chainOf(t, chain, nil), request(envelope.Call)), now)
		must(t, err)
	}
}

func TestCanisterSignaturesDoNotAge(t *testing.T) {
	n := newNetwork(t)
	n.issued = n.issued.Add(-20 * 24 * time.Hour)
	s := n.signer(canisterA, []byte("seed"), true)
	must(t, n.verifier().Verify(s.der, []byte("delegation of a month"), s.sign([]byte("delegation of a month"))))
}

func TestCanisterSignaturesThatDoNotHoldAreRefused(t *testing.T) {
	n, other := newNetwork(t), newNetwork(t)
	msg, seed := []byte("message"), []byte("seed")
	key := canisterKey(canisterA, seed)
	good := sigTree(seed, msg, nil)
	root := good.Hash()
	cert := n.certify(canisterA, root[:], true)
	must(t, n.verifier().Verify(key, msg, encodeCanisterSig(cert, good)))

	otherRoot := func(t hashtree.Tree) []byte { h := t.Hash(); return n.certify(canisterA, h[:], true) }
	pruned := hashtree.Witness(good, nil)
	valued := sigTree(seed, msg, []byte("x"))
	outside := principal.Canister(101)
	cloud, untyped := *n, *n
	cloud.subnetType, untyped.subnetType = "cloud_engine", ""
	for name, c := range map[string]struct{ key, msg, sig []byte }{
		"another message":              {key, []byte("other"), encodeCanisterSig(cert, good)},
		"another seed":                 {canisterKey(canisterA, []byte("other")), msg, encodeCanisterSig(cert, good)},
		"another canister":             {canisterKey(canisterB, seed), msg, encodeCanisterSig(cert, good)},
		"another root key":             {key, msg, encodeCanisterSig(other.certify(canisterA, root[:], true), good)},
		"another network's root":       {key, msg, encodeCanisterSig(other.certify(canisterA, root[:], false), good)},
		"a canister outside the range": {canisterKey(outside, seed), msg, encodeCanisterSig(n.certify(outside, root[:], true), good)},
		"data of another canister":     {key, msg, encodeCanisterSig(n.certify(canisterB, root[:], true), good)},
		"a tree that is not certified": {key, msg, encodeCanisterSig(n.certify(canisterA, []byte("data"), true), good)},
		"a pruned tree":                {key, msg, encodeCanisterSig(otherRoot(pruned), pruned)},
		"a value at the leaf":          {key, msg, encodeCanisterSig(otherRoot(valued), valued)},
		"a cloud engine":               {key, msg, encodeCanisterSig(cloud.certify(canisterA, root[:], true), good)},
		"a subnet without type":        {key, msg, encodeCanisterSig(untyped.certify(canisterA, root[:], true), good)},
		"no certificate":               {key, msg, encodeCanisterSig(nil, good)},
		"half a signature":             {key, msg, encodeCanisterSig(cert, good)[:50]},
		"not CBOR":                     {key, msg, []byte("signature")},
		"bytes after it":               {key, msg, append(encodeCanisterSig(cert, good), 0)},
	} {
		if err := n.verifier().Verify(c.key, c.msg, c.sig); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if New(Config{}).Verify(key, msg, encodeCanisterSig(cert, good)) == nil {
		t.Error("accepted without a verifier of certificates")
	}
}

func TestSenderInfoIsSignedByTheSendersCanister(t *testing.T) {
	n := newNetwork(t)
	s, user := n.signer(canisterA, []byte("seed"), true), newEd25519(t)
	info := func(signer principal.ID, data string, by testSigner) *envelope.SenderInfo {
		return &envelope.SenderInfo{Info: []byte(data), Signer: signer, Sig: by.sign(envelope.SenderInfoSignedBytes([]byte("info")))}
	}
	check := func(id envelope.Identity, i *envelope.SenderInfo) error {
		r := request(envelope.Query)
		r.SenderInfo = i
		_, err := n.verifier().Check(signed(t, id, r), now)
		return err
	}
	must(t, check(envelope.Keyed{Signer: s}, info(canisterA, "info", s)))
	must(t, check(chainOf(t, []testSigner{s, user}, nil), info(canisterA, "info", s)))
	for i, err := range []error{
		check(envelope.Keyed{Signer: s}, info(canisterB, "info", s)),
		check(envelope.Keyed{Signer: s}, info(canisterA, "else", s)),
		check(envelope.Keyed{Signer: s}, info(canisterA, "info", n.signer(canisterA, []byte("other"), true))),
		check(envelope.Keyed{Signer: user}, info(canisterA, "info", user)),
		check(envelope.Keyed{Signer: user}, info(principal.ID{}, "info", user)),
		check(chainOf(t, []testSigner{user, s}, nil), info(canisterA, "info", s)),
	} {
		if err == nil {
			t.Fatalf("bad sender info %d was accepted", i)
		}
		wantError[*SignatureError](t, err, "sender_info")
	}
}

func BenchmarkCheck(b *testing.B) {
	schemes := plainSchemes(b)
	n := newNetwork(b)
	schemes["canister signature"] = n.signer(canisterA, []byte("seed"), true)
	for name, s := range schemes {
		e := signed(b, envelope.Keyed{Signer: s}, request(envelope.Call))
		for _, entries := range []int{0, 100} {
			b.Run(fmt.Sprintf("%s/remembered=%t", name, entries > 0), func(b *testing.B) {
				v := New(Config{Certificates: n.verifier().certificates, CacheEntries: entries})
				for b.Loop() {
					if entries == 0 {
						v = n.verifier() // which has not met the certificate
					}
					_, err := v.Check(e, now)
					must(b, err)
				}
			})
		}
	}
}
