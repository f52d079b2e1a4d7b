package cbor

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func nat(text string) Value {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		panic(text)
	}
	return NatOfBytes(n.Bytes())
}

var compareNats = cmp.AllowUnexported(Nat{})

// Values of RFC 8949, Appendix A, in their shortest form.
var appendixA = map[string]Value{
	"00":                     nat("0"),
	"17":                     nat("23"),
	"1818":                   nat("24"),
	"1903e8":                 nat("1000"),
	"1a000f4240":             nat("1000000"),
	"1b000000e8d4a51000":     nat("1000000000000"),
	"1bffffffffffffffff":     nat("18446744073709551615"),
	"c249010000000000000000": nat("18446744073709551616"),
	"3bffffffffffffffff":     NegInt{math.MaxUint64},
	"20":                     NegInt{0},
	"3903e7":                 NegInt{999},
	"f4":                     Simple(20),
	"f5":                     Simple(21),
	"f6":                     Simple(22),
	"f7":                     Simple(23),
	"f0":                     Simple(16),
	"f8ff":                   Simple(255),
	"f93c00":                 Float{2, 0x3c00},
	"fa47c35000":             Float{4, 0x47c35000},
	"fb3ff199999999999a":     Float{8, 0x3ff199999999999a},
	"40":                     Bytes{},
	"4401020304":             Bytes{1, 2, 3, 4},
	"60":                     Text(""),
	"6449455446":             Text("IETF"),
	"62c3bc":                 Text("ü"),
	"64f0908591":             Text("𐅑"),
	"80":                     Array{},
	"83010203":               Array{nat("1"), nat("2"), nat("3")},
	"8301820203820405":       Array{nat("1"), Array{nat("2"), nat("3")}, Array{nat("4"), nat("5")}},
	"a0":                     &Map{},
	"a26161016162820203":     &Map{Keys: []string{"a", "b"}, Values: []Value{nat("1"), Array{nat("2"), nat("3")}}},
	"826161a161626163":       Array{Text("a"), &Map{Keys: []string{"b"}, Values: []Value{Text("c")}}},
}

func TestAppendixADecodesAndEncodes(t *testing.T) {
	for in, want := range appendixA {
		got, err := Decode(unhex(t, in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if d := cmp.Diff(want, got, compareNats); d != "" {
			t.Errorf("%s: %s", in, d)
		}
		if out := hex.EncodeToString(AppendValue(nil, got)); out != in {
			t.Errorf("%s is encoded as %s", in, out)
		}
	}
}

// Other encodings of the same, which clients may send.
func TestLooserEncodingsAreRead(t *testing.T) {
	for in, shortest := range map[string]string{
		"d9d9f700":                   "00",
		"d9d9f7d9d9f700":             "00",
		"1b0000000000000001":         "01",
		"c24101":                     "01",
		"5f42010243030405ff":         "450102030405",
		"7f657374726561646d696e67ff": "6973747265616d696e67",
		"9fff":                       "80",
		"9f018202039f0405ffff":       "8301820203820405",
		"bf61610161629f0203ffff":     "a26161016162820203",
		"c2 5f4100 41ff ff":          "18ff",
		"98 03 010203":               "83010203",
		"5b 0000000000000001 61":     "4161",
		"a1 61 61 d9d9f7 01":         "a1616101",
		"c2 51 00 ffffffffffffffff ffffffffffffffff": "c250ffffffffffffffffffffffffffffffff",
	} {
		got, err := Decode(unhex(t, in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if out := hex.EncodeToString(AppendValue(nil, got)); out != shortest {
			t.Errorf("%s is read as %s, want %s", in, out, shortest)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"nothing":                       {"", "offset 0: input ends"},
		"a number cut off":              {"1901", "ends inside"},
		"a string cut off":              {"4401", "ends inside"},
		"a string of 2^64 bytes":        {"5bffffffffffffffff", "ends inside"},
		"an array of 2^63 items":        {"9b8000000000000000", "ends inside"},
		"a map of 2^63 entries":         {"bb8000000000000000", "ends inside"},
		"a map with half an entry":      {"a16161", "ends inside"},
		"an array without end":          {"9f01", "ends inside"},
		"bytes after it":                {"0000", "offset 1: bytes follow"},
		"an end mark alone":             {"ff", "end mark"},
		"an end mark as a value":        {"bf6161ffff", "end mark"},
		"reserved lengths":              {"1c", "not well formed"},
		"an indefinite number":          {"1f", "not well formed"},
		"an indefinite tag":             {"df00", "not well formed"},
		"a nested indefinite string":    {"5f5f4101ffff", "indefinite chunk"},
		"a text chunk in a byte string": {"5f6161ff", "expected a byte string chunk"},
		"text that is not UTF-8":        {"61ff", "not UTF-8"},
		"a simple value in two bytes":   {"f814", "not well formed"},
		"a key that is a number":        {"a10000", "expected a text string"},
		"a key twice":                   {"a2616100616101", `key "a" appears twice`},
		"a key twice, indefinite":       {"bf616100616101ff", "appears twice"},
		"a negative bignum":             {"c34101", "tag 3 has no meaning"},
		"a date":                        {"c100", "tag 1 has no meaning"},
		"a bignum that is text":         {"c26101", "expected a byte string"},
		"deep arrays":                   {strings.Repeat("81", MaxDepth) + "00", "too deep"},
		"deep tags":                     {strings.Repeat("d9d9f7", MaxDepth) + "00", "too deep"},
	} {
		_, err := Decode(unhex(t, c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	if _, err := Decode(unhex(t, strings.Repeat("81", MaxDepth-1)+"00")); err != nil {
		t.Errorf("the deepest arrays: %v", err)
	}
}

func TestMemoryForHostileInputIsBounded(t *testing.T) {
	const inputBytes, bound = 4 << 20, 64 << 20
	for name, item := range map[string][]byte{
		"numbers":    {1},
		"empty maps": {0xa0},
		"blobs":      {0x41, 0},
	} {
		in := append([]byte{0x9f}, bytes.Repeat(item, inputBytes/len(item))...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(in)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrItems) {
			t.Errorf("%s: error %v", name, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > bound {
			t.Errorf("%s: %d bytes were allocated", name, got)
		}
	}
}

func TestDecoderPullsItems(t *testing.T) {
	var b []byte
	b = AppendSelfDescribe(b)
	b = AppendMap(b, 2)
	b = AppendUint(AppendText(b, "n"), 7)
	b = AppendArray(AppendText(b, "list"), 3)
	b = AppendBytes(b, []byte{1})
	b = AppendBool(AppendBool(b, true), false)
	d := NewDecoder(b)
	d.SkipSelfDescribe()
	check := func(what string, err error, ok bool) {
		t.Helper()
		if err != nil || !ok {
			t.Fatalf("%s: %v", what, err)
		}
	}
	n, err := d.Map()
	check("map", err, n == 2)
	k, err := d.Text()
	check("key", err, k == "n")
	at := d.Offset()
	_, err = d.Bytes()
	if err == nil || d.Offset() != at {
		t.Fatalf("a number is read as bytes, or the offset moved: %v", err)
	}
	v, err := d.Uint()
	check("number", err, v == 7)
	k, err = d.Text()
	check("key", err, k == "list")
	n, err = d.Array()
	check("array", err, n == 3 && d.More(2, n) && !d.More(3, n))
	s, err := d.Bytes()
	check("bytes", err, bytes.Equal(s, []byte{1}))
	check("skip", d.Skip(), true)
	if d.End() == nil {
		t.Error("End is content before the end")
	}
	check("skip", d.Skip(), true)
	check("end", d.End(), true)
}

func TestUintReadsSmallBignumsOnly(t *testing.T) {
	if v, err := NewDecoder(unhex(t, "c2420100")).Uint(); v != 256 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
	for _, in := range []string{"c249010000000000000000", "c101", "c2", "20", "4101"} {
		if v, err := NewDecoder(unhex(t, in)).Uint(); err == nil {
			t.Errorf("%s is read as %d", in, v)
		}
	}
}

func TestByteStringsCannotGrowIntoTheInput(t *testing.T) {
	in := unhex(t, "82410141ff")
	d := NewDecoder(in)
	if _, err := d.Array(); err != nil {
		t.Fatal(err)
	}
	b, err := d.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	_ = append(b, 0)
	if in[3] != 0x41 {
		t.Error("appending to a decoded string changed the input")
	}
}

func TestMapGet(t *testing.T) {
	m := &Map{}
	m.Set("a", Text("x"))
	if m.Get("a") != Text("x") || m.Get("b") != nil {
		t.Error("wrong values")
	}
}

// genValue draws values as Decode makes them.
func genValue(t *rapid.T, depth int) Value {
	limit := 8
	if depth == 0 {
		limit = 6
	}
	switch rapid.IntRange(0, limit-1).Draw(t, "kind") {
	case 0:
		return NatOfBytes(rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "n"))
	case 1:
		return NegInt{rapid.Uint64().Draw(t, "n")}
	case 2:
		return Bytes(rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "bytes"))
	case 3:
		return Text(rapid.String().Draw(t, "text"))
	case 4:
		return Simple(rapid.SampledFrom([]byte{0, 19, 20, 23, 32, 255}).Draw(t, "simple"))
	case 5:
		return rapid.SampledFrom([]Float{{2, 1}, {4, 1}, {8, 1}}).Draw(t, "float")
	case 6:
		a := Array{}
		for range rapid.IntRange(0, 4).Draw(t, "n") {
			a = append(a, genValue(t, depth-1))
		}
		return a
	default:
		m := &Map{}
		for _, k := range rapid.SliceOfNDistinct(rapid.StringN(0, 3, -1), 0, 4, rapid.ID[string]).Draw(t, "keys") {
			m.Set(k, genValue(t, depth-1))
		}
		return m
	}
}

func TestDecodeInvertsAppendValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := genValue(t, 4)
		got, err := Decode(AppendValue(nil, v))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(v, got, compareNats); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for in := range appendixA {
		f.Add(unhex(f, in))
	}
	f.Add(unhex(f, "bf61610161629f0203ffff"))
	f.Add(unhex(f, "5f42010243030405ff"))
	f.Add(unhex(f, "c2453030303030")) // grows
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Decode(b)
		if err != nil {
			return
		}
		out := AppendValue(nil, v)
		// The one form that grows: a bignum of 5 bytes (7 in all) is an integer of 9.
		if 7*len(out) > 9*len(b) {
			t.Fatalf("%d bytes became %d", len(b), len(out))
		}
		again, err := Decode(out)
		if err != nil {
			t.Fatalf("re-encoded value is refused: %v", err)
		}
		if !bytes.Equal(AppendValue(nil, again), out) {
			t.Fatal("the value changed")
		}
		d := NewDecoder(b)
		if err := d.Skip(); err != nil {
			t.Fatalf("Skip: %v", err)
		}
		if err := d.End(); err != nil {
			t.Fatalf("Skip stops at %d: %v", d.Offset(), err)
		}
	})
}

func BenchmarkDecodeValue(b *testing.B) {
	m := &Map{}
	for _, k := range []string{"request_type", "sender", "ingress_expiry", "canister_id", "method_name", "arg"} {
		m.Set(k, Bytes("some bytes of a field"))
	}
	in := AppendValue(nil, m)
	for b.Loop() {
		if _, err := Decode(in); err != nil {
			b.Fatal(err)
		}
	}
}
