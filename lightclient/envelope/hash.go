package envelope

import (
	"bytes"
	"errors"
	"strconv"

	"portico/lightclient/cbor"
	"portico/lightclient/digest"
	"portico/lightclient/leb128"
	"portico/lightclient/reason"
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
			return [32]byte{}, reason.Wrap(k, err)
		}
		key := digest.Sum256([]byte(k))
		var field [64]byte
		copy(field[:], key[:])
		copy(field[32:], v[:])
		fields = append(fields, field)
	}
	fields.sort()
	all := make([]byte, 0, 64*len(fields))
	for i := range fields {
		all = append(all, fields[i][:]...)
	}
	return digest.Sum256(all), nil
}

// hashedFields are pairs of the hashes of a name and a value.
type hashedFields [][64]byte

// sort is heapsort by hand: the sorts of the standard library are several times
// larger, which counts in a browser.
func (f hashedFields) sort() {
	for i := len(f)/2 - 1; i >= 0; i-- {
		f.sink(i)
	}
	for n := len(f) - 1; n > 0; n-- {
		f[0], f[n] = f[n], f[0]
		f[:n].sink(0)
	}
}

// sink lets entry i of a heap with the greatest entry first find its place.
func (f hashedFields) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(f) {
			return
		}
		if child+1 < len(f) && bytes.Compare(f[child][:], f[child+1][:]) < 0 {
			child++
		}
		if bytes.Compare(f[i][:], f[child][:]) >= 0 {
			return
		}
		f[i], f[child] = f[child], f[i]
		i = child
	}
}

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
		return digest.Sum256(v), nil
	case cbor.Text:
		return digest.Sum256([]byte(v)), nil
	case cbor.Nat:
		return digest.Sum256(appendNat(nil, v)), nil
	case cbor.NegInt:
		return digest.Sum256(appendNegative(nil, v.N)), nil
	case cbor.Array:
		var hashes []byte
		for i, item := range v {
			ih, err := hashOf(item)
			if err != nil {
				return [32]byte{}, reason.Wrap("item "+strconv.Itoa(i), err)
			}
			hashes = append(hashes, ih[:]...)
		}
		return digest.Sum256(hashes), nil
	case *cbor.Map:
		return HashOfMap(v)
	default:
		return [32]byte{}, errors.New("a simple value or float has no representation-independent hash")
	}
}

// appendNat appends the unsigned LEB128 form of n, in time linear in its length.
func appendNat(b []byte, n cbor.Nat) []byte {
	if n.IsUint64() {
		return leb128.AppendUint(b, n.Uint64())
	}
	big := n.Bytes()
	acc, bits := uint(0), 0
	for i := len(big) - 1; i >= 0; i-- {
		acc |= uint(big[i]) << bits
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
