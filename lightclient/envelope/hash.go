package envelope

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"sort"

	"portico/lightclient/cbor"
	"portico/lightclient/leb128"
)

// HashOfMap computes the representation-independent hash of a map. Fields that
// are null or undefined count as absent. Values other than naturals, integers,
// strings, arrays and maps have no hash, and are errors that name the field.
func HashOfMap(m *cbor.Map) ([32]byte, error) {
	fields := make(hashedFields, 0, len(m.Keys))
	for i, k := range m.Keys {
		if isNull(m.Values[i]) {
			continue
		}
		v, err := hashOf(m.Values[i])
		if err != nil {
			return [32]byte{}, fmt.Errorf("%s: %w", k, err)
		}
		key := sha256.Sum256([]byte(k))
		var field [64]byte
		copy(field[:], key[:])
		copy(field[32:], v[:])
		fields = append(fields, field)
	}
	sort.Sort(fields)
	h := sha256.New()
	for _, f := range fields {
		h.Write(f[:])
	}
	return [32]byte(h.Sum(nil)), nil
}

// hashedFields are pairs of the hashes of a name and a value. They are sorted by
// package sort, whose code exists once in a program, to keep the browser's small.
type hashedFields [][64]byte

func (f hashedFields) Len() int           { return len(f) }
func (f hashedFields) Less(i, j int) bool { return bytes.Compare(f[i][:], f[j][:]) < 0 }
func (f hashedFields) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }

func mustHash(m *cbor.Map) [32]byte {
	h, err := HashOfMap(m)
	if err != nil {
		panic("envelope: " + err.Error()) // Decode hashed the fields that we do not know
	}
	return h
}

func isNull(v cbor.Value) bool {
	const null, undefined = cbor.Simple(22), cbor.Simple(23)
	return v == null || v == undefined
}

func hashOf(v cbor.Value) ([32]byte, error) {
	switch v := v.(type) {
	case cbor.Bytes:
		return sha256.Sum256(v), nil
	case cbor.Text:
		return sha256.Sum256([]byte(v)), nil
	case cbor.Nat:
		return sha256.Sum256(appendNat(nil, v.Int)), nil
	case cbor.NegInt:
		return sha256.Sum256(appendNegative(nil, v.N)), nil
	case cbor.Array:
		h := sha256.New()
		for i, item := range v {
			ih, err := hashOf(item)
			if err != nil {
				return [32]byte{}, fmt.Errorf("item %d: %w", i, err)
			}
			h.Write(ih[:])
		}
		return [32]byte(h.Sum(nil)), nil
	case *cbor.Map:
		return HashOfMap(v)
	default:
		return [32]byte{}, fmt.Errorf("a %T has no representation-independent hash", v)
	}
}

// appendNat appends the unsigned LEB128 form of n, in time linear in its length.
func appendNat(b []byte, n *big.Int) []byte {
	if n.IsUint64() {
		return leb128.AppendUint(b, n.Uint64())
	}
	little := n.Bytes()
	slices.Reverse(little)
	acc, bits := uint(0), 0
	for _, c := range little {
		acc |= uint(c) << bits
		for bits += 8; bits >= 7; bits -= 7 {
			b = append(b, byte(acc)|0x80)
			acc >>= 7
		}
	}
	b = append(b, byte(acc))
	for len(b) > 1 && b[len(b)-1]&0x7f == 0 { // groups without a bit at the upper end
		b = b[:len(b)-1]
	}
	b[len(b)-1] &= 0x7f
	return b
}

// appendNegative appends the signed LEB128 form of -1 - n, whose bits are those of
// n inverted.
func appendNegative(b []byte, n uint64) []byte {
	for {
		c := byte(^n) & 0x7f
		n >>= 7
		if n == 0 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
