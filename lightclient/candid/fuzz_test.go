package candid

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// wanted are types that fuzzed messages are decoded as.
func wanted() []Type {
	list := &Named{Name: "list"}
	list.Type = OptOf(RecordOf(F("head", IntType), F("tail", list)))
	return []Type{
		NatType, IntType, TextType, BoolType, PrincipalType, NullType, ReservedType, AnyType, AnyFuncType, Float32Type, Nat16Type,
		BlobType(), VecOf(TextType), VecOf(OptOf(Nat8Type)), OptOf(OptOf(BoolType)), OptOf(EmptyType), list,
		RecordOf(F("foo", Int32Type), F("bar", OptOf(BoolType)), F("baz", ReservedType)), TupleOf(TextType, OptOf(NatType)),
		VariantOf(F("ok", TextType), F("err", VecOf(NullType))), OptOf(VariantOf(F("a", NullType))),
		&FuncType{Args: Args(TextType), Results: Args(NatType), Annotations: Query},
		ServiceOf(MethodType{"foo", &FuncType{Args: Args(TextType), Results: Args(NatType)}}),
	}
}

// seeds adds the messages of Candid's own test data.
func seeds(f *testing.F, add func(assertion, input)) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join(shared(f, "testdata/candid"), "*.test.did"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		assertions, err := parseSuite(string(source))
		if err != nil {
			f.Fatal(err)
		}
		for _, a := range assertions {
			add(a, a.left)
			if a.right.data != "" {
				add(a, a.right)
			}
		}
	}
}

// allocated is how many bytes do allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// allowed is the bound on what decoding n bytes may allocate: for each value
// that may be read a slot in a vector, which doubles as it grows, and a box; and a full type table.
func allowed(n int) uint64 { return 160*uint64(defaultWork+workPerByte*n) + 8<<20 }

func FuzzDecodeAny(f *testing.F) {
	seeds(f, func(_ assertion, in input) {
		if !in.isText {
			f.Add([]byte(in.data))
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		var values []Typed
		var err error
		if used := allocated(func() { values, err = DecodeAny(b) }); used > allowed(len(b)) {
			t.Fatalf("decoding %d bytes allocates %d", len(b), used)
		}
		if _, skipErr := Decode(b); (err == nil) != (skipErr == nil) {
			t.Fatalf("decoding says %v, skipping says %v", err, skipErr)
		}
		if err != nil {
			return
		}
		types, bare := make([]Type, len(values)), make([]Value, len(values))
		for i, v := range values {
			types[i], bare[i] = v.Type, v.Value
		}
		checkStable(t, types, bare)
	})
}

func FuzzDecode(f *testing.F) {
	seeds(f, func(_ assertion, in input) {
		if !in.isText {
			f.Add([]byte(in.data), uint8(len(in.data)))
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, i uint8) {
		types := wanted()[int(i)%len(wanted()):]
		types = types[:min(2, len(types))]
		var values []Value
		var err error
		if used := allocated(func() { values, err = Decode(b, types...) }); used > allowed(len(b)) {
			t.Fatalf("decoding %d bytes allocates %d", len(b), used)
		}
		switch err.(type) {
		case nil:
		case *MalformedError, *MismatchError, *LimitError:
			if err.Error() == "" {
				t.Fatal("an error says nothing")
			}
			return
		default:
			t.Fatalf("error %v is of another type, %T", err, err)
		}
		for i, v := range values {
			if v, ok := v.(Typed); ok {
				types[i], values[i] = v.Type, v.Value
			}
			if types[i] == AnyFuncType {
				return
			}
		}
		checkStable(t, types, values)
	})
}

// checkStable encodes decoded values and decodes them again.
func checkStable(t *testing.T, types []Type, values []Value) {
	b, err := Encode(types, values)
	if _, ok := err.(*TypeError); ok {
		return // a future type can be skipped, not sent
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode(b, types...)
	if _, ok := err.(*LimitError); ok {
		return // the first message was longer, and so allowed more values
	}
	if err != nil || !equalAll(values, again) {
		t.Fatalf("%s came back as %s, %v", ArgsText(values, types), ArgsText(again, types), err)
	}
}

func FuzzParseDid(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(shared(f, "interfaces"), "*.did"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(source) < 8<<10 { // the fuzzer is slow on larger ones
			f.Add(string(source))
		}
	}
	f.Add(`type A = record { "opt" : nat; 0x1_0 : blob; text }; /* a /* b */ */ service x : (init : A) -> { m : A };`)
	f.Fuzz(func(t *testing.T, source string) {
		i, err := ParseDid(source)
		if err != nil {
			return
		}
		printed := i.String()
		again, err := ParseDid(printed)
		if err != nil {
			t.Fatalf("%v in the printed interface\n%s", err, printed)
		}
		if again.String() != printed {
			t.Fatalf("printed as\n%s\nand then as\n%s", printed, again)
		}
	})
}

func FuzzParseArgs(f *testing.F) {
	seeds(f, func(a assertion, in input) {
		if in.isText {
			f.Add(in.data, "("+TypeText(a.types[0])+")")
		}
	})
	f.Fuzz(func(t *testing.T, source, typeSource string) {
		types, err := ParseTypes(typeSource)
		if err != nil {
			return
		}
		values, err := ParseArgs(source, types...)
		if err != nil {
			return
		}
		text := ArgsText(values, types)
		again, err := ParseArgs(text, types...)
		if err != nil || !equalAll(values, again) {
			t.Fatalf("%q is printed as %q, which reads as %s, %v", source, text, ArgsText(again, types), err)
		}
	})
}
