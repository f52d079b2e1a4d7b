package candid

import "testing"

// account is what a ledger is asked with: a record of a principal and an
// optional blob.
func account() (Type, Value) {
	t := RecordOf(F("owner", PrincipalType), F("subaccount", OptOf(BlobType())))
	return t, NewRecord(With("owner", Principal{}), With("subaccount", Opt{Blob(make([]byte, 32))}))
}

func message(b *testing.B, t Type, v Value) []byte {
	b.Helper()
	m, err := Encode([]Type{t}, []Value{v})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	return m
}

func BenchmarkEncodeAccount(b *testing.B) {
	t, v := account()
	message(b, t, v)
	for b.Loop() {
		if _, err := Encode([]Type{t}, []Value{v}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeAccount(b *testing.B) {
	t, v := account()
	m := message(b, t, v)
	for b.Loop() {
		if _, err := Decode(m, t); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode10000Accounts(b *testing.B) {
	t, v := account()
	all := make(Vec, 10_000)
	for i := range all {
		all[i] = v
	}
	m := message(b, VecOf(t), all)
	for b.Loop() {
		if _, err := Decode(m, VecOf(t)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSkip10000Accounts(b *testing.B) {
	t, v := account()
	all := make(Vec, 10_000)
	for i := range all {
		all[i] = v
	}
	m := message(b, VecOf(t), all)
	for b.Loop() {
		if _, err := Decode(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeBlob2MB(b *testing.B) {
	m := message(b, BlobType(), Blob(make([]byte, 2<<20)))
	for b.Loop() {
		if _, err := Decode(m, BlobType()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeBlob2MB(b *testing.B) {
	v := Blob(make([]byte, 2<<20))
	message(b, BlobType(), v)
	for b.Loop() {
		if _, err := Encode([]Type{BlobType()}, []Value{v}); err != nil {
			b.Fatal(err)
		}
	}
}
