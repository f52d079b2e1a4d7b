package certificate

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"portico/lightclient/bls"
	"portico/lightclient/principal"
)

// mainnetRootKey is the root key of the mainnet, as its agents have it built in.
const mainnetRootKey = "308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100814c0e6ec71fab583b08bd81373c255c3c371b2e84863c98a4f1e08b74235d14fb5d9c0cd546d9685f913a0c0b2cc5341583bf4b4392e467db96d65b9bb4cb717112f8472e0d5a4d14505ffd7484b01291091c5f87b98883463f98091a0baaae"

// mainnet returns recorded certificates by name.
func mainnet(t testing.TB) map[string][]byte {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, "../shared/testdata/certificates.json"))
	if err != nil {
		t.Skip("no recorded mainnet certificates here: ", err)
	}
	var texts map[string]string
	if err := json.Unmarshal(b, &texts); err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for name, text := range texts {
		if out[name], err = hex.DecodeString(text); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func mainnetVerifier(t testing.TB) *Verifier {
	t.Helper()
	key, err := hex.DecodeString(mainnetRootKey)
	if err != nil {
		t.Fatal(err)
	}
	return &Verifier{RootKey: key, BLS: bls.NewVerifier().Verify}
}

// A subject is what a recorded certificate can be verified for.
type subject struct {
	at       time.Time
	canister principal.ID // of its ranges, if it has any
	ranges   bool
	subnet   principal.ID
}

func subjectOf(t testing.TB, cert []byte) subject {
	t.Helper()
	c, err := Parse(cert)
	if err != nil {
		t.Fatal(err)
	}
	s := subject{canister: principal.Canister(1), ranges: true}
	s.subnet = principal.MustParse("tdb26-jop6k-aogll-7ltgs-eruif-6kk7m-qpktf-gdiqx-mxtrf-vb5e6-eqe") // the root subnet
	if s.at, err = c.Time(); err != nil {
		t.Fatal(err)
	}
	if c.Delegation == nil {
		return s
	}
	d, err := Parse(c.Delegation.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	ranges, err := shownRanges(d.Tree, c.Delegation.Subnet)
	if err != nil {
		t.Fatal(err)
	}
	s.subnet, s.ranges = c.Delegation.Subnet, len(ranges) > 0
	if s.ranges {
		s.canister = ranges[0].Last
	}
	return s
}

func (s subject) verify(v *Verifier, cert []byte, at time.Time) (*Certificate, error) {
	if s.ranges {
		return v.Canister(cert, s.canister, at)
	}
	return v.Subnet(cert, s.subnet, at)
}

func TestMainnetCertificatesVerify(t *testing.T) {
	for name, cert := range mainnet(t) {
		v, s := mainnetVerifier(t), subjectOf(t, cert)
		c, err := s.verify(v, cert, s.at)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(c.Append(nil), cert) {
			t.Errorf("%s: encoding again gives other bytes", name)
		}
		if _, err := v.Subnet(cert, s.subnet, s.at); err != nil {
			t.Errorf("%s: for its subnet: %v", name, err)
		}
		var te *TimeError
		if _, err := s.verify(v, cert, now); !errors.As(err, &te) {
			t.Errorf("%s: years later: %v", name, err)
		}
		var re *RangeError
		if _, err := v.Canister(cert, principal.Anonymous(), s.at); c.Delegation != nil && !errors.As(err, &re) {
			t.Errorf("%s: for a canister elsewhere: %v", name, err)
		}
	}
}

func TestBitFlipsOfMainnetCertificatesAreRefused(t *testing.T) {
	for name, cert := range mainnet(t) {
		v, s := mainnetVerifier(t), subjectOf(t, cert)
		if _, err := s.verify(v, cert, s.at); err != nil {
			t.Fatal(err)
		}
		for _, bit := range interestingBits(t, cert) {
			bad := bytes.Clone(cert)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := s.verify(v, bad, s.at); err == nil {
				t.Errorf("%s: bit %d of byte %d flipped: accepted", name, bit%8, bit/8)
			}
		}
	}
}

// interestingBits are all bits of the signatures and of the first hash in each
// tree, and one bit of every byte of the rest, or of a thousand bytes of it.
func interestingBits(t *testing.T, cert []byte) []int {
	c, err := Parse(cert)
	if err != nil {
		t.Fatal(err)
	}
	var bits []int
	all := func(start, n int) {
		for i := range 8 * n {
			bits = append(bits, 8*start+i)
		}
	}
	hash := []byte("\x82\x04\x58\x20") // precedes the hash of a pruned node
	all(bytes.Index(cert, c.Signature), len(c.Signature))
	all(bytes.Index(cert, hash)+len(hash), 32)
	if c.Delegation != nil {
		d, err := Parse(c.Delegation.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		start := bytes.Index(cert, c.Delegation.Certificate)
		all(bytes.Index(cert, d.Signature), len(d.Signature))
		all(start+bytes.Index(cert[start:], hash)+len(hash), 32)
	}
	for i := 0; i < len(cert); i += max(1, len(cert)/1000) {
		bits = append(bits, 8*i+i%8)
	}
	if testing.Short() {
		few := bits[:0]
		for i := 0; i < len(bits); i += 17 {
			few = append(few, bits[i])
		}
		bits = few
	}
	return bits
}

func BenchmarkVerifySameCertificate(b *testing.B) {
	for name, cert := range mainnet(b) {
		b.Run(name, func(b *testing.B) {
			v, s := mainnetVerifier(b), subjectOf(b, cert)
			for b.Loop() {
				if _, err := s.verify(v, cert, s.at); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for name, cert := range mainnet(b) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Parse(cert); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
