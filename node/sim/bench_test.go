package sim

import (
	"fmt"
	"testing"
	"time"

	"portico/node/consensus"
	"portico/node/crypto/committee"
	"portico/node/live"
	"portico/node/types"
)

// tally counts what a node signs and verifies.
type tally struct {
	consensus.Crypto
	made, verified *int
}

func (t tally) Sign(s consensus.Scheme, message []byte) []byte {
	*t.made++
	return t.Crypto.Sign(s, message)
}

func (t tally) Verify(s consensus.Scheme, by types.Member, message, signature []byte) error {
	*t.verified++
	return t.Crypto.Verify(s, by, message, signature)
}

func (t tally) VerifyCombined(s consensus.Scheme, signers []types.Member, message, signature []byte) error {
	*t.verified++
	return t.Crypto.VerifyCombined(s, signers, message, signature)
}

// memberOf tells whose crypto it is, by what others accept from it.
func memberOf(c consensus.Crypto, n int) types.Member {
	message := []byte("who am I")
	signature := c.Sign(consensus.SchemeNode, message)
	for m := range types.Member(n) {
		if c.Verify(consensus.SchemeNode, m, message, signature) == nil {
			return m
		}
	}
	panic("sim: nobody's crypto")
}

// BenchmarkHeightWithRealSignatures is what a height costs all nodes of a subnet together, and
// one of them, with the keys and signatures of a real one.
func BenchmarkHeightWithRealSignatures(b *testing.B) {
	for _, n := range []int{4, 7, 13} {
		b.Run(fmt.Sprint("nodes=", n), func(b *testing.B) {
			records, members, err := live.Deal(live.Genesis{
				Addresses: make([]live.Addresses, n), UnitDelay: time.Second, NotaryDelay: time.Millisecond, Interval: 100, LastCanister: 1,
			})
			if err != nil {
				b.Fatal(err)
			}
			var made, verified int
			s := NewSubnet(SubnetConfig{Seed: 1, Nodes: n, Interval: 100, Score: NewScore(1), Crypto: func(c consensus.Crypto) consensus.Crypto {
				m := memberOf(c, n)
				real, err := committee.New(records, members[m].Keys, m)
				if err != nil {
					b.Fatal(err)
				}
				return tally{real, &made, &verified}
			}})
			s.World.SetWeather(Fair())
			s.StartAll()
			s.World.Run(5 * time.Second) // what comes at the start is not of a height
			heights, events := s.Checker.Certified(), s.World.Handled()
			made, verified = 0, 0
			for b.Loop() {
				for at := s.Checker.Certified(); s.Checker.Certified() < at+1 && s.World.Failure() == nil; {
					s.World.Run(50 * time.Millisecond)
				}
			}
			if err := s.World.Failure(); err != nil {
				b.Fatal(err)
			}
			per := float64(s.Checker.Certified() - heights)
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/per, "ms/height")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/per/float64(n), "ms/height/node")
			b.ReportMetric(float64(made)/per/float64(n), "signed/height/node")
			b.ReportMetric(float64(verified)/per/float64(n), "verified/height/node")
			b.ReportMetric(float64(s.World.Handled()-events)/per/float64(n), "events/height/node")
		})
	}
}
