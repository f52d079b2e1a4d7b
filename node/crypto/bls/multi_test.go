package bls

import (
	"bytes"
	"errors"
	"math/big"
	"strings"
	"testing"

	"portico/lightclient/bls"

	blst "github.com/supranational/blst/bindings/go"
)

// signers are keys and their signatures on the message.
func signers(t testing.TB, n int) (secrets []*SecretKey, keys []*PublicKey, sigs [][]byte) {
	t.Helper()
	for i := range n {
		secret := newKey(t, byte(i+1))
		secrets = append(secrets, secret)
		keys = append(keys, parse(t, secret.PublicKey()))
		sigs = append(sigs, secret.Sign(message))
	}
	return secrets, keys, sigs
}

func parse(t testing.TB, b []byte) *PublicKey {
	t.Helper()
	k, err := ParsePublicKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAggregatesVerifyUnderExactlyTheirSigners(t *testing.T) {
	_, keys, sigs := signers(t, 4)
	for signed := 1; signed < 1<<4; signed++ {
		some := sets(sigs, signed)
		sum, err := AggregateSignatures(some)
		if err != nil {
			t.Fatal(err)
		}
		for named := 1; named < 1<<4; named++ {
			key, err := AggregateKeys(sets(keys, named))
			if err != nil {
				t.Fatal(err)
			}
			err = key.Verify(message, sum)
			pure := bls.Verify(key.Bytes(), message, sum)
			if right := signed == named; (err == nil) != right || (pure == nil) != right {
				t.Errorf("signed by %04b, verified for %04b: %v, in pure Go %v", signed, named, err, pure)
			}
		}
	}
}

// sets are the elements whose bits are set.
func sets[T any](all []T, mask int) (out []T) {
	for i, v := range all {
		if mask>>i&1 == 1 {
			out = append(out, v)
		}
	}
	return out
}

func TestAggregatesOfNothingAreErrors(t *testing.T) {
	if _, err := AggregateKeys(nil); err == nil {
		t.Error("no keys")
	}
	if _, err := AggregateSignatures(nil); err == nil {
		t.Error("no signatures")
	}
	_, _, sigs := signers(t, 1)
	for _, bad := range [][]byte{nil, sigs[0][:47], append([]byte{0xc0}, make([]byte, 47)...), make([]byte, 48)} {
		if _, err := AggregateSignatures([][]byte{sigs[0], bad}); err == nil {
			t.Errorf("%x is aggregated", bad)
		}
	}
}

// negative is the secret whose keys and signatures cancel those of another.
func negative(t testing.TB, k *SecretKey) *SecretKey {
	t.Helper()
	b := new(big.Int).Sub(order(), new(big.Int).SetBytes(k.Bytes())).FillBytes(make([]byte, SecretKeyLen))
	n, err := ParseSecretKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Two colluding members have proofs of possession of a key and its negative. Their sum, at
// infinity, would verify the signature at infinity on any message.
func TestColludingKeysDoNotAddUpToInfinity(t *testing.T) {
	secrets, keys, sigs := signers(t, 1)
	opposite := negative(t, secrets[0])
	if _, err := AggregateKeys([]*PublicKey{keys[0], parse(t, opposite.PublicKey())}); err == nil {
		t.Error("the sum of a key and its negative is a key")
	}
	sum, err := AggregateSignatures([][]byte{sigs[0], opposite.Sign(message)})
	if err != nil {
		t.Fatal(err)
	}
	if err := keys[0].Verify(message, sum); err == nil || !strings.Contains(err.Error(), "infinity") {
		t.Errorf("the signature at infinity: %v", err)
	}
}

func TestProofsOfPossessionStopRogueKeys(t *testing.T) {
	secrets, keys, sigs := signers(t, 2)
	honest, attacker := keys[0], secrets[1]
	// The rogue key is chosen so that with the honest one it adds up to the attacker's.
	difference := new(blst.P2).AddAssign(&keys[1].point)
	rogue := &PublicKey{*difference.SubAssign(&honest.point).ToAffine()}
	both, err := AggregateKeys([]*PublicKey{honest, rogue})
	if err != nil {
		t.Fatal(err)
	}
	if err := both.Verify(message, sigs[1]); err != nil {
		t.Fatalf("the attack does not work even without proofs: %v", err)
	}
	for name, proof := range map[string][]byte{
		"of the honest key":          secrets[0].ProvePossession(),
		"of the attacker's key":      attacker.ProvePossession(),
		"made with the attacker's":   new(blst.P1Affine).Sign(attacker.scalar, rogue.Bytes(), []byte(PossessionDST)).Compress(),
		"as a signature on the key":  attacker.Sign(rogue.Bytes()),
		"at infinity":                append([]byte{0xc0}, make([]byte, 47)...),
		"by difference of proofs":    differenceOf(attacker.ProvePossession(), secrets[0].ProvePossession()),
		"by difference, on the keys": differenceOf(attacker.Sign(rogue.Bytes()), secrets[0].Sign(rogue.Bytes())),
	} {
		if err := rogue.VerifyPossession(proof); err == nil {
			t.Errorf("a proof %s is accepted", name)
		}
	}
}

func differenceOf(a, b []byte) []byte { return plus(a, new(blst.P1Affine).Uncompress(b), -1) }

func TestPossessionIsProvedByTheHolderOnly(t *testing.T) {
	secrets, keys, _ := signers(t, 2)
	proof := secrets[0].ProvePossession()
	if err := keys[0].VerifyPossession(proof); err != nil {
		t.Error(err)
	}
	if err := keys[1].VerifyPossession(proof); !errors.Is(err, bls.ErrMismatch) {
		t.Errorf("another key: %v", err)
	}
	// A holder who can be made to sign anything has not been made to prove possession.
	if err := keys[0].VerifyPossession(secrets[0].Sign(secrets[0].PublicKey())); !errors.Is(err, bls.ErrMismatch) {
		t.Errorf("an ordinary signature on the key: %v", err)
	}
	if err := keys[0].Verify(secrets[0].PublicKey(), proof); !errors.Is(err, bls.ErrMismatch) {
		t.Errorf("a proof as an ordinary signature: %v", err)
	}
	if err := keys[0].VerifyPossession(plus(proof, outside(t), 1)); err == nil || errors.Is(err, bls.ErrMismatch) {
		t.Errorf("a proof outside the subgroup: %v", err)
	}
}

func TestPublicKeysSurviveEncoding(t *testing.T) {
	secrets, keys, _ := signers(t, 1)
	if !bytes.Equal(keys[0].Bytes(), secrets[0].PublicKey()) || !bytes.Equal(keys[0].DER(), secrets[0].PublicKeyDER()) {
		t.Error("the key changed")
	}
}
