package bls

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/bits"
	"slices"

	blst "github.com/supranational/blst/bindings/go"
)

// MaxMembers bounds the members of a threshold key: their indices are below it.
const MaxMembers = 1 << 16

// Deal makes a threshold key for n members: a random polynomial f of degree threshold-1.
// The key's secret is f(0), which is not returned and forgotten; member i's secret
// share is f(i+1). The coefficients are public, compressed points of G2 of 96 bytes that
// ParseThresholdKey reads. The dealer is trusted: for the time of the call it
// knows everything.
func Deal(random io.Reader, threshold, n int) (shares []*SecretKey, coefficients [][]byte, err error) {
	if threshold < 1 || n < threshold || n > MaxMembers {
		return nil, nil, fmt.Errorf("bls: a threshold of %d among %d members: it must be at least 1 and at most their number, which is at most %d", threshold, n, MaxMembers)
	}
	polynomial := make([]*SecretKey, threshold)
	defer func() {
		for _, c := range polynomial {
			if c != nil {
				c.scalar.Zeroize()
			}
		}
	}()
	for i := range polynomial {
		if polynomial[i], err = GenerateKey(random); err != nil {
			return nil, nil, err
		}
		coefficients = append(coefficients, polynomial[i].PublicKey())
	}
	for i := range n {
		x := scalar(big.NewInt(int64(i) + 1))
		y := new(blst.SecretKey)
		notZero := false
		for _, c := range slices.Backward(polynomial) {
			y.MulAssign(x)
			_, notZero = y.AddAssign(c.scalar)
		}
		if !notZero {
			return nil, nil, fmt.Errorf("bls: the share of member %d is zero: the randomness is none", i)
		}
		shares = append(shares, &SecretKey{y})
	}
	return shares, coefficients, nil
}

// A ThresholdKey is the decoded public part of a threshold key. It never changes: any
// number of goroutines may use it.
type ThresholdKey struct{ coefficients []*PublicKey }

// ParseThresholdKey reads the coefficients that Deal returned; their number is the
// threshold. It refuses points outside the subgroup and the point at infinity, which no
// dealer who follows the rules ever makes.
func ParseThresholdKey(coefficients [][]byte) (*ThresholdKey, error) {
	if len(coefficients) == 0 || len(coefficients) > MaxMembers {
		return nil, fmt.Errorf("bls: threshold key of %d coefficients, want 1 to %d", len(coefficients), MaxMembers)
	}
	k := &ThresholdKey{}
	for i, b := range coefficients {
		c, err := ParsePublicKey(b)
		if err != nil {
			return nil, fmt.Errorf("coefficient %d: %w", i, err)
		}
		k.coefficients = append(k.coefficients, c)
	}
	return k, nil
}

// PublicKey is the key under which combined signatures verify.
func (k *ThresholdKey) PublicKey() *PublicKey { return k.coefficients[0] }

// Share is the public key of a member's share. It is an error if it is at infinity.
// It takes a short multiplication in G2 for each coefficient: whoever needs it again
// keeps it.
func (k *ThresholdKey) Share(member int) (*PublicKey, error) {
	if err := checkMember(member); err != nil {
		return nil, err
	}
	x := uint32(member) + 1
	xBytes := []byte{byte(x), byte(x >> 8), byte(x >> 16)}
	var y blst.P2
	for _, c := range slices.Backward(k.coefficients) {
		y.MultAssign(xBytes, bits.Len32(x))
		y.AddAssign(&c.point)
	}
	share := &PublicKey{*y.ToAffine()}
	if share.point == (blst.P2Affine{}) {
		return nil, fmt.Errorf("bls: the public key of member %d's share is the point at infinity", member)
	}
	return share, nil
}

func checkMember(i int) error {
	if i < 0 || i >= MaxMembers {
		return fmt.Errorf("bls: there is no member %d: indices are from 0 to %d", i, MaxMembers-1)
	}
	return nil
}

// Share is a member's signature with the share of a threshold key.
type Share struct {
	Member    int
	Signature []byte
}

// Combine interpolates shares of different members at 0: with as many as the threshold,
// or more, it is the same signature whoever they are, 48 bytes; with fewer it is none.
// It verifies nothing, and leaves out the check that shares are in the subgroup: the
// combined signature is checked by whoever verifies it, and as a key has only one
// signature on a message, one that verifies is right whatever it was made of.
func Combine(shares []Share) ([]byte, error) {
	if len(shares) == 0 {
		return nil, errors.New("bls: there are no shares to combine")
	}
	points := make([]*blst.P1Affine, len(shares))
	xs := make([]int64, len(shares))
	for i, s := range shares {
		if err := checkMember(s.Member); err != nil {
			return nil, err
		}
		xs[i] = int64(s.Member) + 1
		if slices.Contains(xs[:i], xs[i]) {
			return nil, fmt.Errorf("bls: two shares of member %d", s.Member)
		}
		var err error
		if points[i], err = decodeSignature("share", s.Signature); err != nil {
			return nil, fmt.Errorf("member %d: %w", s.Member, err)
		}
	}
	weights, divisor := lagrange(xs)
	sum := weighted(points, weights)
	if !divisor.IsInt64() || divisor.Int64() != 1 {
		sum.MultAssign(scalar(new(big.Int).ModInverse(divisor, order())))
	}
	return sum.Compress(), nil
}
