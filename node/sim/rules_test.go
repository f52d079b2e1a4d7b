package sim

import (
	"slices"
	"strings"
	"testing"

	"portico/node/consensus"
	"portico/node/types"
)

// careless is a consensus.Crypto that does not notice if a share or signer is there twice.
type careless struct{ consensus.Crypto }

func (c careless) Combine(s consensus.Scheme, message []byte, shares []consensus.Signature) ([]byte, error) {
	once := slices.CompactFunc(slices.Clone(shares), func(a, b consensus.Signature) bool { return a.By == b.By })
	return c.Crypto.Combine(s, message, once)
}

func (c careless) VerifyCombined(s consensus.Scheme, signers []types.Member, message, signature []byte) error {
	return c.Crypto.VerifyCombined(s, slices.Compact(slices.Clone(signers)), message, signature)
}

// maxSeeds bounds how long a broken rule may go unnoticed.
const maxSeeds = 60

func TestSomeSeedNoticesABrokenRule(t *testing.T) {
	for _, rule := range []struct {
		name    string
		break_  func(*Options)
		noticed string // a part of the failure that tells of it
	}{
		{"finalize although two blocks are notarized", func(o *Options) {
			o.Rules.MayFinalize = func(notarized, _ []types.Hash) (types.Hash, bool) { return notarized[0], true }
		}, "as final and block"},
		{"finalize although another block was signed", func(o *Options) {
			o.Rules.MayFinalize = func(notarized, _ []types.Hash) (types.Hash, bool) { return notarized[0], len(notarized) == 1 }
		}, "as final and block"},
		{"sign the tape before the block is final", func(o *Options) {
			o.Rules.MayTape = func(_, _ types.Height) bool { return true }
		}, "it signed the randomness"},
		{"count a share twice", func(o *Options) {
			o.Rules.Distinct = func(s []*consensus.Share) []*consensus.Share { return append(s, s...) }
			o.Crypto = func(c consensus.Crypto) consensus.Crypto { return careless{c} }
		}, ""},
	} {
		t.Run(rule.name, func(t *testing.T) {
			found := false
			seen := uint64(0)
			for seed := uint64(1); seed <= maxSeeds && !found; seed++ {
				o := Options{Rules: consensus.DefaultRules(), ScoreLines: 20}
				rule.break_(&o)
				r := Run(seed, o)
				seen = seed
				if found = r.Failure != nil; found {
					t.Logf("seed %d: %v", seed, r.Failure)
					if !strings.Contains(r.Failure.Error(), rule.noticed) {
						t.Errorf("that is not what was broken:\n%s", r.String())
					}
				}
			}
			if !found {
				t.Errorf("%d seeds noticed nothing", seen)
			}
		})
	}
}
