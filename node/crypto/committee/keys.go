package committee

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"portico/lightclient/cbor"
	"portico/node/crypto/bls"
	"portico/node/registry"
	"portico/node/types"
)

// Keys are the secrets of one member: what it signs with under each scheme.
type Keys struct {
	// Node signs block proposals.
	Node ed25519.PrivateKey
	// Committee signs notarizations and finalizations.
	Committee *bls.SecretKey
	// Low and High are the member's shares of the subnet's threshold keys.
	Low, High *bls.SecretKey
}

// keysItems is the length of the CBOR array that Keys are.
const keysItems = 4

// Encode is the keys as a file holds them: CBOR, an array of the seed of the node's key
// and the committee key, the low and the high share, 32 bytes each.
func (k *Keys) Encode() []byte {
	out := cbor.AppendArray(nil, keysItems)
	out = cbor.AppendBytes(out, k.Node.Seed())
	for _, secret := range []*bls.SecretKey{k.Committee, k.Low, k.High} {
		out = cbor.AppendBytes(out, secret.Bytes())
	}
	return out
}

// DecodeKeys reads what Encode wrote. Errors name the key that is wrong and never show it.
func DecodeKeys(b []byte) (*Keys, error) {
	d := cbor.NewDecoder(b)
	if n, err := d.Array(); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	} else if n != keysItems {
		return nil, fmt.Errorf("keys: expected %d items, found %d", keysItems, n)
	}
	k := &Keys{}
	seed, err := d.Bytes()
	if err != nil {
		return nil, fmt.Errorf("keys: node key: %w", err)
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("keys: node key of %d bytes, expected %d", len(seed), ed25519.SeedSize)
	}
	k.Node = ed25519.NewKeyFromSeed(seed)
	for _, field := range []struct {
		name   string
		secret **bls.SecretKey
	}{{"committee key", &k.Committee}, {"low share", &k.Low}, {"high share", &k.High}} {
		secret, err := d.Bytes()
		if err != nil {
			return nil, fmt.Errorf("keys: %s: %w", field.name, err)
		}
		if *field.secret, err = bls.ParseSecretKey(secret); err != nil {
			return nil, fmt.Errorf("keys: %s: %w", field.name, err)
		}
	}
	if err := d.End(); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if !bytes.Equal(k.Encode(), b) {
		return nil, errors.New("keys: the encoding is not the shortest")
	}
	return k, nil
}

// Shares are a member's shares of the subnet's threshold keys.
type Shares struct{ Low, High *bls.SecretKey }

// Deal makes the threshold keys of a new subnet of n members: one that f+1 sign with
// and one that 2f+1 do. Member i gets shares[i]. Whoever calls it could sign for
// the subnet until it has handed the shares out and forgotten them.
func Deal(random io.Reader, n int) (low, high registry.Transcript, shares []Shares, err error) {
	low.Threshold, high.Threshold = types.Faults(n)+1, types.Quorum(n)
	lows, lowCoefficients, err := bls.Deal(random, low.Threshold, n)
	if err != nil {
		return low, high, nil, fmt.Errorf("low threshold key: %w", err)
	}
	highs, highCoefficients, err := bls.Deal(random, high.Threshold, n)
	if err != nil {
		return low, high, nil, fmt.Errorf("high threshold key: %w", err)
	}
	low.Coefficients, high.Coefficients = lowCoefficients, highCoefficients
	for i := range n {
		shares = append(shares, Shares{lows[i], highs[i]})
	}
	return low, high, shares, nil
}
