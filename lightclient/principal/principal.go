// Package principal implements principals, the identifiers of users, canisters,
// subnets and nodes, with their textual form and derivations (interface
// specification, "Principals").
//
// An ID is a value: it can be compared with ==, used as a map key and ordered
// with Compare. The zero ID is the management canister, aaaaa-aa.
package principal

import (
	"errors"
	"strconv"
	"strings"

	"portico/lightclient/digest"
	"portico/lightclient/reason"
)

// MaxLen is the length in bytes of the longest principal.
const MaxLen = 29

// maxTextLen is the length of its textual form: 53 characters and 10 dashes.
const maxTextLen = 63

// Last bytes of the principal classes (interface specification, "Special forms of Principals").
const (
	classOpaque             = 0x01
	classSelfAuthenticating = 0x02
	classDerived            = 0x03
	classAnonymous          = 0x04
)

// ID is a principal of at most MaxLen bytes. The zero value is the management canister.
type ID struct{ raw string }

// Anonymous is the sender of requests that carry no signature, 2vxsx-fae.
func Anonymous() ID { return ID{string([]byte{classAnonymous})} }

// FromBytes makes an ID of raw bytes. It refuses more than MaxLen bytes.
func FromBytes(b []byte) (ID, error) {
	if len(b) > MaxLen {
		return ID{}, errors.New("principal of " + strconv.Itoa(len(b)) + " bytes: at most " + strconv.Itoa(MaxLen) + " are allowed")
	}
	return ID{string(b)}, nil
}

// SelfAuthenticating is the principal of the holder of a DER-encoded public key.
func SelfAuthenticating(publicKeyDER []byte) ID {
	h := digest.Sum224(publicKeyDER)
	return ID{string(append(h[:], classSelfAuthenticating))}
}

// Canister is the opaque id of the canister with the given index in the
// numbering that subnets draw their canister ranges from.
func Canister(index uint64) ID {
	b := make([]byte, 0, 10)
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(index>>shift))
	}
	return ID{string(append(b, classOpaque, classOpaque))}
}

// CanisterIndex inverts Canister; ok is false for any other principal.
func (id ID) CanisterIndex() (index uint64, ok bool) {
	if len(id.raw) != 10 || id.raw[8:] != string([]byte{classOpaque, classOpaque}) {
		return 0, false
	}
	for _, c := range []byte(id.raw[:8]) {
		index = index<<8 | uint64(c)
	}
	return index, true
}

// Bytes returns a copy of the raw bytes.
func (id ID) Bytes() []byte { return []byte(id.raw) }

// Raw returns the raw bytes as an immutable string, without copying.
func (id ID) Raw() string { return id.raw }

// Len is the number of raw bytes.
func (id ID) Len() int { return len(id.raw) }

// Compare orders principals by their raw bytes.
func (id ID) Compare(other ID) int { return strings.Compare(id.raw, other.raw) }

// IsAnonymous reports whether id is the anonymous principal.
func (id ID) IsAnonymous() bool { return id == Anonymous() }

// IsManagement reports whether id is the management canister, aaaaa-aa.
func (id ID) IsManagement() bool { return id.raw == "" }

// IsSelfAuthenticating reports whether id is derived from a public key.
func (id ID) IsSelfAuthenticating() bool {
	return len(id.raw) == MaxLen && id.raw[MaxLen-1] == classSelfAuthenticating
}

// String is the textual form, such as "rwlgt-iiaaa-aaaaa-aaaaa-cai": the base32
// of a CRC-32 and the bytes, in groups of five.
func (id ID) String() string {
	c := checksum(id.raw)
	b := append([]byte{byte(c >> 24), byte(c >> 16), byte(c >> 8), byte(c)}, id.raw...)
	return appendText(make([]byte, 0, maxTextLen), b)
}

// Parse reads the textual form. It refuses every text that String would not
// have made: upper case, missing dashes, a wrong checksum, too many bytes.
func Parse(text string) (ID, error) {
	if len(text) > maxTextLen {
		return ID{}, errors.New("principal of " + strconv.Itoa(len(text)) + " characters: at most " + strconv.Itoa(maxTextLen) + " are possible")
	}
	b, ok := decodeText(text)
	if !ok {
		return ID{}, errors.New("principal " + reason.Quote(text) + " is not lower-case base32")
	}
	if len(b) < 4 {
		return ID{}, errors.New("principal " + reason.Quote(text) + " is too short")
	}
	id, err := FromBytes(b[4:])
	if err != nil {
		return ID{}, reason.Wrap("principal "+reason.Quote(text), err)
	}
	if want := id.String(); want != text {
		return ID{}, errors.New("principal " + reason.Quote(text) + " is not in its canonical form, or mistyped: the bytes it names are written " + reason.Quote(want))
	}
	return id, nil
}

// MustParse is Parse for constants; it panics on a malformed text.
func MustParse(text string) ID {
	id, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return id
}

// MarshalBinary returns the raw bytes.
func (id ID) MarshalBinary() ([]byte, error) { return id.Bytes(), nil }

// UnmarshalBinary sets id from raw bytes.
func (id *ID) UnmarshalBinary(b []byte) error {
	got, err := FromBytes(b)
	*id = got
	return err
}
