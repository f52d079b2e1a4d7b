package signature

import (
	"testing"
	"time"

	"portico/lightclient/bls"
	"portico/lightclient/certificate"
	"portico/lightclient/fakenet"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/lightclient/signature/testsigner"
)

var (
	now       = time.Unix(1_800_000_000, 0).UTC()
	canisterA = principal.Canister(1)
	canisterB = principal.Canister(2)
)

// verifierOf makes a Verifier that remembers nothing.
func verifierOf(n *fakenet.Network) *Verifier {
	return New(Config{Certificates: &certificate.Verifier{RootKey: n.RootKey(), BLS: bls.Verify}})
}

func TestCanisterSignaturesDoNotAge(t *testing.T) {
	n := fakenet.New("month")
	s := testsigner.Canister(n, now.Add(-20*24*time.Hour), canisterA, []byte("seed"))
	must(t, verifierOf(n).Verify(s.DER, []byte("delegation of a month"), s.Signature([]byte("delegation of a month"))))
}

func TestCanisterSignaturesThatDoNotHoldAreRefused(t *testing.T) {
	n, other := fakenet.New("a"), fakenet.New("b")
	certify := func(n *fakenet.Network, canister principal.ID, data []byte) []byte {
		return n.Certify(now, fakenet.CanisterEntry(canister, data, "certified_data"))
	}
	msg, seed := []byte("message"), []byte("seed")
	key := testsigner.CanisterKey(canisterA, seed)
	good := fakenet.SignatureTree(seed, msg, nil)
	root := good.Hash()
	cert := certify(n, canisterA, root[:])
	must(t, verifierOf(n).Verify(key, msg, fakenet.EncodeSignature(cert, good)))

	otherRoot := func(t hashtree.Tree) []byte { h := t.Hash(); return certify(n, canisterA, h[:]) }
	pruned := hashtree.Witness(good, nil)
	valued := fakenet.SignatureTree(seed, msg, []byte("x"))
	outside := principal.Canister(0x100000)
	cloud, untyped := *n, *n
	cloud.SubnetType, untyped.SubnetType = "cloud_engine", ""
	for name, c := range map[string]struct{ key, msg, sig []byte }{
		"another message":              {key, []byte("other"), fakenet.EncodeSignature(cert, good)},
		"another seed":                 {testsigner.CanisterKey(canisterA, []byte("other")), msg, fakenet.EncodeSignature(cert, good)},
		"another canister":             {testsigner.CanisterKey(canisterB, seed), msg, fakenet.EncodeSignature(cert, good)},
		"another root key":             {key, msg, fakenet.EncodeSignature(certify(other, canisterA, root[:]), good)},
		"another network's root":       {key, msg, fakenet.EncodeSignature(other.CertifyAsRoot(now, fakenet.CanisterEntry(canisterA, root[:], "certified_data")), good)},
		"a canister outside the range": {testsigner.CanisterKey(outside, seed), msg, fakenet.EncodeSignature(certify(n, outside, root[:]), good)},
		"data of another canister":     {key, msg, fakenet.EncodeSignature(certify(n, canisterB, root[:]), good)},
		"a tree that is not certified": {key, msg, fakenet.EncodeSignature(certify(n, canisterA, []byte("data")), good)},
		"a pruned tree":                {key, msg, fakenet.EncodeSignature(otherRoot(pruned), pruned)},
		"a value at the leaf":          {key, msg, fakenet.EncodeSignature(otherRoot(valued), valued)},
		"a cloud engine":               {key, msg, fakenet.EncodeSignature(certify(&cloud, canisterA, root[:]), good)},
		"a subnet without type":        {key, msg, fakenet.EncodeSignature(certify(&untyped, canisterA, root[:]), good)},
		"no certificate":               {key, msg, fakenet.EncodeSignature(nil, good)},
		"half a signature":             {key, msg, fakenet.EncodeSignature(cert, good)[:50]},
		"not CBOR":                     {key, msg, []byte("signature")},
		"bytes after it":               {key, msg, append(fakenet.EncodeSignature(cert, good), 0)},
	} {
		if err := verifierOf(n).Verify(c.key, c.msg, c.sig); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if New(Config{}).Verify(key, msg, fakenet.EncodeSignature(cert, good)) == nil {
		t.Error("accepted without a verifier of certificates")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
