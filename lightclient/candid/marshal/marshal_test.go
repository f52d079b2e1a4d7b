package marshal_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portico/lightclient/candid"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
)

type visibility struct {
	Controllers    bool            `candid:"controllers,variant"`
	Public         bool            `candid:"public,variant"`
	AllowedViewers *[]principal.ID `candid:"allowed_viewers,variant"`
}

type header struct {
	Name  string `candid:"0"`
	Value string `candid:"1"`
}

type list struct {
	Head int64 `candid:"head,int"`
	Tail *list `candid:"tail"`
}

type callback candid.Func

func (callback) CandidType() candid.Type {
	return marshal.FuncType([]any{header{}}, []any{[]byte(nil)}, candid.Query)
}

type everything struct {
	Bool       bool              `candid:"bool"`
	Text       string            `candid:"text"`
	Nat        *big.Int          `candid:"nat"`
	Int        *big.Int          `candid:"int,int"`
	NatSmall   uint64            `candid:"nat_small,nat"`
	OptNat     *uint64           `candid:"opt_nat,nat"`
	OptBig     **big.Int         `candid:"opt_big"`
	IntSmall   int64             `candid:"int_small,int"`
	Nat8       uint8             `candid:"nat8"`
	Nat16      uint16            `candid:"nat16"`
	Nat32      uint32            `candid:"nat32"`
	Nat64      uint64            `candid:"nat64"`
	Int8       int8              `candid:"int8"`
	Int16      int16             `candid:"int16"`
	Int32      int32             `candid:"int32"`
	Int64      int64             `candid:"int64"`
	Float32    float32           `candid:"float32"`
	Float64    float64           `candid:"float64"`
	Principal  principal.ID      `candid:"principal"`
	Blob       []byte            `candid:"blob"`
	Hash       [32]byte          `candid:"hash"`
	Vec        []uint16          `candid:"vec"`
	Pair       [2]string         `candid:"pair"`
	Headers    []header          `candid:"headers"`
	OptOpt     **string          `candid:"opt_opt"`
	Visibility visibility        `candid:"visibility"`
	Callback   *callback         `candid:"callback"`
	List       *list             `candid:"list"`
	Null       candid.Null       `candid:"null"`
	Reserved   candid.Reserved   `candid:"reserved"`
	Nothing    *marshal.Empty    `candid:"nothing"`
	Unit       struct{}          `candid:"unit"`
	Ignored    map[string]string `candid:"-"`
}

func sample() everything {
	some, huge := uint64(7), new(big.Int).Lsh(big.NewInt(3), 200)
	var absent *string
	return everything{
		Bool: true, Text: "☃", Nat: huge, Int: new(big.Int).Neg(huge), NatSmall: 1 << 63, OptNat: &some, OptBig: &huge,
		IntSmall: -1 << 63, Nat8: 255, Nat16: 65535, Nat32: 1<<32 - 1, Nat64: 1<<64 - 1,
		Int8: -128, Int16: -32768, Int32: -1 << 31, Int64: -1 << 63, Float32: 0.5, Float64: -1e300,
		Principal: principal.Anonymous(), Blob: []byte{1, 2, 3}, Hash: [32]byte{31: 9}, Vec: []uint16{1, 2}, Pair: [2]string{"a", "b"},
		Headers: []header{{"Host", "x"}}, OptOpt: &absent, Visibility: visibility{AllowedViewers: &[]principal.ID{principal.Anonymous()}},
		Callback: &callback{Service: principal.Canister(3), Method: "next"}, List: &list{1, &list{2, nil}},
	}
}

func compareOptions() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b *big.Int) bool { return (a == nil) == (b == nil) && (a == nil || a.Cmp(b) == 0) }),
		cmp.Comparer(func(a, b principal.ID) bool { return a == b }),
	}
}

func TestEverythingSurvivesARoundTrip(t *testing.T) {
	in := sample()
	b, err := marshal.Encode(in)
	if err != nil {
		t.Fatal(err)
	}
	var out everything
	if err := marshal.Decode(b, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out, compareOptions()); diff != "" {
		t.Error(diff)
	}
}

func TestEncodingIsTheOneOfPackageCandid(t *testing.T) {
	// record { 0 : text; 1 : text } is one entry of the table, used twice.
	b, err := marshal.Encode(header{"a", "b"}, []header{})
	if err != nil {
		t.Fatal(err)
	}
	const want = "4449444c02" + "6c0200710171" + "6d00" + "020001" + "01610162" + "00"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMissingTrailingArgumentsAreNil(t *testing.T) {
	b, err := marshal.Encode("only")
	if err != nil {
		t.Fatal(err)
	}
	set := "set"
	var s string
	more, null := &set, &set
	if err := marshal.Decode(b, &s, &more, &null); err != nil {
		t.Fatal(err)
	}
	if s != "only" || more != nil || null != nil {
		t.Errorf("got %q, %v, %v", s, more, null)
	}
	var required string
	if err := marshal.Decode(b, &s, &required); !errors.As(err, new(*candid.MismatchError)) {
		t.Errorf("a missing text: got %v, want a *MismatchError", err)
	}
}

func TestTheThreeValuesOfOptOptText(t *testing.T) {
	text, none := "x", (*string)(nil)
	some := &text
	for _, in := range []**string{nil, &none, &some} {
		b, err := marshal.Encode(in)
		if err != nil {
			t.Fatal(err)
		}
		var out **string
		if err := marshal.Decode(b, &out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(in, out); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAVariantHasExactlyOneCase(t *testing.T) {
	for _, v := range []visibility{{}, {Public: true, Controllers: true}} {
		if b, err := marshal.Encode(v); err == nil {
			t.Errorf("%+v encoded as %x", v, b)
		}
	}
	b, err := marshal.Encode(visibility{Public: true})
	if err != nil {
		t.Fatal(err)
	}
	out := visibility{Controllers: true}
	if err := marshal.Decode(b, &out); err != nil {
		t.Fatal(err)
	}
	if want := (visibility{Public: true}); out != want {
		t.Errorf("got %+v, want %+v", out, want)
	}
}

func TestNumbersThatDoNotFitAreRefused(t *testing.T) {
	huge := new(big.Int).Lsh(big.NewInt(1), 64)
	b, err := marshal.Encode(huge)
	if err != nil {
		t.Fatal(err)
	}
	var u uint
	if err := marshal.Decode(b, &u); err == nil {
		t.Errorf("2^64 decoded as %d", u)
	}
	var narrow struct {
		N uint8 `candid:"n,nat"`
	}
	if b, err = marshal.Encode(struct {
		N uint64 `candid:"n,nat"`
	}{256}); err != nil {
		t.Fatal(err)
	}
	if err := marshal.Decode(b, &narrow); err == nil {
		t.Errorf("256 decoded as %d", narrow.N)
	}
	if _, err := marshal.Encode(big.NewInt(-1)); err == nil {
		t.Error("-1 was encoded as a nat")
	}
	var hash [4]byte
	if b, err = marshal.Encode([]byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if err := marshal.Decode(b, &hash); err == nil {
		t.Error("3 bytes were decoded into 4")
	}
}

func TestDecodedBlobsAliasTheMessage(t *testing.T) {
	in := bytes.Repeat([]byte{7}, 100)
	b, err := marshal.Encode(in)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	if err := marshal.Decode(b, &out); err != nil {
		t.Fatal(err)
	}
	if &out[0] != &b[len(b)-len(in)] {
		t.Error("the blob was copied")
	}
	if cap(out) != len(out) {
		t.Error("appending to the blob would write into the message")
	}
}

func TestUnknownTokensCanBeKeptAndSentBack(t *testing.T) {
	type token struct {
		Key   string   `candid:"key"`
		Index *big.Int `candid:"index"`
	}
	b, err := marshal.Encode(struct {
		Token token `candid:"token"`
	}{token{"a", big.NewInt(5)}})
	if err != nil {
		t.Fatal(err)
	}
	var opaque struct {
		Token candid.Typed `candid:"token"`
	}
	if err := marshal.Decode(b, &opaque); err != nil {
		t.Fatal(err)
	}
	if b, err = marshal.Encode(opaque.Token); err != nil {
		t.Fatal(err)
	}
	var got token
	if err := marshal.Decode(b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(token{"a", big.NewInt(5)}, got, compareOptions()); diff != "" {
		t.Error(diff)
	}
}

func TestAnyFunctionCanBeReceived(t *testing.T) {
	b, err := marshal.Encode(callback{principal.Canister(1), "m"})
	if err != nil {
		t.Fatal(err)
	}
	var f candid.Func
	if err := marshal.Decode(b, &f); err != nil {
		t.Fatal(err)
	}
	if want := (candid.Func{Service: principal.Canister(1), Method: "m"}); f != want {
		t.Errorf("got %v, want %v", f, want)
	}
	if _, err := marshal.Encode(f); err == nil {
		t.Error("a function without a signature was encoded")
	}
}

func TestTypesThatAreMistakesAreNamed(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{struct{ A string }{}, "needs a tag"},
		{struct {
			A string `candid:"a,nut"`
		}{}, "nut"},
		{struct {
			A bool `candid:"a,variant"`
			B bool `candid:"b"`
		}{}, "some fields"},
		{struct {
			A string `candid:"a,variant"`
		}{}, "must be a pointer"},
		{struct {
			A string `candid:"a"`
			B string `candid:"97"`
		}{}, "same id"},
		{map[string]int{}, "no Candid type"},
		{make(chan int), "no Candid type"},
		{*big.NewInt(1), "no field with a tag"},
		{nil, "nil"},
	} {
		if _, err := marshal.TypeOf(c.v); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: got %v, want an error about %q", c.v, err, c.want)
		}
	}
}

func BenchmarkEncodeBlob2MB(b *testing.B) {
	blob := make([]byte, 2<<20)
	b.SetBytes(int64(len(blob)))
	for b.Loop() {
		if _, err := marshal.Encode(blob); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeBlob2MB(b *testing.B) {
	message, err := marshal.Encode(make([]byte, 2<<20))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		var blob []byte
		if err := marshal.Decode(message, &blob); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeRecordOf32Fields(b *testing.B) {
	v := sample()
	for b.Loop() {
		if _, err := marshal.Encode(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeRecordOf32Fields(b *testing.B) {
	message, err := marshal.Encode(sample())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		var v everything
		if err := marshal.Decode(message, &v); err != nil {
			b.Fatal(err)
		}
	}
}
