package consensus

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"portico/node/types"
)

// Purposes for which the members are shuffled by a beacon.
const (
	domainRanking   = "\x13block-maker-ranking"
	domainCommittee = "\x10notary-committee"
)

// shuffled is a permutation of n members that follows from a beacon and a purpose:
// Fisher and Yates with numbers from SHA-256 in counter mode.
func shuffled(n int, beacon *Aggregate, purpose string) []types.Member {
	out := make([]types.Member, n)
	for i := range out {
		out[i] = types.Member(i)
	}
	seed := sha256.Sum256(append([]byte(purpose), beacon.Signature...))
	var stream []byte
	for i, block := n-1, uint64(0); i > 0; i-- {
		if len(stream) < 8 {
			next := sha256.Sum256(binary.BigEndian.AppendUint64(seed[:], block))
			stream, block = next[:], block+1
		}
		// the bias of a 64-bit number modulo a thousand is beyond measuring
		j := binary.BigEndian.Uint64(stream) % uint64(i+1)
		stream = stream[8:]
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// Makers are the block makers of the height after a beacon's: f + 1 members, the
// one of rank 0 first.
func Makers(n int, beacon *Aggregate) []types.Member {
	return shuffled(n, beacon, domainRanking)[:types.Faults(n)+1]
}

// Committee are the members who notarize and finalize at the height after a beacon's, in order.
func Committee(n int, beacon *Aggregate) []types.Member {
	out := shuffled(n, beacon, domainCommittee)[:types.CommitteeSize(n)]
	slices.Sort(out)
	return out
}
