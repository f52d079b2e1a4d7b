// Package candid implements Candid, the interface description language of the
// Internet Computer: its types, values, subtyping, binary format, the text form
// of values and the .did language (Candid specification 0.1.8).
//
// Types and values are sealed sums that are switched over; there is no
// reflection, so the package is small enough for a browser. Package marshal
// maps Go structs on top of it.
//
// Decoding is for untrusted input. It never panics, and its time, its memory
// and its depth are bounded by Decoder whatever the message claims: a message of
// a few bytes can announce 2^20 values of no size. Errors are *MalformedError (no
// reader could accept the bytes), *MismatchError (well-formed, but not of the
// wanted type) and *LimitError (would take more than is allowed).
package candid

import "slices"

// Type is a Candid type: a Prim, *OptType, *VecType, *RecordType, *VariantType,
// *FuncType, *ServiceType, *Named or *FutureType. Types are graphs: a recursive type goes
// through a *Named. They must not change once they are used.
type Type interface{ candidType() }

// Prim is a type without parts. The constants up to PrincipalType are the
// negated opcodes of the binary format.
type Prim uint8

// The primitive types, and two that only a decoder can want.
const (
	NullType      Prim = 1
	BoolType      Prim = 2
	NatType       Prim = 3
	IntType       Prim = 4
	Nat8Type      Prim = 5
	Nat16Type     Prim = 6
	Nat32Type     Prim = 7
	Nat64Type     Prim = 8
	Int8Type      Prim = 9
	Int16Type     Prim = 10
	Int32Type     Prim = 11
	Int64Type     Prim = 12
	Float32Type   Prim = 13
	Float64Type   Prim = 14
	TextType      Prim = 15
	ReservedType  Prim = 16
	EmptyType     Prim = 17
	PrincipalType Prim = 24

	// AnyType wants whatever is on the wire and keeps it, with its type, as a
	// Typed. For subtyping it is reserved.
	AnyType Prim = 100
	// AnyFuncType wants a function reference of whatever signature.
	AnyFuncType Prim = 101
)

// OptType is "opt Elem".
type OptType struct{ Elem Type }

// VecType is "vec Elem"; vec nat8 is also called blob.
type VecType struct{ Elem Type }

// RecordType is "record { … }": fields in ascending order of their ids, as RecordOf makes it.
type RecordType struct{ Fields []FieldType }

// VariantType is "variant { … }": cases in ascending order of their ids, as VariantOf makes it.
type VariantType struct{ Fields []FieldType }

// FieldType is a field of a record or a case of a variant. Name is empty where
// only the number is known.
type FieldType struct {
	ID   uint32
	Name string
	Type Type
}

// FuncType is "func (…) -> (…) annotations".
type FuncType struct {
	Args, Results []ArgType
	Annotations   Annotations
}

// ArgType is an argument or a result; the name is documentation only and may be empty.
type ArgType struct {
	Name string
	Type Type
}

// Annotations is a set of function annotations.
type Annotations uint8

// The annotations a function can have.
const (
	Query Annotations = 1 << iota
	Oneway
	CompositeQuery
)

// ServiceType is "service { … }": methods in ascending order of their names, as ServiceOf makes it.
type ServiceType struct{ Methods []MethodType }

// MethodType is a method of a service. Type is a *FuncType or a *Named of one.
type MethodType struct {
	Name string
	Type Type
}

// Named is a type with a name, as a type definition gives it. Recursive types
// are tied through it: make the Named, build the type with it, then set Type.
type Named struct {
	Name string
	Type Type
}

// FutureType is a type of a later version of Candid, found on the wire: its
// values can be skipped, and nothing else.
type FutureType struct{ Opcode int64 }

func (Prim) candidType()         {}
func (*OptType) candidType()     {}
func (*VecType) candidType()     {}
func (*RecordType) candidType()  {}
func (*VariantType) candidType() {}
func (*FuncType) candidType()    {}
func (*ServiceType) candidType() {}
func (*Named) candidType()       {}
func (*FutureType) candidType()  {}

// Hash is the id of a field called name.
func Hash(name string) uint32 {
	var h uint32
	for i := range len(name) {
		h = h*223 + uint32(name[i])
	}
	return h
}

// OptOf is "opt elem".
func OptOf(elem Type) *OptType { return &OptType{elem} }

// VecOf is "vec elem".
func VecOf(elem Type) *VecType { return &VecType{elem} }

// BlobType is "blob", that is "vec nat8".
func BlobType() *VecType { return &VecType{Nat8Type} }

// F is the field or case called name.
func F(name string, t Type) FieldType { return FieldType{Hash(name), name, t} }

// RecordOf is the record of the fields, in any order. It panics if two have the
// same id, which is a mistake in the program.
func RecordOf(fields ...FieldType) *RecordType { return &RecordType{mustSort(fields)} }

// VariantOf is the variant of the cases, in any order. It panics if two have
// the same id, which is a mistake in the program.
func VariantOf(cases ...FieldType) *VariantType { return &VariantType{mustSort(cases)} }

// TupleOf is the record whose fields are numbered from 0.
func TupleOf(types ...Type) *RecordType {
	fields := make([]FieldType, len(types))
	for i, t := range types {
		fields[i] = FieldType{ID: uint32(i), Type: t}
	}
	return &RecordType{fields}
}

// ServiceOf is the service of the methods, in any order. It panics if two have
// the same name, which is a mistake in the program.
func ServiceOf(methods ...MethodType) *ServiceType {
	sorted, err := sortMethods(methods)
	if err != nil {
		panic(err)
	}
	return &ServiceType{sorted}
}

// Args makes unnamed arguments or results of types.
func Args(types ...Type) []ArgType {
	args := make([]ArgType, len(types))
	for i, t := range types {
		args[i].Type = t
	}
	return args
}

// Resolve follows the names that t is made of; the result is never a *Named. A
// chain of names that leads nowhere gives nil.
func Resolve(t Type) Type {
	for range maxNameChain {
		n, ok := t.(*Named)
		if !ok {
			return t
		}
		t = n.Type
	}
	return nil
}

// maxNameChain bounds "type A = B; type B = C; …", which ParseDid refuses when it
// is longer or goes round in a circle.
const maxNameChain = 100

// Method finds a method by name; ok is false if there is none.
func (s *ServiceType) Method(name string) (f *FuncType, ok bool) {
	i, ok := slices.BinarySearchFunc(s.Methods, name, func(m MethodType, name string) int { return compare(m.Name, name) })
	if !ok {
		return nil, false
	}
	f, ok = Resolve(s.Methods[i].Type).(*FuncType)
	return f, ok
}

func mustSort(fields []FieldType) []FieldType {
	sorted, err := sortFields(fields)
	if err != nil {
		panic(err)
	}
	return sorted
}

func sortFields(fields []FieldType) ([]FieldType, error) {
	sorted := slices.Clone(fields)
	slices.SortFunc(sorted, func(a, b FieldType) int { return compare(a.ID, b.ID) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i-1].ID == sorted[i].ID {
			return nil, &TypeError{"fields " + sorted[i-1].label() + " and " + sorted[i].label() + " have the same id"}
		}
	}
	return sorted, nil
}

func sortMethods(methods []MethodType) ([]MethodType, error) {
	sorted := slices.Clone(methods)
	slices.SortFunc(sorted, func(a, b MethodType) int { return compare(a.Name, b.Name) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i-1].Name == sorted[i].Name {
			return nil, &TypeError{"two methods are called " + quoteName(sorted[i].Name)}
		}
	}
	return sorted, nil
}

// findField returns the field with the id in ascending fields.
func findField(fields []FieldType, id uint32) (*FieldType, bool) {
	i, ok := slices.BinarySearchFunc(fields, id, func(f FieldType, id uint32) int { return compare(f.ID, id) })
	if !ok {
		return nil, false
	}
	return &fields[i], true
}

func compare[T uint32 | string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// isNat8 reports whether a vector of t is a blob.
func isNat8(t Type) bool { return Resolve(t) == Nat8Type }
