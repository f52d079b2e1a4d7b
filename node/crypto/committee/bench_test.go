package committee

import (
	"fmt"
	"testing"

	"portico/node/consensus"
	"portico/node/types"
)

// One member's costs, by scheme and size of the subnet: real, and in the simulator.
func BenchmarkCrypto(b *testing.B) {
	for _, n := range []int{4, 7, 13, 40} {
		for _, kind := range []struct {
			name    string
			members func(t testing.TB, n int) []consensus.Crypto
		}{{"real", realMembers}, {"fake", fakeMembers}} {
			s := subnet{kind.members(b, n), n}
			for _, scheme := range schemes() {
				b.Run(fmt.Sprintf("%s/n=%d/%s", kind.name, n, scheme), func(b *testing.B) { s.benchmark(b, scheme) })
			}
		}
	}
}

func (s subnet) benchmark(b *testing.B, scheme consensus.Scheme) {
	c := s.members[0]
	quorum := everybody(s.n)[s.n-needed(scheme, s.n):]
	shares := s.sign(scheme, quorum)
	report := func(name string, op func() error) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := op(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	report("Sign", func() error { c.Sign(scheme, message); return nil })
	report("Verify", func() error { return c.Verify(scheme, shares[0].By, message, shares[0].Bytes) })
	if scheme == consensus.SchemeNode {
		return
	}
	signed, err := c.Combine(scheme, message, shares)
	if err != nil {
		b.Fatal(err)
	}
	signers := sorted(quorum)
	report("Combine", func() error { _, err := c.Combine(scheme, message, shares); return err })
	report("VerifyCombined", func() error { return c.VerifyCombined(scheme, signers, message, signed) })
}

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{4, 7, 13, 40} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			records, keys := genesis(b, n)
			for b.Loop() {
				if _, err := New(records, keys[n-1], types.Member(n-1)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
