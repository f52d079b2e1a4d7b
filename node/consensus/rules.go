package consensus

import "portico/node/types"

// Rules are the predicates that safety rests on. They stand apart so that tests can break
// one at a time and see that the simulator's checkers notice.
type Rules struct {
	// MayFinalize decides whether a node that signed the given blocks at a height may
	// finalize the one of these notarized ones that it names.
	MayFinalize func(notarized, signed []types.Hash) (types.Hash, bool)
	// MayTape decides whether the tape of a height may be signed.
	MayTape func(h, finalized types.Height) bool
	// Distinct leaves one share of each signer.
	Distinct func(shares []*Share) []*Share
}

// DefaultRules are the rules of the protocol.
func DefaultRules() Rules {
	return Rules{MayFinalize: mayFinalize, MayTape: mayTape, Distinct: distinct}
}

// mayFinalize: exactly one block is notarized, and the node signed no other. Then fewer than
// 2f+1 nodes can ever notarize another one.
func mayFinalize(notarized, signed []types.Hash) (types.Hash, bool) {
	if len(notarized) != 1 {
		return types.Hash{}, false
	}
	for _, s := range signed {
		if s != notarized[0] {
			return types.Hash{}, false
		}
	}
	return notarized[0], true
}

func mayTape(h, finalized types.Height) bool { return h <= finalized+1 }

func distinct(shares []*Share) []*Share {
	var out []*Share
	seen := map[types.Member]bool{}
	for _, s := range shares {
		if !seen[s.By] {
			seen[s.By] = true
			out = append(out, s)
		}
	}
	return out
}
