package candid_test

import (
	"encoding/hex"
	"errors"
	"math/big"
	"testing"

	"portico/lightclient/candid"
	"portico/lightclient/principal"
)

func TestEncodingMatchesTheSpecification(t *testing.T) {
	list := &candid.Named{Name: "list"}
	list.Type = candid.OptOf(candid.RecordOf(candid.F("head", candid.IntType), candid.F("tail", list)))
	for _, c := range []struct {
		types  []candid.Type
		values []candid.Value
		want   string
	}{
		{nil, nil, "4449444c0000"},
		{[]candid.Type{candid.NatType, candid.TextType}, []candid.Value{candid.NatOf(128), candid.Text("a")}, "4449444c00027d71" + "8001" + "0161"},
		{[]candid.Type{candid.PrincipalType}, []candid.Value{candid.Principal(principal.Anonymous())}, "4449444c000168" + "010104"},
		{
			[]candid.Type{candid.BlobType(), candid.VecOf(candid.Nat8Type)},
			[]candid.Value{candid.Blob{1}, candid.Vec{candid.Nat8(2)}},
			"4449444c016d7b020000" + "0101" + "0102",
		},
		{
			[]candid.Type{list},
			[]candid.Value{candid.Opt{Value: candid.NewRecord(candid.With("head", candid.IntOf(-1)), candid.With("tail", candid.Opt{}))}},
			"4449444c026e016c02a0d2aca8047c90eddae70400" + "0100" + "017f00",
		},
	} {
		b, err := candid.Encode(c.types, c.values)
		if err != nil {
			t.Errorf("%s: %v", candid.ArgsText(c.values, c.types), err)
			continue
		}
		if got := hex.EncodeToString(b); got != c.want {
			t.Errorf("%s: got %s, want %s", candid.ArgsText(c.values, c.types), got, c.want)
		}
	}
}

func TestNumbersOfAnySizeSurviveARoundTrip(t *testing.T) {
	for shift := range uint(200) {
		for _, delta := range []int64{-1, 0, 1} {
			n := new(big.Int).Lsh(big.NewInt(1), shift)
			n.Add(n, big.NewInt(delta))
			nat, _ := candid.NatOfBig(n)
			for _, v := range []candid.Value{nat, candid.IntOfBig(n), candid.IntOfBig(new(big.Int).Neg(n))} {
				typ := candid.Type(candid.IntType)
				if _, ok := v.(candid.Nat); ok {
					typ = candid.NatType
				}
				b, err := candid.Encode([]candid.Type{typ}, []candid.Value{v})
				if err != nil {
					t.Fatal(err)
				}
				out, err := candid.Decode(b, typ)
				if err != nil {
					t.Fatalf("%s from %x: %v", candid.ValueText(v, nil), b, err)
				}
				if !candid.Equal(out[0], v) {
					t.Fatalf("%s came back as %s from %x", candid.ValueText(v, nil), candid.ValueText(out[0], nil), b)
				}
			}
		}
	}
}

func TestErrorsSayWhatAndWhere(t *testing.T) {
	account := candid.RecordOf(candid.F("owner", candid.PrincipalType), candid.F("memo", candid.VecOf(candid.NatType)))
	memo := candid.RecordOf(candid.F("owner", candid.PrincipalType), candid.F("memo", candid.VecOf(candid.TextType)))
	b, err := candid.Encode([]candid.Type{account}, []candid.Value{candid.NewRecord(
		candid.With("memo", candid.Vec{candid.NatOf(1)}), candid.With("owner", candid.Principal(principal.Anonymous())),
	)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = candid.Decode(b, memo)
	// The number is the last byte of the message, the 28th.
	if err == nil || err.Error() != "candid: argument 0.memo[0] (byte 27): have nat, want text" || len(b) != 28 {
		t.Errorf("got %v", err)
	}
	_, err = candid.Decode(b[:len(b)-1], account)
	if !errors.As(err, new(*candid.MalformedError)) {
		t.Errorf("a truncated message: got %v, want a *MalformedError", err)
	}
}
