package committee

import (
	"errors"
	"fmt"

	"portico/node/consensus"
	"portico/node/crypto/bls"
	"portico/node/types"
)

// Combine implements consensus.Crypto.
func (c *Crypto) Combine(s consensus.Scheme, _ []byte, shares []consensus.Signature) ([]byte, error) {
	combined, err := c.combine(s, shares)
	if err != nil {
		return nil, fmt.Errorf("combining %s signatures: %w", s, err)
	}
	return combined, nil
}

func (c *Crypto) combine(s consensus.Scheme, shares []consensus.Signature) ([]byte, error) {
	switch s {
	case consensus.SchemeNode:
		return nil, errNotCombined
	case consensus.SchemeCommittee:
		return c.aggregate(shares)
	case consensus.SchemeLow:
		return c.low.combine(shares)
	case consensus.SchemeHigh:
		return c.high.combine(shares)
	default:
		panic(unknown(s))
	}
}

var errNotCombined = errors.New("each node signs for itself alone")

func (c *Crypto) aggregate(shares []consensus.Signature) ([]byte, error) {
	signed := make([]bool, len(c.committee))
	signatures := make([][]byte, len(shares))
	for i, share := range shares {
		if int(share.By) >= len(signed) {
			return nil, fmt.Errorf("member %d of %d", share.By, len(signed))
		}
		if signed[share.By] {
			return nil, fmt.Errorf("two signatures of member %d", share.By)
		}
		signed[share.By] = true
		signatures[i] = share.Bytes
	}
	return bls.AggregateSignatures(signatures)
}

func (t *threshold) combine(shares []consensus.Signature) ([]byte, error) {
	if len(shares) < t.needed {
		return nil, fmt.Errorf("%d shares of the %d that it takes", len(shares), t.needed)
	}
	used := make([]bls.Share, t.needed)
	for i, share := range shares[:t.needed] {
		if int(share.By) >= len(t.shares) {
			return nil, fmt.Errorf("member %d of %d", share.By, len(t.shares))
		}
		used[i] = bls.Share{Member: int(share.By), Signature: share.Bytes}
	}
	return bls.Combine(used)
}

// VerifyCombined implements consensus.Crypto, with one pairing check for any number of
// signers.
func (c *Crypto) VerifyCombined(s consensus.Scheme, signers []types.Member, message, signature []byte) error {
	key, err := c.combinedKey(s, signers)
	if err == nil {
		err = key.Verify(message, signature)
	}
	if err != nil {
		return fmt.Errorf("combined %s signature: %w", s, err)
	}
	return nil
}

// combinedKey is the key that a combined signature verifies under.
func (c *Crypto) combinedKey(s consensus.Scheme, signers []types.Member) (*bls.PublicKey, error) {
	switch s {
	case consensus.SchemeNode:
		return nil, errNotCombined
	case consensus.SchemeCommittee:
		keys := make([]*bls.PublicKey, 0, min(len(signers), len(c.committee)))
		for i, m := range signers {
			if int(m) >= len(c.committee) {
				return nil, fmt.Errorf("signer %d of %d members", m, len(c.committee))
			}
			if i > 0 && m <= signers[i-1] {
				return nil, fmt.Errorf("signer %d follows %d: they are not in order", m, signers[i-1])
			}
			keys = append(keys, c.committee[m])
		}
		return bls.AggregateKeys(keys)
	case consensus.SchemeLow:
		return c.low.key, nil
	case consensus.SchemeHigh:
		return c.high.key, nil
	default:
		panic(unknown(s))
	}
}
