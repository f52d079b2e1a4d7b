package types

import "math/bits"

// DefaultQueryEpoch is the number of heights of which queries are counted together
// (QUERY_STATS_EPOCH_LENGTH of the reference implementation).
const DefaultQueryEpoch Height = 600

// QueryEpoch is the epoch that a height belongs to. A length of 0 means DefaultQueryEpoch.
func QueryEpoch(h, length Height) uint64 {
	if length == 0 {
		length = DefaultQueryEpoch
	}
	return uint64(h / length)
}

// QueryCounts count the queries that a canister answered.
type QueryCounts struct {
	Calls, Instructions      uint64
	RequestBytes, ReplyBytes uint64
}

// Plus adds times d, saturating.
func (c QueryCounts) Plus(d QueryCounts, times uint64) QueryCounts {
	return QueryCounts{
		plus(c.Calls, d.Calls, times), plus(c.Instructions, d.Instructions, times),
		plus(c.RequestBytes, d.RequestBytes, times), plus(c.ReplyBytes, d.ReplyBytes, times),
	}
}

// plus is a + b * times, or the largest number.
func plus(a, b, times uint64) uint64 {
	over, product := bits.Mul64(b, times)
	sum, carry := bits.Add64(a, product, 0)
	if over != 0 || carry != 0 {
		return 1<<64 - 1
	}
	return sum
}

// QueryReport is what a node counted of the queries to a canister in an epoch.
type QueryReport struct {
	Canister CanisterID
	QueryCounts
}
