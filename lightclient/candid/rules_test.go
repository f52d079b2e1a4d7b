package candid

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func parseTypes(t *testing.T, source string) []Type {
	t.Helper()
	types, err := ParseTypes("(" + source + ")")
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func TestSubtypingFollowsTheRules(t *testing.T) {
	for _, c := range []struct {
		sub, super string
		yes        bool
	}{
		{"nat", "int", true},
		{"int", "nat", false},
		{"nat8", "nat", false},
		{"text", "reserved", true},
		{"reserved", "text", false},
		{"empty", "text", true},
		{"text", "empty", false},
		{"text", "opt nat", true},
		{"opt nat", "nat", false},
		{"null", "opt nat", true},
		{"vec nat", "vec int", true},
		{"vec int", "vec nat", false},
		{"record { a : nat; b : text }", "record { a : int }", true},
		{"record { a : int }", "record { a : int; b : text }", false},
		{"record { a : int }", "record { a : int; b : opt text; c : reserved; d : null }", true},
		{"variant { a }", "variant { a; b }", true},
		{"variant { a; b }", "variant { a }", false},
		{"variant { a : nat }", "variant { a : int }", true},
		{"variant { a : int }", "variant { a : nat }", false},
		{"func (int) -> (nat)", "func (nat) -> (int)", true},
		{"func (nat) -> ()", "func (int) -> ()", false},
		{"func () -> (int)", "func () -> (nat)", false},
		{"func () -> ()", "func (text) -> ()", true},
		{"func (text) -> ()", "func () -> ()", false},
		{"func (opt text) -> ()", "func () -> ()", true},
		{"func () -> (text)", "func () -> ()", true},
		{"func () -> ()", "func () -> (text)", false},
		{"func () -> () query", "func () -> ()", false},
		{"func () -> () query", "func () -> () composite_query", false},
		{"service { a : () -> (); b : () -> () }", "service { a : () -> () }", true},
		{"service { a : () -> () }", "service { a : () -> (); b : () -> () }", false},
		{"service { a : () -> () }", "principal", true},
		{"principal", "service {}", false},
		{"func () -> ()", "principal", false},
	} {
		sub, super := parseTypes(t, c.sub)[0], parseTypes(t, c.super)[0]
		if got := Subtype(sub, super); got != c.yes {
			t.Errorf("%s is a subtype of %s: got %t", c.sub, c.super, got)
		}
	}
}

func TestSubtypingOfRecursiveTypesEnds(t *testing.T) {
	list := func(head, name string) Type {
		i, err := ParseDid("type " + name + " = record { head : " + head + "; tail : vec " + name + " };")
		if err != nil {
			t.Fatal(err)
		}
		return i.Definitions[0]
	}
	nats, ints := list("nat", "nats"), list("int", "ints")
	if !Subtype(nats, ints) {
		t.Error("a tree of nat is not a tree of int")
	}
	if Subtype(ints, nats) {
		t.Error("a tree of int is a tree of nat")
	}
}

func TestUndefinedTypesAreAnErrorNotAPanic(t *testing.T) {
	circle := &Named{Name: "circle"}
	circle.Type = circle
	for _, typ := range []Type{nil, &Named{Name: "nothing"}, circle, OptOf(nil)} {
		if _, err := Encode([]Type{typ}, []Value{Null{}}); !errors.As(err, new(*TypeError)) {
			t.Errorf("encoding %s: %v", Short(typ), err)
		}
		if Subtype(typ, TextType) || Subtype(TextType, typ) && Resolve(typ) == nil {
			t.Errorf("%s is related to text", Short(typ))
		}
	}
	if _, err := Decode([]byte("DIDL\x00\x01\x7d\x05"), circle); !errors.As(err, new(*TypeError)) {
		t.Errorf("decoding a circle: %v", err)
	}
}

func TestReservedReadsAsNullAtEveryOption(t *testing.T) {
	b := []byte("DIDL\x00\x01\x70")
	values, err := Decode(b, OptOf(ReservedType))
	if err != nil || !Equal(values[0], Opt{}) {
		t.Errorf("got %s, %v; want null", ArgsText(values, nil), err)
	}
}

func TestNumbersTakeTheFewestBytes(t *testing.T) {
	for text, want := range map[string]string{
		"0": "00", "-1": "7f", "63": "3f", "64": "c000", "-64": "40", "-65": "bf7f",
		// 2^69 is the first number that needs an eleventh byte, -2^69 the last that does not.
		"590295810358705651711":  strings.Repeat("ff", 9) + "3f",
		"590295810358705651712":  strings.Repeat("80", 9) + "c000",
		"-590295810358705651712": strings.Repeat("80", 9) + "40",
		"-590295810358705651713": strings.Repeat("ff", 9) + "bf7f",
	} {
		values, err := ParseArgs("("+text+")", IntType)
		if err != nil {
			t.Fatal(err)
		}
		b, err := AppendValue(nil, IntType, values[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(b); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestAnAnnouncedLengthAllocatesNothing(t *testing.T) {
	// A vector of 15 million records of a text each, of which a megabyte of
	// zeros can hold a million only.
	b := append([]byte("DIDL\x02\x6d\x01\x6c\x01\x00\x71\x01\x00\xc0\xc3\x93\x07"), make([]byte, 1<<20)...)
	var err error
	used := allocated(func() { _, err = DecodeAny(b) })
	if !errors.As(err, new(*MalformedError)) {
		t.Errorf("got %v, want a *MalformedError", err)
	}
	if limit := uint64(200 << 20); used > limit {
		t.Errorf("%d bytes are allocated, more than %d", used, limit)
	}
}

func TestSyntaxErrorsSayWhere(t *testing.T) {
	for source, want := range map[string]string{
		"type A = nat; type A = int;":                      "line 1, column 20: type A is defined twice",
		"type A = B; type B = A;":                          "line 1, column 6: type A is only a name for itself",
		"type A = vec B;":                                  "line 1, column 14: type B is not defined",
		"type text = nat;":                                 "column 6: text is a keyword",
		"service : A":                                      "column 11: type A is not defined",
		"type A = nat; service : A":                        "column 25: type A is not a service",
		"type A = nat;\nservice : { f : A }":               "line 2, column 17: type A is not a function",
		"service : { f : () -> (nat) oneway }":             "column 17: a oneway function has no results",
		"service : { f : () -> (nat) fast }":               "query, composite_query, oneway",
		"service : { f : () -> (); f : () -> () }":         "two methods are called f",
		"service : { f : (a : nat, a : nat) -> () }":       "two arguments are called a",
		"type A = record { a : nat; 97 : nat };":           "fields a and 97 have the same id",
		"type A = record { 4294967296 : nat };":            "is not a number of 32 bits",
		"type A = record { 4294967295 : nat; nat };":       "has more than 32 bits",
		"type A = \"\\ff\";":                               "a type is expected",
		"/* a /* b */":                                     "line 1, column 1: this comment does not end",
		"type A = \"a":                                     "this text does not end",
		"type A = record { \"\\u{d800}\" : nat };":         "not a Unicode scalar value",
		"type A = record { \"\\q\" : nat };":               "unknown escape",
		"type A = record { 1__0 : nat };":                  "a digit is expected",
		"type A = record { 12a : nat };":                   "cannot go on with 'a'",
		"type A = §;":                                      "unexpected character '§'",
		"type A = " + strings.Repeat("opt ", 600) + "nat;": "nested too deep",
		"service : {} nat":                                 "the end is expected",
	} {
		_, err := ParseDid(source)
		if !errors.As(err, new(*SyntaxError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want %q", source, err, want)
		}
	}
}

func TestInterfacesMeanWhatTheySay(t *testing.T) {
	i, err := ParseDid(`
		// A counter. /* not a comment
		type Callback = func (nat) -> () oneway; /* nested /* twice */ // */
		type Pair = record { nat; "second one" : text; 0x1_0 : blob; bool; 0_20 : int };
		service counter : (initial : opt nat) -> {
			"get it" : () -> (value : nat) query;
			call : Callback;
		}`)
	if err != nil {
		t.Fatal(err)
	}
	want := RecordOf(
		FieldType{ID: 0, Type: NatType}, F("second one", TextType), FieldType{ID: 16, Type: BlobType()}, FieldType{ID: 17, Type: BoolType},
		FieldType{ID: 20, Type: IntType},
	)
	pair, ok := i.Definition("Pair")
	if !ok || TypeText(pair.Type) != TypeText(want) {
		t.Errorf("Pair is %s, want %s", TypeText(pair.Type), TypeText(want))
	}
	if i.Name != "counter" || len(i.Init) != 1 || TypeText(i.Init[0].Type) != "opt nat" {
		t.Errorf("the constructor is %q, %v", i.Name, i.Init)
	}
	s, ok := i.ServiceType()
	if !ok {
		t.Fatal("there is no service")
	}
	if f, ok := s.Method("get it"); !ok || f.Annotations != Query || len(f.Results) != 1 || f.Results[0].Name != "value" {
		t.Errorf("get it is %v", f)
	}
	if f, ok := s.Method("call"); !ok || f.Annotations != Oneway {
		t.Errorf("call is %v", f)
	}
	if _, ok := s.Method("set"); ok {
		t.Error("there is a method set")
	}
}
