package certificate

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"portico/lightclient/bls"
	"portico/lightclient/hashtree"
	"portico/lightclient/leb128"
	"portico/lightclient/principal"

	"github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// A testKey signs with a secret that is a small number.
type testKey int64

func (k testKey) der() []byte {
	_, _, _, g2 := bls12381.Generators()
	var p bls12381.G2Affine
	b := p.ScalarMultiplication(&g2, big.NewInt(int64(k))).Bytes()
	return bls.ToDER(b[:])
}

func (k testKey) sign(msg []byte, dst string) []byte {
	h, err := bls12381.HashToG1(msg, []byte(dst))
	if err != nil {
		panic(err)
	}
	var s bls12381.G1Affine
	b := s.ScalarMultiplication(&h, big.NewInt(int64(k))).Bytes()
	return b[:]
}

func (k testKey) certify(tree hashtree.Tree, d *Delegation) *Certificate {
	return &Certificate{Tree: tree, Signature: k.sign(StateRootMessage(tree.Hash()), bls.DST), Delegation: d}
}

const (
	rootKey   testKey = 1000003
	subnetKey testKey = 2000003
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// dir makes a tree of a map; keys in increasing order.
func dir(keysAndSubs ...any) hashtree.Tree {
	var children []*hashtree.Labeled
	for i := 0; i < len(keysAndSubs); i += 2 {
		sub, ok := keysAndSubs[i+1].(hashtree.Tree)
		if !ok {
			sub = hashtree.Leaf(keysAndSubs[i+1].([]byte))
		}
		children = append(children, &hashtree.Labeled{Label: []byte(keysAndSubs[i].(string)), Sub: sub})
	}
	return hashtree.New(children)
}

func at(t time.Time) []byte { return leb128.AppendUint(nil, uint64(t.UnixNano())) }

func subnetID() principal.ID { return principal.SelfAuthenticating(subnetKey.der()) }

// rangesForm says where a delegation shows its canister ranges.
type rangesForm int

const (
	sharded rangesForm = iota
	inSubnet
	both
	nowhere
)

// The subnet has the canisters 10 to 19 and 30 to 39.
func delegationTree(form rangesForm, t time.Time) hashtree.Tree {
	first := []Range{{principal.Canister(10), principal.Canister(19)}}
	second := []Range{{principal.Canister(30), principal.Canister(39)}}
	subnet := dir("public_key", subnetKey.der())
	if form == inSubnet || form == both {
		subnet = dir("canister_ranges", AppendRanges(nil, append(first, second...)), "public_key", subnetKey.der())
	}
	id := subnetID().Raw()
	if form == inSubnet || form == nowhere {
		return dir("subnet", dir(id, subnet), "time", at(t))
	}
	shards := dir(principal.Canister(10).Raw(), AppendRanges(nil, first), principal.Canister(30).Raw(), AppendRanges(nil, second))
	return dir("canister_ranges", dir(id, shards), "subnet", dir(id, subnet), "time", at(t))
}

func delegation(form rangesForm, t time.Time) *Delegation {
	return &Delegation{Subnet: subnetID(), Certificate: rootKey.certify(delegationTree(form, t), nil).Append(nil)}
}

func stateTree(t time.Time) hashtree.Tree {
	return dir("canister", dir("x", []byte("y")), "request_status", dir("id", dir("status", []byte("replied"))), "time", at(t))
}

func newVerifier() *Verifier { return &Verifier{RootKey: rootKey.der(), BLS: bls.NewVerifier().Verify} }

func TestDelegatedCertificatesSpeakForTheirRangesOnly(t *testing.T) {
	for _, form := range []rangesForm{sharded, inSubnet, both} {
		v := newVerifier()
		cert := subnetKey.certify(stateTree(now), delegation(form, now)).Append(nil)
		for _, index := range []uint64{10, 15, 19, 30, 39} {
			c, err := v.Canister(cert, principal.Canister(index), now)
			if err != nil {
				t.Errorf("form %d: canister %d: %v", form, index, err)
				continue
			}
			if val, s := hashtree.Lookup(c.Tree, []byte("canister"), []byte("x")); s != hashtree.Found || string(val) != "y" {
				t.Errorf("lookup is %s %q", s, val)
			}
		}
		for _, index := range []uint64{0, 9, 20, 29, 40} {
			var want *RangeError
			if _, err := v.Canister(cert, principal.Canister(index), now); !errors.As(err, &want) || want.Subnet != subnetID() {
				t.Errorf("form %d: canister %d: error %v, want a RangeError", form, index, err)
			}
		}
	}
}

func TestOneShardOfTheRangesIsEnough(t *testing.T) {
	id := subnetID().Bytes()
	whole := delegationTree(sharded, now)
	shown := hashtree.Witness(whole, []hashtree.Path{
		{[]byte("canister_ranges"), id, principal.Canister(30).Bytes()}, {[]byte("subnet"), id, []byte("public_key")}, {[]byte("time")},
	})
	v := newVerifier()
	d := &Delegation{Subnet: subnetID(), Certificate: rootKey.certify(shown, nil).Append(nil)}
	cert := subnetKey.certify(stateTree(now), d).Append(nil)
	if _, err := v.Canister(cert, principal.Canister(35), now); err != nil {
		t.Error(err)
	}
	var want *RangeError
	if _, err := v.Canister(cert, principal.Canister(15), now); !errors.As(err, &want) {
		t.Errorf("a canister of a shard that is not shown: %v", err)
	}
}

func TestRootCertificatesNeedNoDelegation(t *testing.T) {
	v := newVerifier()
	cert := rootKey.certify(stateTree(now), nil).Append(nil)
	if _, err := v.Canister(cert, principal.Canister(7), now); err != nil {
		t.Error(err)
	}
	if _, err := v.Subnet(cert, principal.SelfAuthenticating(rootKey.der()), now); err != nil {
		t.Error(err)
	}
	var want *SubnetError
	if _, err := v.Subnet(cert, subnetID(), now); !errors.As(err, &want) {
		t.Errorf("for another subnet: %v", err)
	}
}

func TestSubnetCertificatesSpeakForTheirSubnetOnly(t *testing.T) {
	v := newVerifier()
	cert := subnetKey.certify(stateTree(now), delegation(nowhere, now)).Append(nil)
	if _, err := v.Subnet(cert, subnetID(), now); err != nil {
		t.Error(err)
	}
	var wrong *SubnetError
	if _, err := v.Subnet(cert, principal.SelfAuthenticating(rootKey.der()), now); !errors.As(err, &wrong) {
		t.Errorf("for the root subnet: %v", err)
	}
	var noRange *RangeError
	if _, err := v.Canister(cert, principal.Canister(15), now); !errors.As(err, &noRange) {
		t.Errorf("for a canister without any ranges: %v", err)
	}
}

func TestTimesAreBounded(t *testing.T) {
	for _, c := range []struct {
		state, delegation time.Duration // after now
		bad, badSide      bool          // badSide: it is the delegation's
	}{
		{0, 0, false, false},
		{-MaxAge, -MaxDelegationAge, false, false},
		{MaxAhead, MaxAhead, false, false},
		{-MaxAge - 1, 0, true, false},
		{MaxAhead + 1, 0, true, false},
		{0, -MaxDelegationAge - 1, true, true},
		{0, MaxAhead + 1, true, true},
	} {
		v := newVerifier()
		cert := subnetKey.certify(stateTree(now.Add(c.state)), delegation(sharded, now.Add(c.delegation))).Append(nil)
		for range 2 { // the second time from the cache
			_, err := v.Canister(cert, principal.Canister(15), now)
			var te *TimeError
			if errors.As(err, &te) != c.bad || (err != nil) != c.bad || (c.bad && te.Delegation != c.badSide) {
				t.Errorf("state %s, delegation %s: error %v", c.state, c.delegation, err)
			}
		}
	}
}

func TestACertificateGrowsTooOldInTheCache(t *testing.T) {
	v := newVerifier()
	cert := subnetKey.certify(stateTree(now), delegation(sharded, now)).Append(nil)
	if _, err := v.Canister(cert, principal.Canister(15), now); err != nil {
		t.Fatal(err)
	}
	var te *TimeError
	if _, err := v.Canister(cert, principal.Canister(15), now.Add(MaxAge+1)); !errors.As(err, &te) {
		t.Errorf("error %v", err)
	}
}

func TestWrongSignaturesAndDelegationsAreRefused(t *testing.T) {
	good := subnetKey.certify(stateTree(now), delegation(sharded, now))
	change := func(f func(c *Certificate)) []byte {
		c := *good
		d := *good.Delegation
		c.Delegation = &d
		f(&c)
		return c.Append(nil)
	}
	nested := rootKey.certify(delegationTree(sharded, now), delegation(sharded, now)).Append(nil)
	self := subnetKey.certify(delegationTree(sharded, now), nil).Append(nil)
	garbledKey := rootKey.certify(dir("subnet", dir(subnetID().Raw(), dir("public_key", []byte("key"))), "time", at(now)), nil).Append(nil)
	prunedKey := rootKey.certify(hashtree.Witness(delegationTree(sharded, now), []hashtree.Path{{[]byte("time")}}), nil).Append(nil)
	garbledRanges := rootKey.certify(dir("subnet", dir(subnetID().Raw(), dir("canister_ranges", []byte{0x81}, "public_key", subnetKey.der())), "time", at(now)), nil).Append(nil)
	noTime := rootKey.certify(dir("subnet", dir(subnetID().Raw(), dir("public_key", subnetKey.der()))), nil).Append(nil)
	infinity := append([]byte{0xc0}, make([]byte, 47)...)
	sigError := func(delegation bool) func(error) bool {
		return func(err error) bool {
			var e *SignatureError
			return errors.As(err, &e) && e.Delegation == delegation
		}
	}
	formatError := func(delegation bool) func(error) bool {
		return func(err error) bool {
			var e *FormatError
			return errors.As(err, &e) && e.Delegation == delegation
		}
	}
	delegationError := func(err error) bool {
		var e *DelegationError
		return errors.As(err, &e)
	}
	for name, c := range map[string]struct {
		cert []byte
		is   func(error) bool
	}{
		"signed by the root key":     {change(func(c *Certificate) { c.Signature = rootKey.certify(c.Tree, nil).Signature }), sigError(false)},
		"signed for another purpose": {change(func(c *Certificate) { h := c.Tree.Hash(); c.Signature = subnetKey.sign(h[:], bls.DST) }), sigError(false)},
		"signed with another DST": {change(func(c *Certificate) {
			c.Signature = subnetKey.sign(StateRootMessage(c.Tree.Hash()), strings.Replace(bls.DST, "G1", "G2", 1))
		}), sigError(false)},
		"infinite signature":            {change(func(c *Certificate) { c.Signature = infinity }), sigError(false)},
		"no signature bytes":            {change(func(c *Certificate) { c.Signature = nil }), sigError(false)},
		"another tree":                  {change(func(c *Certificate) { c.Tree = stateTree(now.Add(1)) }), sigError(false)},
		"without its delegation":        {change(func(c *Certificate) { c.Delegation = nil }), sigError(false)},
		"a subnet delegating to itself": {change(func(c *Certificate) { c.Delegation.Certificate = self }), sigError(true)},
		"nested delegation":             {change(func(c *Certificate) { c.Delegation.Certificate = nested }), delegationError},
		"delegation to another subnet":  {change(func(c *Certificate) { c.Delegation.Subnet = principal.Canister(1) }), delegationError},
		"delegation of a garbled key":   {change(func(c *Certificate) { c.Delegation.Certificate = garbledKey }), delegationError},
		"delegation of a pruned key":    {change(func(c *Certificate) { c.Delegation.Certificate = prunedKey }), delegationError},
		"garbled ranges":                {change(func(c *Certificate) { c.Delegation.Certificate = garbledRanges }), formatError(true)},
		"delegation without time":       {change(func(c *Certificate) { c.Delegation.Certificate = noTime }), formatError(true)},
		"garbled delegation":            {change(func(c *Certificate) { c.Delegation.Certificate = []byte{1} }), formatError(true)},
		"no bytes":                      {nil, formatError(false)},
		"without time":                  {rootKey.certify(dir("x", []byte("y")), nil).Append(nil), formatError(false)},
		"padded time":                   {rootKey.certify(dir("time", append(at(now), 0)), nil).Append(nil), formatError(false)},
		"time beyond reason":            {rootKey.certify(dir("time", leb128.AppendUint(nil, 1<<63)), nil).Append(nil), formatError(false)},
	} {
		v := newVerifier()
		for range 2 { // refusals are not remembered as successes
			if _, err := v.Canister(c.cert, principal.Canister(15), now); !c.is(err) {
				t.Errorf("%s: error %v", name, err)
			}
		}
	}
	if _, err := newVerifier().Canister(change(func(*Certificate) {}), principal.Canister(15), now); err != nil {
		t.Errorf("the unchanged certificate: %v", err)
	}
}

func TestAMalformedRootKeyVerifiesNothing(t *testing.T) {
	v := newVerifier()
	v.RootKey = v.RootKey[1:]
	var se *SignatureError
	if _, err := v.Canister(rootKey.certify(stateTree(now), nil).Append(nil), principal.Canister(1), now); !errors.As(err, &se) {
		t.Errorf("error %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	sig := "697369676e617475726540"
	tree := "64747265658100"
	for name, c := range map[string]struct{ in, want string }{
		"nothing":                     {"", "ends inside"},
		"an array":                    {"80", "expected a map"},
		"no tree":                     {"a1" + sig, "tree is missing"},
		"no signature":                {"a1" + tree, "signature is missing"},
		"two trees":                   {"a3" + tree + tree + sig, `"tree" comes twice`},
		"bytes after it":              {"a2" + tree + sig + "00", "bytes follow"},
		"a delegation without subnet": {"a3" + tree + sig + "6a64656c65676174696f6ea16b636572746966696361746540", "delegation: the subnet_id is missing"},
		"a delegation of nothing":     {"a3" + tree + sig + "6a64656c65676174696f6ea1697375626e65745f696440", "delegation: the certificate is missing"},
		"a long subnet id":            {"a3" + tree + sig + "6a64656c65676174696f6ea1697375626e65745f6964581e" + strings.Repeat("00", 30), "principal of 30 bytes"},
	} {
		b, err := hex.DecodeString(c.in)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(b)
		var fe *FormatError
		if !errors.As(err, &fe) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestDecodeRangesRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"00": "expected an array", "818100": "expected a byte string", "818140": "ends inside", "81834040 40": "two principals",
		"818241024101": "before its start", "8000": "bytes follow", "81824058" + "1e" + strings.Repeat("00", 30): "30 bytes",
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(in, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeRanges(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", in, err, want)
		}
	}
}

// counted counts the pairings of a Verifier.
func counted(v *Verifier, n *int) *Verifier {
	verify := v.BLS
	v.BLS = func(pk, msg, sig []byte) error { *n++; return verify(pk, msg, sig) }
	return v
}

func TestEveryPairingIsDoneOnce(t *testing.T) {
	n := 0
	v := counted(newVerifier(), &n)
	d := delegation(sharded, now)
	whole := subnetKey.certify(stateTree(now), d)
	check := func(what string, c *Certificate, want int) {
		t.Helper()
		if _, err := v.Canister(c.Append(nil), principal.Canister(15), now); err != nil {
			t.Fatal(err)
		}
		if n != want {
			t.Errorf("%s: %d pairings so far, want %d", what, n, want)
		}
	}
	check("first", whole, 2)
	check("the same again", whole, 2)
	part := *whole
	part.Tree = hashtree.Witness(whole.Tree, []hashtree.Path{{[]byte("time")}})
	check("another witness of the same root", &part, 2)
	check("the next round", subnetKey.certify(stateTree(now.Add(1)), d), 3)
}

func TestGoroutinesMayShareAVerifier(t *testing.T) { // for the race detector
	v := newVerifierWithoutBLS()
	d := delegation(sharded, now)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 20 {
				cert := subnetKey.certify(stateTree(now.Add(time.Duration((i+j)%8))), d).Append(nil)
				if _, err := v.Canister(cert, principal.Canister(15), now); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestARememberedSignatureIsGoodForItsKeyOnly(t *testing.T) {
	v := newVerifier()
	c := subnetKey.certify(stateTree(now), delegation(sharded, now))
	if _, err := v.Canister(c.Append(nil), principal.Canister(15), now); err != nil {
		t.Fatal(err)
	}
	c.Delegation = nil // as if the root subnet had signed
	var se *SignatureError
	if _, err := v.Canister(c.Append(nil), principal.Canister(15), now); !errors.As(err, &se) {
		t.Errorf("error %v", err)
	}
}

func TestCachesStaySmall(t *testing.T) {
	var c cache[int]
	for i := range 1000 {
		c.put(binaryKey(i), i, 1000)
		c.get(binaryKey(0), 1000) // in use all the time
		if n := 10 * (len(c.young) + len(c.old)); n > 2000 || c.bytes > 1000 {
			t.Fatalf("%d bytes of keys after %d entries", n, i)
		}
	}
	if v, ok := c.get(binaryKey(0), 1000); !ok || v != 0 {
		t.Error("the entry in use was forgotten")
	}
	if _, ok := c.get(binaryKey(1), 1000); ok {
		t.Error("an entry that nobody used is still there")
	}
	c.put(make([]byte, 251), 1, 1000)
	if _, ok := c.get(make([]byte, 251), 1000); ok {
		t.Error("a key of more than a quarter of the limit was kept")
	}
}

func binaryKey(i int) []byte {
	b := make([]byte, 10)
	b[0], b[1] = byte(i), byte(i>>8)
	return b
}

func TestTheCallerMayReuseItsBuffer(t *testing.T) {
	v := newVerifier()
	cert := subnetKey.certify(stateTree(now), delegation(sharded, now)).Append(nil)
	buf := bytes.Clone(cert)
	if _, err := v.Canister(buf, principal.Canister(15), now); err != nil {
		t.Fatal(err)
	}
	clear(buf)
	c, err := v.Canister(cert, principal.Canister(15), now)
	if err != nil {
		t.Fatal(err)
	}
	if val, s := hashtree.Lookup(c.Tree, []byte("canister"), []byte("x")); s != hashtree.Found || string(val) != "y" {
		t.Errorf("lookup is %s %q", s, val)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(subnetKey.certify(stateTree(now), delegation(both, now)).Append(nil))
	f.Add(rootKey.certify(delegationTree(both, now), nil).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b)
		if err != nil {
			return
		}
		out := c.Append(nil)
		again, err := Parse(out)
		if err != nil {
			t.Fatalf("re-encoded certificate is refused: %v", err)
		}
		if !bytes.Equal(again.Append(nil), out) || again.Tree.Hash() != c.Tree.Hash() {
			t.Fatal("the certificate changed")
		}
		if _, err := newVerifierWithoutBLS().Canister(b, principal.Canister(15), now); err == nil {
			return // whatever it says, it must not panic
		}
	})
}

func FuzzDecodeRanges(f *testing.F) {
	f.Add(AppendRanges(nil, []Range{{principal.Canister(1), principal.Canister(2)}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		ranges, err := DecodeRanges(b)
		if err != nil {
			return
		}
		out := AppendRanges(nil, ranges)
		again, err := DecodeRanges(out)
		if err != nil || !bytes.Equal(AppendRanges(nil, again), out) {
			t.Fatalf("the ranges changed (%v)", err)
		}
	})
}

func newVerifierWithoutBLS() *Verifier {
	return &Verifier{RootKey: rootKey.der(), BLS: func(_, _, _ []byte) error { return nil }}
}

func BenchmarkVerifyNewCertificate(b *testing.B) {
	v := newVerifier()
	d := delegation(sharded, now)
	i := 0
	for b.Loop() {
		b.StopTimer()
		cert := subnetKey.certify(stateTree(now.Add(time.Duration(i))), d).Append(nil)
		i++
		b.StartTimer()
		if _, err := v.Canister(cert, principal.Canister(15), now); err != nil {
			b.Fatal(err)
		}
	}
}
