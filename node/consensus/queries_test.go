package consensus_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/types"
)

// epochLength is that of the queries in these tests: the block of height 8 is in epoch 2.
const epochLength = 4

// withEpochs is a subnet that counts queries in short epochs.
func withEpochs(t testing.TB) *subnet {
	s := newSubnet(t, 4)
	s.records.Subnet.QueryEpoch, s.records.Subnet.FirstCanister, s.records.Subnet.LastCanister = epochLength, 10, 5000
	return s
}

func report(index uint64) types.QueryReport {
	return types.QueryReport{Canister: principal.Canister(index), QueryCounts: types.QueryCounts{Calls: index, Instructions: 2, RequestBytes: 3, ReplyBytes: 4}}
}

func reports(indices ...uint64) (out []types.QueryReport) {
	for _, i := range indices {
		out = append(out, report(i))
	}
	return out
}

func reporting(r ...types.QueryReport) func(*consensus.Block) {
	return func(b *consensus.Block) { b.Queries = r }
}

func TestWrongReportsOfQueriesAreBlamedWithTheReason(t *testing.T) {
	s := withEpochs(t)
	none := report(12)
	none.Calls = 0
	for name, x := range map[string]struct {
		height types.Height
		edit   func(*consensus.Block)
		want   string
	}{
		"in order":                       {8, reporting(reports(10, 11, 5000)...), "valid"},
		"of the epoch before the first":  {3, reporting(reports(10)...), "an epoch before the first"},
		"in a summary block":             {interval, reporting(reports(20)...), "a summary block reports no queries"},
		"out of order":                   {8, reporting(reports(11, 10)...), "after those to"},
		"twice":                          {8, reporting(reports(11, 11)...), "after those to"},
		"before the first canister":      {8, reporting(reports(9)...), "does not host"},
		"beyond the last canister":       {8, reporting(reports(5001)...), "does not host"},
		"to somebody who is no canister": {8, reporting(types.QueryReport{Canister: principal.SelfAuthenticating(nil), QueryCounts: none.QueryCounts.Plus(report(1).QueryCounts, 1)}), "does not host"},
		"none":                           {8, reporting(none), "reports no queries"},
	} {
		t.Run(name, func(t *testing.T) {
			n, tip := judged(s, x.height-1)
			n.t = t
			p := s.block(tip, 0, x.edit)
			n.get(p.Maker, p)
			n.run()
			n.expectFate(p, x.want)
		})
	}
}

func TestNobodyReportsACanisterTwiceInAnEpoch(t *testing.T) {
	s := withEpochs(t)
	maker := s.makers(9)[0]
	for name, x := range map[string]struct {
		before func(n *node)
		want   string
	}{
		"reported in the certified state": {func(n *node) { n.queries.reported[s.id(maker)] = principal.Canister(20) }, "after those to"},
		"reported by somebody else":       {func(n *node) { n.queries.reported[s.id((maker+1)%4)] = principal.Canister(20) }, "valid"},
	} {
		t.Run(name, func(t *testing.T) {
			n, tip := judged(s, 8)
			n.t = t
			x.before(n)
			p := s.block(tip, 0, reporting(reports(20)...))
			n.get(p.Maker, p)
			n.run()
			n.expectFate(p, x.want)
		})
	}
}

func TestTheChainSinceTheCertifiedStateCountsAsReported(t *testing.T) {
	s := withEpochs(t)
	both := slices.IndexFunc(s.makers(8), func(m types.Member) bool { return slices.Contains(s.makers(9), m) })
	if both < 0 {
		t.Fatal("no member may make both blocks: choose other heights")
	}
	n := s.node(s.without(9))
	tip := n.grow(s.genesis, 7)
	first := s.block(tip, both, reporting(reports(20)...))
	n.haveFinal(first)
	second := s.block(first.Block, slices.Index(s.makers(9), first.Maker), reporting(reports(20)...))
	n.get(second.Maker, second)
	n.after(time.Hour)
	n.expectFate(second, "after those to")
}

func TestMakersReportWhatTheyHaveNotReported(t *testing.T) {
	s := withEpochs(t)
	maker := s.makers(9)[0]
	for name, x := range map[string]struct {
		certified types.Height
		reported  uint64
		want      []types.QueryReport
	}{
		"all":                                    {8, 0, reports(20, 30)},
		"the rest":                               {8, 20, reports(30)},
		"nothing more":                           {8, 30, nil},
		"nothing while users see the last epoch": {7, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			n := s.node(maker)
			n.t = t
			n.queries.counted = reports(20, 30)
			if x.reported > 0 {
				n.queries.reported[s.id(maker)] = principal.Canister(x.reported)
			}
			n.grow(s.genesis, 8)
			n.progress.Certified = x.certified
			n.after(time.Hour)
			if b := n.proposed(9); b == nil || !slices.Equal(b.Queries, x.want) {
				t.Errorf("the block is %+v, want the reports %v", b, x.want)
			}
		})
	}
}

func TestBlocksReportAThousandCanistersAtMost(t *testing.T) {
	s := withEpochs(t)
	n := s.node(s.makers(9)[0])
	for i := range uint64(consensus.MaxQueryReports + 1) {
		n.queries.counted = append(n.queries.counted, report(20+i))
	}
	n.grow(s.genesis, 8)
	n.after(time.Hour)
	b := n.proposed(9)
	if b == nil || len(b.Queries) != consensus.MaxQueryReports {
		t.Fatalf("the block is %v", b)
	}
	p := s.proposal(b, n.self)
	again, err := consensus.Decode(p.ID(), p.Encode(false))
	if err != nil || !slices.Equal(again.(*consensus.Proposal).Block.Queries, b.Queries) {
		t.Errorf("the reports are not read as they were written: %v", err)
	}
	b.Queries = n.queries.counted
	if _, err := consensus.DecodeKind(artifact.Proposal, s.proposal(b, n.self).Encode(false)); err == nil || !strings.Contains(err.Error(), "at most 1000 canisters") {
		t.Errorf("a thousand and one reports: %v", err)
	}
}
