package signature

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"portico/lightclient/principal"
	"portico/lightclient/signature/testsigner"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	must(t, err)
	return b
}

// specCOSEKey is the example of the interface specification, "Web Authentication".
const specCOSEKey = `305E 300C 060A 2B06 0104 0183 B843 0101 034E 00
	A501 0203 2620 0121 5820 7FFD 8363 2072 FD1B FEAF 3FBA A431 46E0 EF95 C3F5 5E39
	94A4 1BBF 2B51 74D7 71DA 2258 2032 497E ED0A 7F6F 0009 2876 5B83 1816 2CFD 80A9
	4E52 5A6A 368C 2363 063D 04E6 ED`

func TestKeysOfEverySchemeAreRecognised(t *testing.T) {
	want := map[string]Scheme{
		"Ed25519": Ed25519, "P-256": ECDSAP256, "secp256k1": ECDSASecp256k1,
		"WebAuthn P-256": WebAuthn, "WebAuthn RSA": WebAuthn, "WebAuthn Ed25519": WebAuthn,
	}
	for name, s := range testsigner.All(t) {
		key, err := ParseKey(s.DER)
		if err != nil || key.Scheme != want[name] {
			t.Errorf("%s: %+v, %v", name, key, err)
		}
	}
	key, err := ParseKey(unhex(t, specCOSEKey))
	if err != nil || key.Scheme != WebAuthn {
		t.Errorf("the specification's COSE key: %+v, %v", key, err)
	}
	key, err = ParseKey(testsigner.CanisterKey(canisterA, []byte("seed")))
	if err != nil || key.Scheme != CanisterSignature || key.Signer != canisterA || string(key.Seed) != "seed" {
		t.Errorf("canister key: %+v, %v", key, err)
	}
}

func TestKeysWithAnotherFormAreRefused(t *testing.T) {
	ed, p256 := testsigner.Ed25519(t).DER, testsigner.P256(t).DER
	point := p256[len(p256)-pointBytes:]
	offCurve := bytes.Clone(point)
	offCurve[pointBytes-1] ^= 1
	hybrid := bytes.Clone(point)
	hybrid[0] = 6 + point[pointBytes-1]&1
	secp := testsigner.Secp256k1(t).DER
	secpPoint := secp[len(secp)-pointBytes:]
	secpHybrid := bytes.Clone(secpPoint)
	secpHybrid[0] = 6 + secpPoint[pointBytes-1]&1
	compressed, err := secp256k1.ParsePubKey(secpPoint)
	must(t, err)
	rsaKey := func(n []byte) []byte {
		return testsigner.SPKI(testsigner.COSEMap(testsigner.COSEInt(1, 3), testsigner.COSEInt(3, -257), testsigner.COSEBytes(-1, n), testsigner.COSEBytes(-2, []byte{1, 0, 1})), oidCOSE())
	}
	ones := func(bits int) []byte {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits))
		return n.Sub(n, big.NewInt(1)).Bytes()
	}
	for name, der := range map[string][]byte{
		"empty":                   {},
		"bytes after the key":     append(bytes.Clone(ed), 0),
		"cut off":                 ed[:len(ed)-1],
		"length not minimal":      append([]byte{0x30, 0x81}, ed[1:]...),
		"unused bits":             bytes.Replace(ed, []byte{0x03, 0x21, 0x00}, []byte{0x03, 0x21, 0x01}, 1),
		"Ed25519 with parameters": testsigner.SPKI(ed[12:], oidEd25519(), oidP256()),
		"Ed25519 of 31 bytes":     testsigner.SPKI(ed[13:], oidEd25519()),
		"Ed25519 raw":             ed[12:],
		"P-256 off the curve":     testsigner.SPKI(offCurve, oidEC(), oidP256()),
		"P-256 at infinity":       testsigner.SPKI([]byte{0}, oidEC(), oidP256()),
		"P-256 hybrid":            testsigner.SPKI(hybrid, oidEC(), oidP256()),
		"P-256 on secp256k1":      testsigner.SPKI(point, oidEC(), oidSecp256k1()),
		"no curve":                testsigner.SPKI(point, oidEC()),
		"secp256k1 compressed":    testsigner.SPKI(compressed.SerializeCompressed(), oidEC(), oidSecp256k1()),
		"secp256k1 hybrid":        testsigner.SPKI(secpHybrid, oidEC(), oidSecp256k1()),
		"unknown curve":           testsigner.SPKI(point, oidEC(), oidEd25519()),
		"unknown algorithm":       testsigner.SPKI(point, oidP256()),
		"COSE not CBOR":           testsigner.SPKI([]byte("key"), oidCOSE()),
		"COSE empty":              testsigner.SPKI(nil, oidCOSE()),
		"COSE ES384":              testsigner.SPKI(testsigner.COSEMap(testsigner.COSEInt(1, 2), testsigner.COSEInt(3, -35), testsigner.COSEInt(-1, 2), testsigner.COSEBytes(-2, make([]byte, 48)), testsigner.COSEBytes(-3, make([]byte, 48))), oidCOSE()),
		"COSE secp256k1":          testsigner.SPKI(testsigner.COSEMap(testsigner.COSEInt(1, 2), testsigner.COSEInt(3, -47), testsigner.COSEInt(-1, 8), testsigner.COSEBytes(-2, secpPoint[1:33]), testsigner.COSEBytes(-3, secpPoint[33:])), oidCOSE()),
		"COSE off the curve":      testsigner.SPKI(testsigner.COSEMap(testsigner.COSEInt(1, 2), testsigner.COSEInt(3, -7), testsigner.COSEInt(-1, 1), testsigner.COSEBytes(-2, offCurve[1:33]), testsigner.COSEBytes(-3, offCurve[33:])), oidCOSE()),
		"COSE PS256":              testsigner.SPKI(testsigner.COSEMap(testsigner.COSEInt(1, 3), testsigner.COSEInt(3, -37), testsigner.COSEBytes(-1, ones(2048)), testsigner.COSEBytes(-2, []byte{3})), oidCOSE()),
		"RSA of 2047 bits":        rsaKey(ones(2047)),
		"RSA of 8193 bits":        rsaKey(ones(8193)),
		"RSA of many zeros":       rsaKey(append(make([]byte, 256), 1)),
		"canister key empty":      testsigner.SPKI(nil, oidCanister()),
		"canister id cut off":     testsigner.SPKI([]byte{10, 1, 2}, oidCanister()),
		"canister id too long":    testsigner.SPKI(append([]byte{30}, make([]byte, 40)...), oidCanister()),
	} {
		if key, err := ParseKey(der); err == nil {
			t.Errorf("%s: accepted as %s", name, key.Scheme)
		}
	}
}

func TestSignaturesOfAnotherLengthAreRefused(t *testing.T) {
	v := New(Config{})
	for name, s := range testsigner.All(t) {
		sig := s.Signature([]byte("message"))
		must(t, v.Verify(s.DER, []byte("message"), sig))
		for _, bad := range [][]byte{nil, {}, sig[:len(sig)-1], append(bytes.Clone(sig), 0)} {
			if v.Verify(s.DER, []byte("message"), bad) == nil {
				t.Errorf("%s: signature of %d bytes accepted", name, len(bad))
			}
		}
	}
}

func TestBothHalvesOfECDSAAreAccepted(t *testing.T) {
	// A signer may give s or its negative; the standard curves' signers give either.
	s := testsigner.Secp256k1(t)
	sig := s.Signature([]byte("message"))
	var high secp256k1.ModNScalar
	high.SetByteSlice(sig[scalarBytes:])
	high.Negate()
	b := high.Bytes()
	must(t, New(Config{}).Verify(s.DER, []byte("message"), append(bytes.Clone(sig[:scalarBytes]), b[:]...)))

	zero := make([]byte, rawSigBytes)
	if New(Config{}).Verify(s.DER, []byte("message"), zero) == nil {
		t.Fatal("r = s = 0 was accepted")
	}
	overflow := bytes.Repeat([]byte{0xff}, rawSigBytes)
	if New(Config{}).Verify(s.DER, []byte("message"), overflow) == nil {
		t.Fatal("r and s above the order were accepted")
	}
}

func TestSelfAuthenticatingPrincipalOfAcanisterKey(t *testing.T) {
	if a, b := testsigner.CanisterKey(canisterA, nil), testsigner.CanisterKey(canisterB, nil); principal.SelfAuthenticating(a) == principal.SelfAuthenticating(b) {
		t.Fatal("two canisters share a user principal")
	}
}
