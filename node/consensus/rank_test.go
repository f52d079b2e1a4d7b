package consensus_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"portico/node/consensus"
	"portico/node/types"

	"pgregory.net/rapid"
)

func TestEveryMemberLeadsEquallyOften(t *testing.T) {
	const n, beacons = 10, 1000
	var first [n]int
	var notaries [n]int
	for i := range uint64(beacons) {
		beacon := &consensus.Aggregate{Signature: binary.BigEndian.AppendUint64(nil, i)}
		first[consensus.Makers(n, beacon)[0]]++
		for _, m := range consensus.Committee(n, beacon) {
			notaries[m]++
		}
	}
	chi := 0.0
	for m, got := range first {
		d := float64(got) - beacons/n
		chi += d * d / (beacons / n)
		if notaries[m] != beacons {
			t.Errorf("member %d of a committee of all is in it %d times", m, notaries[m])
		}
	}
	// 9 degrees of freedom: one fair draw in a thousand is above 27.9
	if chi > 27.9 {
		t.Errorf("members are of rank 0 %v times: chi squared is %.1f", first, chi)
	}
}

func TestMakersAndCommitteesAreDistinctMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 100).Draw(t, "members")
		beacon := &consensus.Aggregate{Signature: rapid.SliceOf(rapid.Byte()).Draw(t, "beacon")}
		makers, committee := consensus.Makers(n, beacon), consensus.Committee(n, beacon)
		if len(makers) != types.Faults(n)+1 || len(committee) != types.CommitteeSize(n) || !slices.IsSorted(committee) {
			t.Errorf("makers %v and committee %v of %d", makers, committee, n)
		}
		slices.Sort(makers)
		for _, drawn := range [][]types.Member{makers, committee} {
			if len(slices.Compact(slices.Clone(drawn))) != len(drawn) || int(drawn[len(drawn)-1]) >= n {
				t.Errorf("drawn of %d: %v", n, drawn)
			}
		}
		if !slices.Equal(consensus.Committee(n, &consensus.Aggregate{Signature: beacon.Signature}), committee) {
			t.Error("the same beacon draws others")
		}
	})
}

func TestRanksAreNotThoseOfTheCommittee(t *testing.T) {
	same := 0
	for i := range uint64(200) {
		beacon := &consensus.Aggregate{Signature: binary.BigEndian.AppendUint64(nil, i)}
		// of six members two are never in the committee of four
		if slices.Contains(consensus.Committee(6, beacon), consensus.Makers(6, beacon)[0]) {
			same++
		}
	}
	if same < 100 || same > 165 {
		t.Errorf("the maker of rank 0 is in the committee %d times out of 200, want about 133", same)
	}
}
