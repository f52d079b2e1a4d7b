package curve

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/hash_to_curve"
	"pgregory.net/rapid"
)

// The vectors of RFC 9380, appendix J.9.1.
func TestHashingMatchesTheVectorsOfTheRFC(t *testing.T) {
	const dst = "QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"
	for _, c := range []struct{ msg, x, y string }{
		{
			"",
			"052926add2207b76ca4fa57a8734416c8dc95e24501772c814278700eed6d1e4e8cf62d9c09db0fac349612b759e79a1",
			"08ba738453bfed09cb546dbb0783dbb3a5f1f566ed67bb6be0e8c67e2e81a4cc68ee29813bb7994998f3eae0c9c6a265",
		},
		{
			"abc",
			"03567bc5ef9c690c2ab2ecdf6a96ef1c139cc0b2f284dca0a9a7943388a49a3aee664ba5379a7655d3c68900be2f6903",
			"0b9c15f3fe6e5cf4211f346271d7b01c8f3b28be689c8429c85b67af215533311f0b8dfaaa154fa6b88176c229f2885d",
		},
		{
			"abcdef0123456789",
			"11e0b079dea29a68f0383ee94fed1b940995272407e3bb916bbf268c263ddd57a6a27200a784cbc248e84f357ce82d98",
			"03a87ae2caf14e8ee52e51fa2ed8eefe80f02457004ba4d486d6aa1f517c0889501dc7413753f9599b099ebcbbd2d709",
		},
		{
			"q128_" + strings.Repeat("q", 128),
			"15f68eaa693b95ccb85215dc65fa81038d69629f70aeee0d0f677cf22285e7bf58d7cb86eefe8f2e9bc3f8cb84fac488",
			"1807a1d50c29f430b8cafc4f8638dfeeadf51211e1602a5f184443076715f91bb90a48ba1e370edce6ae1062f5e6dd38",
		},
		{
			"a512_" + strings.Repeat("a", 512),
			"082aabae8b7dedb0e78aeb619ad3bfd9277a2f77ba7fad20ef6aabdc6c31d19ba5a6d12283553294c1825c4b3ca2dcfe",
			"05b84ae5a942248eea39e1d91030458c40153f3b654ab7872d779ad1e942856a20c438e8d99bc8abfbf74729ce1f7ac8",
		},
	} {
		p := HashToG1([]byte(c.msg), dst)
		x, y := p.x.encode(), p.y.encode()
		if got := hex.EncodeToString(x[:]); got != c.x {
			t.Errorf("%.20q: x = %s, want %s", c.msg, got, c.x)
		}
		if got := hex.EncodeToString(y[:]); got != c.y {
			t.Errorf("%.20q: y = %s, want %s", c.msg, got, c.y)
		}
	}
}

func TestHashingAgreesWithGnark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msg := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "message")
		dst := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "domain")
		want, err := bls12381.HashToG1(msg, dst)
		if err != nil {
			if len(dst) <= 255 {
				t.Fatal(err)
			}
			t.Skip("gnark refuses long domains")
		}
		p := HashToG1(msg, string(dst))
		must(t, "x", gnarks(&p.x), want.X)
		must(t, "y", gnarks(&p.y), want.Y)
		must(t, "in the subgroup", p.inSubgroup(), true)
	})
}

func TestOversizedDomainsAreHashed(t *testing.T) {
	long := strings.Repeat("d", 256)
	// echo -n H2C-OVERSIZE-DST-ddd… | sha256sum
	short, err := hex.DecodeString("86c7cb02ffdff96145d273028730de072616940d68078e452e2acb08abb9b6fd")
	if err != nil {
		t.Fatal(err)
	}
	p, q := HashToG1([]byte("m"), long), HashToG1([]byte("m"), string(short))
	must(t, "hash", p.x.equal(&q.x) && p.y.equal(&q.y), true)
}

func TestMappingAgreesWithGnarkEvenWhereItsFormulaDividesByZero(t *testing.T) {
	// Z²u⁴ + Zu² is zero for u = 0 and for Zu² = -1.
	var exception, z fp.Element
	z.SetInt64(-11)
	exception.Inverse(&z)
	if exception.Sqrt(&exception) == nil {
		t.Fatal("-1/Z is no square")
	}
	elements := rapid.OneOf(element(), rapid.SampledFrom([]fp.Element{{}, exception}))
	rapid.Check(t, func(t *rapid.T) {
		g := elements.Draw(t, "u")
		u := ours(&g)
		want := bls12381.MapToCurve1(&g)
		hash_to_curve.G1Isogeny(&want.X, &want.Y)
		var p jacobian1
		mapToCurve(&p, &u)
		got := p.affine()
		must(t, "x", gnarks(&got.x), want.X)
		must(t, "y", gnarks(&got.y), want.Y)
	})
}

func TestTheConstantsOfTheIsogenyAreThoseOfGnark(t *testing.T) {
	a, b := hash_to_curve.G1SSWUIsogenyCurveCoefficients()
	must(t, "A", gnarks(&isoA), a)
	must(t, "B", gnarks(&isoB), b)
	must(t, "Z", gnarks(&isoZ), hash_to_curve.G1SSWUIsogenyZ())
	for i, m := range hash_to_curve.G1IsogenyMap() {
		table := [][]fe{isoXNum[:], isoXDen[:], isoYNum[:], isoYDen[:]}[i]
		must(t, "number of coefficients", len(table), len(m))
		for j := range m {
			must(t, "coefficient", gnarks(&table[j]), m[j])
		}
	}
}
