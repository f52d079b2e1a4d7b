package committee

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"portico/node/consensus"
	"portico/node/crypto/fake"
	"portico/node/types"

	"pgregory.net/rapid"
)

// What consensus relies on holds of real signatures and of the simulator's alike.
func TestSignaturesHaveTheirProperties(t *testing.T) {
	for name, members := range map[string]func(t testing.TB, n int) []consensus.Crypto{
		"real": realMembers, "fake": fakeMembers,
	} {
		t.Run(name, func(t *testing.T) {
			subnets := map[int]subnet{}
			for _, n := range sizes() {
				s := subnet{members(t, n), n}
				subnets[n] = s
				t.Run(fmt.Sprintf("n=%d", n), func(t *testing.T) {
					s.testOneSigner(t)
					s.testMalformed(t)
					s.testNames(t)
				})
			}
			drawn := func(t *rapid.T) subnet { return subnets[rapid.SampledFrom(sizes()).Draw(t, "n")] }
			t.Run("quorums", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { drawn(t).testQuorums(t) }) })
			t.Run("signers", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { drawn(t).testSigners(t) }) })
		})
	}
}

// sizes of subnets that are tested.
func sizes() []int { return []int{1, 4, 7} }

func realMembers(t testing.TB, n int) (out []consensus.Crypto) {
	for _, c := range newSubnet(t, n) {
		out = append(out, c)
	}
	return out
}

func fakeMembers(_ testing.TB, n int) (out []consensus.Crypto) {
	world := fake.NewWorld(1, n)
	for i := range n {
		out = append(out, world.Member(types.Member(i)))
	}
	return out
}

// subnet is the members' view of one subnet.
type subnet struct {
	members []consensus.Crypto
	n       int
}

func schemes() []consensus.Scheme {
	return []consensus.Scheme{consensus.SchemeNode, consensus.SchemeCommittee, consensus.SchemeLow, consensus.SchemeHigh}
}

func needed(s consensus.Scheme, n int) int {
	if s == consensus.SchemeLow {
		return types.Faults(n) + 1
	}
	return types.Quorum(n)
}

var message, another = []byte("message"), []byte("another")

func (s subnet) sign(scheme consensus.Scheme, by []int) (out []consensus.Signature) {
	for _, i := range by {
		out = append(out, consensus.Signature{By: types.Member(i), Bytes: s.members[i].Sign(scheme, message)})
	}
	return out
}

// sorted are the members in order, as VerifyCombined wants them.
func sorted(by []int) (out []types.Member) {
	for _, i := range slices.Sorted(slices.Values(by)) {
		out = append(out, types.Member(i))
	}
	return out
}

func (s subnet) any(i int) consensus.Crypto { return s.members[i%s.n] }

// A signature is of one member, one message and one scheme, and always the same.
func (s subnet) testOneSigner(t *testing.T) {
	for _, scheme := range schemes() {
		for i := range s.n {
			sig := s.members[i].Sign(scheme, message)
			if !bytes.Equal(sig, s.members[i].Sign(scheme, message)) {
				t.Errorf("%s: member %d signs the same twice, differently", scheme, i)
			}
			for j := range s.n {
				if err := s.any(i+j).Verify(scheme, types.Member(j), message, sig); (err == nil) != (i == j) {
					t.Errorf("%s: the signature of %d as that of %d: %v", scheme, i, j, err)
				}
			}
			if s.any(i+1).Verify(scheme, types.Member(i), another, sig) == nil {
				t.Errorf("%s: the signature of %d is also one of another message", scheme, i)
			}
			for _, other := range schemes() {
				// The threshold shares of a subnet of one are its keys, which are different too.
				if other != scheme && s.any(i).Verify(other, types.Member(i), message, sig) == nil {
					t.Errorf("the %s signature of %d is also one of %s", scheme, i, other)
				}
			}
		}
	}
}

// What is malformed is an error and nothing worse.
func (s subnet) testMalformed(t *testing.T) {
	c := s.members[0]
	for _, scheme := range schemes() {
		sig := c.Sign(scheme, message)
		bad := [][]byte{nil, {}, sig[:len(sig)-1], append(bytes.Clone(sig), 0), make([]byte, len(sig)), bytes.Repeat([]byte{0xff}, len(sig))}
		for i := range len(sig) {
			flipped := bytes.Clone(sig)
			flipped[i] ^= 1 << (i % 8)
			bad = append(bad, flipped)
		}
		for _, b := range bad {
			if c.Verify(scheme, 0, message, b) == nil {
				t.Errorf("%s: %x verifies", scheme, b)
			}
			if c.VerifyCombined(scheme, []types.Member{0}, message, b) == nil {
				t.Errorf("%s: %x verifies as a combined one", scheme, b)
			}
			// Whoever combines wrong shares gets an error, or what does not verify.
			shares := s.sign(scheme, everybody(s.n))
			shares[0].Bytes = b
			signed, err := c.Combine(scheme, message, shares)
			if err == nil && c.VerifyCombined(scheme, sorted(everybody(s.n)), message, signed) == nil {
				t.Errorf("%s: combined with %x it verifies", scheme, b)
			}
		}
	}
}

func everybody(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

// Members and sets of them that do not exist are errors.
func (s subnet) testNames(t *testing.T) {
	c := s.members[0]
	nobody := types.Member(s.n)
	for _, scheme := range schemes() {
		sig := c.Sign(scheme, message)
		if c.Verify(scheme, nobody, message, sig) == nil || c.Verify(scheme, 65535, message, sig) == nil {
			t.Errorf("%s: a signature by nobody", scheme)
		}
		if scheme == consensus.SchemeNode {
			if _, err := c.Combine(scheme, message, s.sign(scheme, everybody(s.n))); err == nil {
				t.Error("signatures of nodes are combined")
			}
			continue
		}
		all := s.sign(scheme, everybody(s.n))
		for name, shares := range map[string][]consensus.Signature{
			"none":   nil,
			"nobody": append([]consensus.Signature{{By: nobody, Bytes: all[0].Bytes}}, all...),
			"one twice": append([]consensus.Signature{all[0], all[0]},
				all[1:]...),
		} {
			if name == "one twice" && needed(scheme, s.n) == 1 && scheme != consensus.SchemeCommittee {
				continue // the second is not looked at
			}
			if signed, err := c.Combine(scheme, message, shares); err == nil {
				t.Errorf("%s: %s combine to %x", scheme, name, signed)
			}
		}
	}
	signed, err := c.Combine(consensus.SchemeCommittee, message, s.sign(consensus.SchemeCommittee, everybody(s.n)))
	if err != nil {
		t.Fatal(err)
	}
	in := sorted(everybody(s.n))
	if err := c.VerifyCombined(consensus.SchemeCommittee, in, message, signed); err != nil {
		t.Fatal(err)
	}
	reversed := slices.Clone(in)
	slices.Reverse(reversed)
	for name, signers := range map[string][]types.Member{
		"none": nil, "reversed": reversed, "nobody": append(slices.Clone(in), nobody),
		"one twice": append(slices.Clone(in), in[s.n-1]), "the first twice": append([]types.Member{0}, in...),
	} {
		if name == "reversed" && s.n == 1 {
			continue
		}
		if c.VerifyCombined(consensus.SchemeCommittee, signers, message, signed) == nil {
			t.Errorf("signers %s: it verifies", name)
		}
	}
}

// Any quorum makes the same threshold signature, one less makes none, and a wrong share
// makes a wrong one and is found among the right ones.
func (s subnet) testQuorums(t *rapid.T) {
	scheme := rapid.SampledFrom([]consensus.Scheme{consensus.SchemeLow, consensus.SchemeHigh}).Draw(t, "scheme")
	order := rapid.Permutation(everybody(s.n)).Draw(t, "members")
	k := needed(scheme, s.n)
	size := rapid.IntRange(k, s.n).Draw(t, "size")
	shares := s.sign(scheme, order[:size])
	c := s.any(order[0])
	signed, err := c.Combine(scheme, message, shares)
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.Combine(scheme, message, s.sign(scheme, everybody(s.n)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(signed, first) {
		t.Fatalf("%v make another signature than the first %d", order[:size], k)
	}
	if err := s.any(order[0]+1).VerifyCombined(scheme, nil, message, signed); err != nil {
		t.Fatal(err)
	}
	if c.VerifyCombined(scheme, nil, another, signed) == nil {
		t.Fatal("it is also one of another message")
	}
	if _, err := c.Combine(scheme, message, shares[:k-1]); err == nil {
		t.Fatalf("%d shares are enough of %d", k-1, k)
	}
	for i := range shares[k:] {
		shares[k+i].Bytes = nil // more than it takes: not looked at
	}
	if again, err := c.Combine(scheme, message, shares); err != nil || !bytes.Equal(signed, again) {
		t.Fatalf("shares beyond the first %d count (%v)", k, err)
	}
	liar := rapid.IntRange(0, k-1).Draw(t, "liar")
	shares[liar].Bytes = s.members[order[liar]].Sign(scheme, another)
	s.findLiar(t, scheme, shares[:k], liar)
}

func (s subnet) findLiar(t *rapid.T, scheme consensus.Scheme, shares []consensus.Signature, liar int) {
	c := s.members[0]
	var signers []int
	for _, share := range shares {
		signers = append(signers, int(share.By))
	}
	signed, err := c.Combine(scheme, message, shares)
	if err != nil {
		t.Fatal(err)
	}
	if c.VerifyCombined(scheme, sorted(signers), message, signed) == nil {
		t.Fatalf("%s: it verifies with a wrong share", scheme)
	}
	for i, share := range shares {
		if err := c.Verify(scheme, share.By, message, share.Bytes); (err == nil) != (i != liar) {
			t.Fatalf("%s: share of member %d, of %d the wrong one: %v", scheme, share.By, shares[liar].By, err)
		}
	}
}

// A multi-signature is of exactly its signers, in whatever order they are combined.
func (s subnet) testSigners(t *rapid.T) {
	const scheme = consensus.SchemeCommittee
	signers := rapid.SliceOfNDistinct(rapid.IntRange(0, s.n-1), 1, s.n, rapid.ID).Draw(t, "signers")
	named := rapid.SliceOfNDistinct(rapid.IntRange(0, s.n-1), 1, s.n, rapid.ID).Draw(t, "named")
	shares := s.sign(scheme, signers)
	c := s.any(signers[0])
	signed, err := c.Combine(scheme, message, shares)
	if err != nil {
		t.Fatal(err)
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(shares), func(i, j int) { shares[i], shares[j] = shares[j], shares[i] })
	if again, err := c.Combine(scheme, message, shares); err != nil || !bytes.Equal(signed, again) {
		t.Fatalf("in another order it is another signature (%v)", err)
	}
	for _, names := range [][]int{signers, named} {
		err := c.VerifyCombined(scheme, sorted(names), message, signed)
		if right := slices.Equal(sorted(names), sorted(signers)); (err == nil) != right {
			t.Fatalf("signed by %v, verified for %v: %v", signers, names, err)
		}
	}
	if c.VerifyCombined(scheme, sorted(signers), another, signed) == nil {
		t.Fatal("it is also one of another message")
	}
	liar := rapid.IntRange(0, len(shares)-1).Draw(t, "liar")
	shares[liar].Bytes = s.members[shares[liar].By].Sign(scheme, another)
	s.findLiar(t, scheme, shares, liar)
}
