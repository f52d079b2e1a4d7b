package principal

import (
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Well-known principals of the mainnet and examples of the specification.
func TestTextFormsOfKnownPrincipals(t *testing.T) {
	for text, raw := range map[string]string{
		"aaaaa-aa":                    "",
		"2vxsx-fae":                   "04",
		"em77e-bvlzu-aq":              "abcd01",
		"ryjl3-tyaaa-aaaaa-aaaba-cai": "00000000000000020101",
		"rwlgt-iiaaa-aaaaa-aaaaa-cai": "00000000000000000101",
		"qoctq-giaaa-aaaaa-aaaea-cai": "00000000000000080101",
	} {
		id, err := FromBytes(unhex(t, raw))
		if err != nil {
			t.Fatal(err)
		}
		if id.String() != text {
			t.Errorf("%s is written %s, want %s", raw, id, text)
		}
		if again := MustParse(text); again != id {
			t.Errorf("%s is read as %x", text, again.Bytes())
		}
	}
}

func TestParseRefusesWhatStringWouldNotWrite(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":             {"", "too short"},
		"upper case":          {"AAAAA-AA", "lower-case"},
		"no dash":             {"aaaaaaa", "canonical"},
		"dash too early":      {"aaaa-aaa", "canonical"},
		"dash at the end":     {"aaaaa-aa-", "canonical"},
		"line break":          {"aaaaa-aa\n", "lower-case"},
		"wrong checksum":      {"2vxsx-fai", "mistyped"},
		"letter changed":      {"ryjl3-tyaaa-aaaaa-aaabc-cai", "mistyped"},
		"digit out of base32": {"aaaaa-a1", "lower-case"},
		"padding":             {"aaaaa-aa=", "lower-case"},
		"too many characters": {strings.Repeat("a", 64), "at most 63"},
		"only a checksum cut": {"aaaaa", "too short"},
	} {
		if id, err := Parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %x, error %v; want one with %q", name, id.Bytes(), err, c.want)
		}
	}
}

func TestMustParsePanicsOnATypo(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	MustParse("aaaaa-ab")
}

func TestFromBytesRefusesMoreThan29Bytes(t *testing.T) {
	if _, err := FromBytes(make([]byte, 30)); err == nil {
		t.Error("30 bytes were accepted")
	}
	if _, err := FromBytes(make([]byte, 29)); err != nil {
		t.Error(err)
	}
}

// The root subnet's id is derived from the mainnet's root key.
func TestSelfAuthenticatingIDOfTheMainnetRootKey(t *testing.T) {
	key := unhex(t, "308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100814c0e6ec71fab583b08bd81373c255c3c371b2e84863c98a4f1e08b74235d14fb5d9c0cd546d9685f913a0c0b2cc5341583bf4b4392e467db96d65b9bb4cb717112f8472e0d5a4d14505ffd7484b01291091c5f87b98883463f98091a0baaae")
	id := SelfAuthenticating(key)
	if got := id.String(); got != "tdb26-jop6k-aogll-7ltgs-eruif-6kk7m-qpktf-gdiqx-mxtrf-vb5e6-eqe" {
		t.Errorf("it is %s", got)
	}
	if !id.IsSelfAuthenticating() || id.IsAnonymous() || id.IsManagement() {
		t.Error("it is of the wrong class")
	}
}

func TestClassesAreToldApart(t *testing.T) {
	if !Anonymous().IsAnonymous() || Anonymous().IsSelfAuthenticating() || Anonymous().IsManagement() {
		t.Error("anonymous")
	}
	if !(ID{}).IsManagement() || (ID{}).IsAnonymous() || (ID{}).String() != "aaaaa-aa" {
		t.Error("management canister")
	}
	if Canister(1).IsSelfAuthenticating() {
		t.Error("canister")
	}
}

func TestCanisterIndexInvertsCanister(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		index := rapid.Uint64().Draw(t, "index")
		if got, ok := Canister(index).CanisterIndex(); !ok || got != index {
			t.Fatalf("index %d became %d, %v", index, got, ok)
		}
		other := rapid.Uint64().Draw(t, "other")
		if c := Canister(index).Compare(Canister(other)); (c < 0) != (index < other) {
			t.Fatalf("Compare is %d", c)
		}
	})
	for _, id := range []ID{{}, Anonymous(), {raw: "\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02"}, {raw: strings.Repeat("\x01", 11)}} {
		if _, ok := id.CanisterIndex(); ok {
			t.Errorf("%x has an index", id.Bytes())
		}
	}
}

func TestBytesAreACopy(t *testing.T) {
	id := Canister(1)
	id.Bytes()[0] = 9
	if id != Canister(1) || id.Len() != 10 || id.Raw() != string(id.Bytes()) {
		t.Error("the principal changed")
	}
}

func TestParseInvertsString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, err := FromBytes(rapid.SliceOfN(rapid.Byte(), 0, MaxLen).Draw(t, "raw"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(id.String())
		if err != nil || again != id {
			t.Fatalf("%s became %s (%v)", id, again, err)
		}
		b, err := id.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var third ID
		if err := third.UnmarshalBinary(b); err != nil || third != id {
			t.Fatalf("%s became %s in binary form (%v)", id, third, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("aaaaa-aa")
	f.Add("rwlgt-iiaaa-aaaaa-aaaaa-cai")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := Parse(text)
		if err == nil && id.String() != text {
			t.Fatalf("%q is read as %s", text, id)
		}
		if id.Len() > MaxLen {
			t.Fatalf("%d bytes", id.Len())
		}
	})
}

func BenchmarkString(b *testing.B) {
	id := SelfAuthenticating([]byte("key"))
	for b.Loop() {
		_ = id.String()
	}
}
