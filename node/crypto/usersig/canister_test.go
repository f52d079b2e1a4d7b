package usersig

import (
	"fmt"
	"testing"

	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
	"portico/lightclient/principal"
	"portico/lightclient/signature"
	"portico/lightclient/signature/testsigner"
	"portico/node/crypto/bls"
)

// configOf checks canister signatures of a network, as replicas do.
func configOf(n *fakenet.Network) signature.Config {
	return signature.Config{Certificates: &certificate.Verifier{RootKey: n.RootKey(), BLS: bls.VerifyBLS}}
}

// rootSigner signs as a canister of the root subnet with a seed.
func rootSigner(n *fakenet.Network, seed []byte) testsigner.Signer {
	return testsigner.Signer{DER: testsigner.CanisterKey(canisterA, seed), Signature: func(msg []byte) []byte {
		t := fakenet.SignatureTree(seed, msg, nil)
		root := t.Hash()
		return fakenet.EncodeSignature(n.CertifyAsRoot(now.Std(), fakenet.CanisterEntry(canisterA, root[:], "certified_data")), t)
	}}
}

func TestCanistersSignRequests(t *testing.T) {
	n := fakenet.New("a")
	for _, seed := range [][]byte{nil, []byte("seed")} {
		for _, s := range []testsigner.Signer{rootSigner(n, seed), testsigner.Canister(n, now.Std(), canisterA, seed)} {
			for _, kind := range kinds {
				auth, err := New(configOf(n)).Check(signed(t, envelope.Keyed{Signer: s}, request(kind)), now)
				must(t, err)
				if auth.Sender != s.Principal() {
					t.Fatalf("authenticated %s", auth.Sender)
				}
			}
		}
	}
}

func TestCanistersDelegateAndAreDelegatedTo(t *testing.T) {
	n := fakenet.New("a")
	canister, user := testsigner.Canister(n, now.Std(), canisterA, []byte("seed")), testsigner.Ed25519(t)
	for _, chain := range [][]testsigner.Signer{{canister, user}, {user, canister}} {
		_, err := New(configOf(n)).Check(signed(t, chainOf(t, chain, nil), request(envelope.Call)), now)
		must(t, err)
	}
}

func TestSenderInfoIsSignedByTheSendersCanister(t *testing.T) {
	n := fakenet.New("a")
	s, user := testsigner.Canister(n, now.Std(), canisterA, []byte("seed")), testsigner.Ed25519(t)
	info := func(signer principal.ID, data string, by testsigner.Signer) *envelope.SenderInfo {
		return &envelope.SenderInfo{Info: []byte(data), Signer: signer, Sig: by.Signature(envelope.SenderInfoSignedBytes([]byte("info")))}
	}
	check := func(id envelope.Identity, i *envelope.SenderInfo) error {
		r := request(envelope.Query)
		r.SenderInfo = i
		_, err := New(configOf(n)).Check(signed(t, id, r), now)
		return err
	}
	must(t, check(envelope.Keyed{Signer: s}, info(canisterA, "info", s)))
	must(t, check(chainOf(t, []testsigner.Signer{s, user}, nil), info(canisterA, "info", s)))
	for i, err := range []error{
		check(envelope.Keyed{Signer: s}, info(canisterB, "info", s)),
		check(envelope.Keyed{Signer: s}, info(canisterA, "else", s)),
		check(envelope.Keyed{Signer: s}, info(canisterA, "info", testsigner.Canister(n, now.Std(), canisterA, []byte("other")))),
		check(envelope.Keyed{Signer: user}, info(canisterA, "info", user)),
		check(envelope.Keyed{Signer: user}, info(principal.ID{}, "info", user)),
		check(chainOf(t, []testsigner.Signer{user, s}, nil), info(canisterA, "info", s)),
	} {
		if err == nil {
			t.Fatalf("bad sender info %d was accepted", i)
		}
		wantError[*signature.Error](t, err, "sender_info")
	}
}

func BenchmarkCheck(b *testing.B) {
	schemes := testsigner.All(b)
	n := fakenet.New("a")
	schemes["canister signature"] = testsigner.Canister(n, now.Std(), canisterA, []byte("seed"))
	for name, s := range schemes {
		e := signed(b, envelope.Keyed{Signer: s}, request(envelope.Call))
		for _, entries := range []int{0, 100} {
			b.Run(fmt.Sprintf("%s/remembered=%t", name, entries > 0), func(b *testing.B) {
				cfg := configOf(n)
				cfg.CacheEntries = entries
				v := New(cfg)
				for b.Loop() {
					if entries == 0 {
						v = New(configOf(n)) // which has not met the certificate
					}
					_, err := v.Check(e, now)
					must(b, err)
				}
			})
		}
	}
}
