package types

// Member is the index of a node among the members of its subnet, which are in the
// order of their ids. It holds for one registry version.
type Member uint16

// Faults is f, the number of nodes out of n that may fail in any way (3f < n).
func Faults(n int) int { return (max(n, 1) - 1) / 3 }

// CommitteeSize is 3f + 1, the number of nodes that notarize and finalize at a height.
func CommitteeSize(n int) int { return 3*Faults(n) + 1 }

// Quorum is 2f + 1: any two quorums of a committee share an honest node.
func Quorum(n int) int { return CommitteeSize(n) - Faults(n) }
