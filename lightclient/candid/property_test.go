package candid

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"portico/lightclient/principal"
)

// drawType draws a type that has values, of at most depth levels.
func drawType(t *rapid.T, depth int) Type {
	kinds := 20
	if depth > 0 {
		kinds = 27
	}
	switch k := rapid.IntRange(1, kinds).Draw(t, "type"); k {
	case int(EmptyType):
		return OptOf(EmptyType)
	case 18:
		return BlobType()
	case 19:
		return &FuncType{Args: Args(TextType), Annotations: Query}
	case 20:
		return PrincipalType
	case 21:
		return OptOf(drawType(t, depth-1))
	case 22, 23:
		return VecOf(drawType(t, depth-1))
	case 24, 25:
		return &RecordType{drawFields(t, depth, 0)}
	case 26:
		return &VariantType{drawFields(t, depth, 1)}
	case 27:
		return &Named{"named", drawType(t, depth-1)}
	default:
		return Prim(k)
	}
}

func drawFields(t *rapid.T, depth, least int) []FieldType {
	ids := rapid.SliceOfNDistinct(rapid.Uint32Range(0, 5), least, 4, rapid.ID).Draw(t, "ids")
	fields := make([]FieldType, len(ids))
	for i, id := range ids {
		fields[i] = FieldType{ID: id, Type: drawType(t, depth-1)}
	}
	return mustSort(fields)
}

func drawValue(t *rapid.T, typ Type) Value {
	switch typ := Resolve(typ).(type) {
	case Prim:
		return drawPrim(t, typ)
	case *OptType:
		if Resolve(typ.Elem) == EmptyType || rapid.Bool().Draw(t, "null") {
			return Opt{}
		}
		return Opt{drawValue(t, typ.Elem)}
	case *VecType:
		if isNat8(typ.Elem) {
			return Blob(rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "blob"))
		}
		v := Vec{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			v = append(v, drawValue(t, typ.Elem))
		}
		return v
	case *RecordType:
		r := make(Record, len(typ.Fields))
		for i, f := range typ.Fields {
			r[i] = Field{f.ID, drawValue(t, f.Type)}
		}
		return r
	case *VariantType:
		f := rapid.SampledFrom(typ.Fields).Draw(t, "case")
		return Variant{f.ID, drawValue(t, f.Type)}
	case *FuncType:
		return Func{drawPrincipal(t), rapid.String().Draw(t, "method")}
	default:
		panic("no values of type " + Short(typ))
	}
}

func drawPrim(t *rapid.T, typ Prim) Value {
	switch typ {
	case NullType:
		return Null{}
	case ReservedType:
		return Reserved{}
	case BoolType:
		return Bool(rapid.Bool().Draw(t, "bool"))
	case NatType:
		n, _ := NatOfBig(drawBig(t))
		return n
	case IntType:
		n := drawBig(t)
		if rapid.Bool().Draw(t, "negative") {
			n.Neg(n)
		}
		return IntOfBig(n)
	case TextType:
		return Text(rapid.String().Draw(t, "text"))
	case PrincipalType:
		return Principal(drawPrincipal(t))
	case Float32Type:
		return Float32(rapid.Float32().Draw(t, "float32"))
	case Float64Type:
		return Float64(rapid.Float64().Draw(t, "float64"))
	}
	return fixedOf(typ, rapid.Uint64().Draw(t, "number"))
}

func drawBig(t *rapid.T) *big.Int {
	return new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "magnitude"))
}

func drawPrincipal(t *rapid.T) principal.ID {
	id, err := principal.FromBytes(rapid.SliceOfN(rapid.Byte(), 0, principal.MaxLen).Draw(t, "principal"))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestEveryValueSurvivesARoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t, 4)
		v := drawValue(t, typ)
		b, err := Encode([]Type{typ}, []Value{v})
		if err != nil {
			t.Fatal(err)
		}
		out, err := Decode(b, typ)
		if err != nil || !Equal(out[0], v) {
			t.Fatalf("%s, a %s, came back as %s, %v", ValueText(v, typ), TypeText(typ), ArgsText(out, nil), err)
		}
		any, err := DecodeAny(b)
		if err != nil || !Equal(any[0].Value, v) {
			t.Fatalf("%s, a %s, came back untyped as %v, %v", ValueText(v, typ), TypeText(typ), any, err)
		}
		if !Subtype(any[0].Type, typ) || !Subtype(typ, any[0].Type) {
			t.Fatalf("%s came back as %s", TypeText(typ), TypeText(any[0].Type))
		}
	})
}

func TestEveryValueSurvivesItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t, 4)
		v := drawValue(t, typ)
		text := ArgsText([]Value{v}, []Type{typ})
		out, err := ParseArgs(text, typ)
		if err != nil || !Equal(out[0], v) {
			t.Fatalf("%s came back as %s, %v", text, ArgsText(out, nil), err)
		}
	})
}

func TestValuesOfASubtypeDecodeAtTheSupertype(t *testing.T) {
	related := 0
	rapid.Check(t, func(t *rapid.T) {
		sub := drawType(t, 2)
		// two random types are seldom related, so most supertypes are made from the subtype
		super := rapid.SampledFrom([]Type{sub, OptOf(sub), ReservedType, drawType(t, 2)}).Draw(t, "super")
		if !Subtype(sub, super) {
			return
		}
		related++
		v := drawValue(t, sub)
		b, err := Encode([]Type{sub}, []Value{v})
		if err != nil {
			t.Fatal(err)
		}
		if out, err := Decode(b, super); err != nil {
			t.Fatalf("%s is a subtype of %s, but %s decodes as %v, %v", TypeText(sub), TypeText(super), ValueText(v, sub), out, err)
		}
	})
	if related == 0 {
		t.Error("no pair of types was related: the test shows nothing")
	}
}

func TestAWiderRecordDecodesLikeItsFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wide := &RecordType{drawFields(t, 3, 0)}
		var narrow RecordType
		for _, f := range wide.Fields {
			if rapid.Bool().Draw(t, "keep") {
				narrow.Fields = append(narrow.Fields, f)
			}
		}
		narrow.Fields = append(narrow.Fields, FieldType{ID: 6, Type: OptOf(NatType)})
		v := drawValue(t, wide).(Record)
		b, err := Encode([]Type{wide, TextType}, []Value{v, Text("after")})
		if err != nil {
			t.Fatal(err)
		}
		out, err := Decode(b, &narrow, TextType)
		if err != nil {
			t.Fatalf("%s as %s: %v", TypeText(wide), TypeText(&narrow), err)
		}
		for _, f := range out[0].(Record) {
			want := v.At(f.ID)
			if f.ID == 6 {
				want = Opt{}
			}
			if !Equal(f.Value, want) {
				t.Fatalf("field %d is %s, want %s", f.ID, ValueText(f.Value, nil), ValueText(want, nil))
			}
		}
		if out[1] != Text("after") {
			t.Fatalf("the next argument is %s", ValueText(out[1], nil))
		}
	})
}
