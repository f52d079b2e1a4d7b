package artifact

import (
	"bytes"
	"strings"
	"testing"

	"portico/lightclient/cbor"
	"portico/node/types"

	"pgregory.net/rapid"
)

func drawID(t *rapid.T) ID {
	return ID{
		Kind: Kind(rapid.IntRange(1, int(Kinds)-1).Draw(t, "kind")), Height: types.Height(rapid.Uint64().Draw(t, "height")),
		Hash: types.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash")),
	}
}

func TestIDsAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := drawID(t)
		d := cbor.NewDecoder(id.Append(nil))
		if got, err := Decode(d); err != nil || got != id || d.End() != nil {
			t.Errorf("%v, %v, want %v", got, err, id)
		}
	})
}

func TestIDsAreInOneOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawID(t), drawID(t), drawID(t)
		if a.Compare(b) != -b.Compare(a) || (a.Compare(b) == 0) != (a == b) || a.Compare(a) != 0 {
			t.Errorf("%v and %v: %d and %d", a, b, a.Compare(b), b.Compare(a))
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Errorf("%v, %v and %v go round", a, b, c)
		}
		if a.Height != b.Height && (a.Height < b.Height) != (a.Compare(b) < 0) {
			t.Errorf("%v and %v are not in the order of their heights", a, b)
		}
	})
}

func TestEveryKindHasItsName(t *testing.T) {
	seen := map[string]bool{}
	for k := Proposal; k < Kinds; k++ {
		if name := k.String(); name == "" || seen[name] || strings.HasPrefix(name, "Kind(") {
			t.Errorf("kind %d is called %q", k, name)
		} else {
			seen[name] = true
		}
	}
	if Kind(0).String() != "Kind(0)" || Kinds.String() != "Kind(16)" {
		t.Errorf("there are no kinds %s and %s", Kind(0), Kinds)
	}
}

func TestMalformedIDsAreRefusedWithTheReason(t *testing.T) {
	parts := func(items int, kind, height uint64, hash []byte) []byte {
		b := cbor.AppendUint(cbor.AppendUint(cbor.AppendArray(nil, items), kind), height)
		return cbor.AppendBytes(b, hash)
	}
	hash := make([]byte, 32)
	for _, x := range []struct {
		encoded []byte
		want    string
	}{
		{parts(4, 1, 1, hash), "expected 3 items, found 4"},
		{parts(3, 0, 1, hash), "there is no kind 0"},
		{parts(3, 16, 1, hash), "there is no kind 16"},
		{parts(3, 1<<40, 1, hash), "there is no kind"},
		{parts(3, 1, 1, hash[1:]), "a hash has 32 bytes, not 31"},
		{nil, "ends inside an item"},
	} {
		if _, err := Decode(cbor.NewDecoder(x.encoded)); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%x: %v, want %q", x.encoded, err, x.want)
		}
	}
}

// FuzzDecode: an id has other forms in CBOR than the one that Append writes, of which readers of
// frames and artifacts see to it that they are not there.
func FuzzDecode(f *testing.F) {
	f.Add(ID{Kind: Beacon, Height: 7}.Append(nil))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		d := cbor.NewDecoder(encoded)
		id, err := Decode(d)
		if err != nil || d.End() != nil {
			return
		}
		canonical := id.Append(nil)
		again, err := Decode(cbor.NewDecoder(canonical))
		if err != nil || again != id || !bytes.Equal(again.Append(nil), canonical) {
			t.Errorf("%v is read as %v: %v", id, again, err)
		}
	})
}
