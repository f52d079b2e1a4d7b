package lightclient

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"portico/lightclient/asset"
	"portico/lightclient/candid"
	"portico/lightclient/principal"
)

// What the reader of messages does is what package candid does with these types.

func headersType() candid.Type {
	return candid.VecOf(candid.TupleOf(candid.TextType, candid.TextType))
}

func responseType() candid.Type {
	return candid.RecordOf(
		candid.F("status_code", candid.Nat16Type),
		candid.F("headers", headersType()),
		candid.F("body", candid.BlobType()),
		candid.F("upgrade", candid.OptOf(candid.BoolType)),
		candid.F("streaming_strategy", candid.OptOf(candid.VariantOf(
			candid.F("Callback", candid.RecordOf(candid.F("callback", candid.AnyType), candid.F("token", candid.AnyType))),
		))),
	)
}

func chunkType() candid.Type {
	return candid.RecordOf(candid.F("body", candid.BlobType()), candid.F("token", candid.OptOf(candid.AnyType)))
}

// A failer is a *testing.T or a *rapid.T.
type failer interface {
	Fatalf(format string, args ...any)
}

// decodeWith reads a message by package candid; limited tells that it takes more
// work than either reader does.
func decodeWith(b []byte, want candid.Type) (r candid.Record, limited bool, err error) {
	values, err := candid.Decode(b, want)
	if err != nil {
		_, limited = errors.AsType[*candid.LimitError](err)
		return nil, limited, err
	}
	return values[0].(candid.Record), false, nil
}

// compareResponses reads b both ways.
func compareResponses(t failer, b []byte) {
	got, err := decodeResponse(b)
	want, limited, wantErr := decodeWith(b, responseType())
	if limited {
		return
	}
	var strategy candid.Record
	isFunc := false
	if wantErr == nil {
		if v, ok := want.Get("streaming_strategy").(candid.Opt).Value.(candid.Variant); ok {
			strategy = v.Value.(candid.Record)
			if _, isFunc = strategy.Get("callback").(candid.Typed).Value.(candid.Func); !isFunc {
				wantErr = errors.New("the callback is not a function")
			}
		}
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%x: error %v, by package candid %v", b, err, wantErr)
	}
	if err != nil {
		return
	}
	upgrade, _ := want.Get("upgrade").(candid.Opt).Value.(candid.Bool)
	var headers []asset.Header
	for _, h := range want.Get("headers").(candid.Vec) {
		pair := h.(candid.Record)
		headers = append(headers, asset.Header{Name: string(pair.At(0).(candid.Text)), Value: string(pair.At(1).(candid.Text))})
	}
	if got.Status != uint16(want.Get("status_code").(candid.Nat16)) || !bytes.Equal(got.Body, want.Get("body").(candid.Blob)) ||
		got.upgrade != bool(upgrade) || !slices.Equal(got.Headers, headers) || (got.next != nil) != isFunc {
		t.Fatalf("%x: read %+v, by package candid %v", b, got, want)
	}
	_ = got.check()
	if got.next != nil {
		f := strategy.Get("callback").(candid.Typed).Value.(candid.Func)
		if got.next.service != f.Service || got.next.method != f.Method {
			t.Fatalf("%x: callback %+v, by package candid %v", b, got.next, f)
		}
		compareTokens(t, got.next.token, strategy.Get("token").(candid.Typed))
	}
}

func compareChunks(t failer, b []byte) {
	body, token, err := decodeChunk(b)
	want, limited, wantErr := decodeWith(b, chunkType())
	if limited {
		return
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%x: error %v, by package candid %v", b, err, wantErr)
	}
	if err != nil {
		return
	}
	typed, hasToken := want.Get("token").(candid.Opt).Value.(candid.Typed)
	if !bytes.Equal(body, want.Get("body").(candid.Blob)) || (token != nil) != hasToken {
		t.Fatalf("%x: read %x and token %x, by package candid %v", b, body, token, want)
	}
	if hasToken {
		compareTokens(t, token, typed)
	}
}

func compareTokens(t failer, arg []byte, want candid.Typed) {
	again, err := candid.DecodeAny(arg)
	if err != nil || len(again) != 1 || !candid.Equal(again[0].Value, want.Value) {
		t.Fatalf("token %v is sent back as %v, %v", want, again, err)
	}
}

// drawType draws a type of the wire, with the names of the protocol where they can matter.
func drawType(t *rapid.T, depth int) candid.Type {
	prims := []candid.Type{
		candid.NullType, candid.BoolType, candid.NatType, candid.IntType, candid.Nat8Type, candid.Nat16Type,
		candid.Int64Type, candid.Float32Type, candid.TextType, candid.ReservedType, candid.PrincipalType,
	}
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 {
		kind = 0
	}
	switch kind {
	case 1:
		return candid.OptOf(drawType(t, depth-1))
	case 2:
		return candid.VecOf(drawType(t, depth-1))
	case 3:
		return candid.TupleOf(drawType(t, depth-1), drawType(t, depth-1))
	case 4:
		return candid.VariantOf(candid.F("Callback", drawType(t, depth-1)), candid.F("Other", candid.NullType))
	case 5:
		return candid.RecordOf(
			candid.F("callback", &candid.FuncType{Annotations: candid.Query}), candid.F("token", drawType(t, depth-1)),
		)
	default:
		return rapid.SampledFrom(prims).Draw(t, "prim")
	}
}

// drawValue draws a value of a type that drawType draws.
func drawValue(t *rapid.T, of candid.Type) candid.Value {
	switch of := of.(type) {
	case *candid.OptType:
		if rapid.Bool().Draw(t, "null") {
			return candid.Opt{}
		}
		return candid.Opt{Value: drawValue(t, of.Elem)}
	case *candid.VecType:
		out := candid.Vec{}
		for range rapid.IntRange(0, 2).Draw(t, "length") {
			out = append(out, drawValue(t, of.Elem))
		}
		return out
	case *candid.RecordType:
		out := make(candid.Record, len(of.Fields))
		for i, f := range of.Fields {
			out[i] = candid.Field{ID: f.ID, Value: drawValue(t, f.Type)}
		}
		return out
	case *candid.VariantType:
		f := rapid.SampledFrom(of.Fields).Draw(t, "case")
		return candid.Variant{ID: f.ID, Value: drawValue(t, f.Type)}
	case *candid.FuncType:
		return candid.Func{Service: canister, Method: "next"}
	}
	return map[candid.Type]candid.Value{
		candid.NullType: candid.Null{}, candid.BoolType: candid.Bool(true), candid.NatType: candid.NatOf(300),
		candid.IntType: candid.IntOf(-300), candid.Nat8Type: candid.Nat8(7), candid.Nat16Type: candid.Nat16(200),
		candid.Int64Type: candid.Int64(-1), candid.Float32Type: candid.Float32(1.5), candid.TextType: candid.Text("text"),
		candid.ReservedType: candid.Reserved{}, candid.PrincipalType: candid.Principal(principal.Anonymous()),
	}[of]
}

// drawRecord draws a message of a record with the fields, or some of them, each of
// its usual type or any other.
func drawRecord(t *rapid.T, usual map[string]candid.Type) []byte {
	var types []candid.FieldType
	for _, name := range []string{"status_code", "headers", "body", "upgrade", "streaming_strategy", "token", "more"} {
		of := usual[name]
		switch {
		case rapid.IntRange(0, 9).Draw(t, name) == 0:
			continue
		case of == nil, rapid.IntRange(0, 5).Draw(t, name) == 0:
			of = drawType(t, 3)
		}
		types = append(types, candid.F(name, of))
	}
	record := candid.RecordOf(types...)
	b, err := candid.Encode([]candid.Type{record, candid.TextType}, []candid.Value{drawValue(t, record), candid.Text("more")})
	if err != nil {
		t.Fatal(err)
	}
	if rapid.IntRange(0, 3).Draw(t, "damage") == 0 {
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
	}
	return b
}

func TestResponsesAreReadAsPackageCandidReadsThem(t *testing.T) {
	function := &candid.FuncType{Annotations: candid.Query}
	rapid.Check(t, func(t *rapid.T) {
		compareResponses(t, drawRecord(t, map[string]candid.Type{
			"status_code": candid.Nat16Type, "headers": headersType(), "body": candid.BlobType(), "upgrade": candid.OptOf(candid.BoolType),
			"streaming_strategy": candid.OptOf(candid.VariantOf(candid.F("Callback",
				candid.RecordOf(candid.F("callback", function), candid.F("token", drawType(t, 2)))))),
		}))
	})
}

func TestChunksAreReadAsPackageCandidReadsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		compareChunks(t, drawRecord(t, map[string]candid.Type{"body": candid.BlobType(), "token": candid.OptOf(drawType(t, 3))}))
	})
}

func TestRequestsAreWrittenForAnyReader(t *testing.T) {
	want := candid.RecordOf(
		candid.F("method", candid.TextType), candid.F("url", candid.TextType), candid.F("headers", headersType()),
		candid.F("body", candid.BlobType()), candid.F("certificate_version", candid.OptOf(candid.Nat16Type)),
	)
	text := rapid.StringN(0, 300, 400)
	rapid.Check(t, func(t *rapid.T) {
		r := &asset.Request{Method: text.Draw(t, "method"), URL: text.Draw(t, "url"), Body: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "body")}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			r.Headers = append(r.Headers, asset.Header{Name: text.Draw(t, "name"), Value: text.Draw(t, "value")})
		}
		version := rapid.Bool().Draw(t, "version")
		b, err := encodeRequest(r, version)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := decodeWith(b, want)
		if err != nil {
			t.Fatal(err)
		}
		asked, _ := got.Get("certificate_version").(candid.Opt).Value.(candid.Nat16)
		if got.Get("method") != candid.Text(r.Method) || got.Get("url") != candid.Text(r.URL) || !bytes.Equal(got.Get("body").(candid.Blob), r.Body) ||
			(asked == certificateVersion) != version || len(got.Get("headers").(candid.Vec)) != len(r.Headers) {
			t.Fatalf("%+v arrives as %v", r, got)
		}
		for i, h := range got.Get("headers").(candid.Vec) {
			if pair := h.(candid.Record); pair.At(0) != candid.Text(r.Headers[i].Name) || pair.At(1) != candid.Text(r.Headers[i].Value) {
				t.Fatalf("header %v arrives as %v", r.Headers[i], pair)
			}
		}
	})
	if _, err := encodeRequest(&asset.Request{URL: "\xff"}, true); err == nil {
		t.Error("text that is not UTF-8 is sent")
	}
}
