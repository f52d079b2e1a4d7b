package bls

import (
	"errors"
	"fmt"

	"portico/lightclient/bls"

	blst "github.com/supranational/blst/bindings/go"
)

// PossessionDST is the domain separation tag of proofs of possession (the draft standard's
// "Proof of possession", for signatures in G1). It differs from that of signatures, so
// that nobody can be made to sign a proof.
const PossessionDST = "BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"

// A PublicKey is a decoded public key: a point of G2 that is in the subgroup and not
// at infinity. Decoding is a large part of the cost of a verification, so whoever
// meets a key again keeps it in this form. It never changes: any number of
// goroutines may use it.
type PublicKey struct{ point blst.P2Affine }

// ParsePublicKey reads 96 bytes and checks that they are a point of the subgroup other
// than infinity.
func ParsePublicKey(b []byte) (*PublicKey, error) {
	if len(b) != bls.PublicKeyLen {
		return nil, fmt.Errorf("bls: public key of %d bytes, expected %d", len(b), bls.PublicKeyLen)
	}
	k := &PublicKey{}
	if k.point.Uncompress(b) == nil || !k.point.KeyValidate() {
		return nil, errors.New("bls: public key is no point of the group, or the point at infinity")
	}
	return k, nil
}

// Bytes returns the 96 bytes that ParsePublicKey reads.
func (k *PublicKey) Bytes() []byte { return k.point.Compress() }

// DER returns the key in DER, 133 bytes.
func (k *PublicKey) DER() []byte { return bls.ToDER(k.Bytes()) }

// Verify checks a signature: its length, its subgroup, that it is not at infinity, then
// the pairing. A well-formed signature that is wrong gives the error bls.ErrMismatch of
// portico/lightclient/bls.
func (k *PublicKey) Verify(msg, sig []byte) error {
	return k.verify("signature", msg, sig, bls.DST)
}

// VerifyPossession checks the proof that somebody holds the key's secret.
func (k *PublicKey) VerifyPossession(proof []byte) error {
	return k.verify("proof of possession", k.Bytes(), proof, PossessionDST)
}

// verify runs on the caller's goroutine: blst's own Verify would start others for work
// that has no two halves.
func (k *PublicKey) verify(what string, msg, sig []byte, dst string) error {
	s, err := decodeSignature(what, sig)
	if err != nil {
		return err
	}
	if !s.InG1() {
		return fmt.Errorf("bls: %s is no point of the group", what)
	}
	ctx := blst.PairingCtx(true, []byte(dst))
	// Both points were checked; what else this could refuse is a product of no pairings.
	if blst.PairingAggregatePkInG2(ctx, &k.point, false, nil, false, msg) != 0 {
		return bls.ErrMismatch
	}
	// As one more pair of the product the signature shares its squarings with the key's pair,
	// which blst's own aggregate of signatures does not: a tenth of the work.
	blst.PairingRawAggregate(ctx, negatedGenerator, s)
	one := blst.Fp12One()
	if !blst.Fp12FinalVerify(blst.PairingAsFp12(ctx), &one) {
		return bls.ErrMismatch
	}
	return nil
}

// negatedGenerator is the inverse of the generator of G2: a signature is right if its pairing
// with this, times that of the message's hash with the key, is one.
var negatedGenerator = new(blst.P2).Sub(blst.P2Generator()).ToAffine()

// decodeSignature reads a point of the curve other than infinity. It may be outside the
// subgroup.
func decodeSignature(what string, sig []byte) (*blst.P1Affine, error) {
	if len(sig) != bls.SignatureLen {
		return nil, fmt.Errorf("bls: %s of %d bytes, expected %d", what, len(sig), bls.SignatureLen)
	}
	s := new(blst.P1Affine).Uncompress(sig)
	if s == nil {
		return nil, fmt.Errorf("bls: %s is no point of the curve", what)
	}
	if *s == (blst.P1Affine{}) {
		return nil, fmt.Errorf("bls: %s is the point at infinity", what)
	}
	return s, nil
}

// ProvePossession returns the proof that VerifyPossession checks, 48 bytes.
func (k *SecretKey) ProvePossession() []byte {
	return new(blst.P1Affine).Sign(k.scalar, k.PublicKey(), []byte(PossessionDST)).Compress()
}

// AggregateKeys returns the key under which the aggregate of the keys' signatures on one
// message verifies. It means that all of them signed only if for each of them a proof of
// possession was checked: without, a key chosen as the difference of another and the
// honest ones would speak for all. It is an error if there are none, and if they add up
// to the point at infinity, as keys of colluding holders can.
func AggregateKeys(keys []*PublicKey) (*PublicKey, error) {
	var sum blst.P2
	for _, k := range keys {
		sum.AddAssign(&k.point)
	}
	aggregate := &PublicKey{*sum.ToAffine()}
	if aggregate.point == (blst.P2Affine{}) {
		return nil, errors.New("bls: there are no public keys, or they add up to the point at infinity")
	}
	return aggregate, nil
}

// AggregateSignatures adds up signatures on one message: 48 bytes, which verify under the
// aggregate of their keys. It does not check that the signatures are in the subgroup:
// whoever verifies the sum does, and a sum that verifies is right whatever its parts were.
// It is an error if there are none.
func AggregateSignatures(sigs [][]byte) ([]byte, error) {
	if len(sigs) == 0 {
		return nil, errors.New("bls: there are no signatures to aggregate")
	}
	var sum blst.P1
	for _, b := range sigs {
		s, err := decodeSignature("signature", b)
		if err != nil {
			return nil, err
		}
		sum.AddAssign(s)
	}
	return sum.Compress(), nil
}
