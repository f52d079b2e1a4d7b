package sync

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/lightclient/signature"
)

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// keys are private keys in every form that tools write, by the form's name.
func keys(t testing.TB) map[string][]byte {
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secp, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	type info struct {
		Version int
		Alg     struct{ Algorithm, Curve asn1.ObjectIdentifier }
		Key     []byte
	}
	sec1 := must(asn1.Marshal(sec1Key{Version: 1, Key: secp.Serialize(), Curve: oidSecp256k1(), Public: asn1.BitString{Bytes: secp.PubKey().SerializeUncompressed(), BitLength: 65 * 8}}))
	pkcs8 := info{Key: must(asn1.Marshal(sec1Key{Version: 1, Key: secp.Serialize()}))}
	pkcs8.Alg.Algorithm, pkcs8.Alg.Curve = oidECKey(), oidSecp256k1()
	// version 2 with the public key, as newer tools write Ed25519 keys
	v2 := append([]byte("\x30\x51\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"), ed.Seed()...)
	v2 = append(append(v2, "\x81\x21\x00"...), ed.Public().(ed25519.PublicKey)...)
	return map[string][]byte{
		"Ed25519 PKCS8":    pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ed))),
		"Ed25519 PKCS8 v2": pemOf("PRIVATE KEY", v2),
		"P-256 PKCS8":      pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p256))),
		"P-256 SEC1":       append(pemOf("EC PARAMETERS", must(asn1.Marshal(oidP256()))), pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(p256)))...),
		"secp256k1 SEC1":   append(pemOf("EC PARAMETERS", must(asn1.Marshal(oidSecp256k1()))), pemOf("EC PRIVATE KEY", sec1)...),
		"secp256k1 PKCS8":  pemOf("PRIVATE KEY", must(asn1.Marshal(pkcs8))),
	}
}

func TestKeysOfEveryFormSignWhatReplicasAccept(t *testing.T) {
	for name, text := range keys(t) {
		id, err := ParseIdentity(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		e, err := id.Sign(envelope.Request{Kind: envelope.Query, Canister: principal.Canister(1), Method: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if err := signature.New(signature.Config{}).Verify(e.SenderPublicKey, envelope.RequestSignedBytes(e.RequestID), e.SenderSig); err != nil {
			t.Errorf("%s: the signature does not hold: %v", name, err)
		}
	}
}

func TestFilesWithoutAUsableKeyAreRefusedWithTheReason(t *testing.T) {
	for want, text := range map[string][]byte{
		"no private key": []byte("hello"), "password": pemOf("ENCRYPTED PRIVATE KEY", []byte{1}), "the private key: ": pemOf("PRIVATE KEY", []byte{0x30, 0x80}),
		"no private key in PEM": pemOf("PUBLIC KEY", []byte{1}),
	} {
		if _, err := ParseIdentity(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	zero, err := asn1.Marshal(sec1Key{Version: 1, Key: make([]byte, 32), Curve: oidSecp256k1()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseIdentity(pemOf("EC PRIVATE KEY", zero)); err == nil || !strings.Contains(err.Error(), "range") {
		t.Errorf("a key of zero: %v", err)
	}
}

func FuzzParseIdentity(f *testing.F) {
	for _, text := range keys(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if id, err := ParseIdentity(text); err == nil {
			id.Sender()
		}
	})
}
