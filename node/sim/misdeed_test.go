package sim

import (
	"bytes"
	"testing"
	"time"

	"portico/node/artifact"
	"portico/node/consensus"
	"portico/node/types"
)

// kept counts what an honest node's store holds that a member made.
func kept(t *testing.T, s *Subnet, node int, by types.Member) (proposals, equivocations int) {
	t.Helper()
	err := s.members[node].store.Load(func(it artifact.Item) error {
		a, err := consensus.Decode(it.ID, it.Encoded)
		switch a := a.(type) {
		case *consensus.Proposal:
			if a.Maker == by {
				proposals++
			}
		case *consensus.Equivocation:
			if a.Maker == by {
				equivocations++
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return proposals, equivocations
}

func TestByzantineNodesDoWhatTheyAreSaidTo(t *testing.T) {
	for m := Honest; m < misdeeds; m++ {
		var proposals, equivocations int
		for seed := range uint64(3) { // in one run alone the beacon may never rank it first
			s := NewSubnet(SubnetConfig{Seed: seed, Nodes: 4, Misdeeds: map[int]Misdeed{3: m}, Interval: 100, Score: NewScore(0)})
			s.StartAll()
			s.Load.Rate(5)
			s.World.Run(20 * time.Second)
			if err := s.World.Failure(); err != nil {
				t.Errorf("%s: %v", m, err)
			}
			if h := s.Checker.Certified(); h < 10 {
				t.Errorf("%s: height %d after 20 s", m, h)
			}
			p, e := kept(t, s, 1, 3)
			proposals, equivocations = proposals+p, equivocations+e
		}
		// who floods is soon not listened to any more
		if none := m == Silence; m != Flood && (proposals == 0) != none {
			t.Errorf("%s: node 1 has %d of its proposals", m, proposals)
		}
		// who distorts signs another block for each peer, and two that break no rule may meet
		if some := m == Equivocate; m != Distort && (equivocations > 0) != some {
			t.Errorf("%s: node 1 has %d proofs of its equivocation", m, equivocations)
		}
	}
}

func TestArtifactsAreLeftOutOfFramesAndNothingElseChanges(t *testing.T) {
	s := NewSubnet(SubnetConfig{Seed: 1, Nodes: 4, Misdeeds: map[int]Misdeed{3: Replay}, Score: NewScore(0)})
	s.StartAll()
	s.Load.Rate(5)
	s.World.Run(10 * time.Second)
	sent := s.World.hosts[3].handler.(*offender).sent
	shares, others := 0, 0
	for _, x := range sent {
		same := withArtifacts(x.frame, func(id artifact.ID, encoded []byte) (artifact.ID, []byte, bool) {
			if shareKind(id.Kind) {
				shares++
			} else {
				others++
			}
			return id, encoded, true
		})
		if !bytes.Equal(same, x.frame) {
			t.Fatalf("a frame changed from %x to %x", x.frame, same)
		}
		less := withArtifacts(x.frame, func(id artifact.ID, encoded []byte) (artifact.ID, []byte, bool) {
			return id, encoded, !shareKind(id.Kind)
		})
		withArtifacts(less, func(id artifact.ID, encoded []byte) (artifact.ID, []byte, bool) {
			if shareKind(id.Kind) {
				t.Errorf("%s was not left out", id)
			}
			others--
			return id, encoded, true
		})
	}
	if shares == 0 || others != 0 {
		t.Errorf("%d shares; of the others, %d were lost", shares, others)
	}
}
