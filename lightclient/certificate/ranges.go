package certificate

import (
	"strconv"

	"portico/lightclient/cbor"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/lightclient/reason"
)

// A Range is a closed interval of canister ids, ordered by their bytes.
type Range struct{ First, Last principal.ID }

// Contains reports whether id lies in the range.
func (r Range) Contains(id principal.ID) bool {
	return r.First.Compare(id) <= 0 && id.Compare(r.Last) <= 0
}

// AppendRanges appends the form in which the state tree holds canister ranges:
// CBOR with the self-describing tag.
func AppendRanges(b []byte, ranges []Range) []byte {
	b = cbor.AppendArray(cbor.AppendSelfDescribe(b), len(ranges))
	for _, r := range ranges {
		b = cbor.AppendArray(b, 2)
		b = cbor.AppendBytes(b, r.First.Bytes())
		b = cbor.AppendBytes(b, r.Last.Bytes())
	}
	return b
}

// DecodeRanges reads what AppendRanges writes. It refuses a range whose last
// canister comes before its first.
func DecodeRanges(b []byte) ([]Range, error) {
	d := cbor.NewDecoder(b)
	d.SkipSelfDescribe()
	n, err := d.Array()
	if err != nil {
		return nil, err
	}
	var out []Range
	for i := 0; d.More(i, n); i++ {
		r, err := readRange(d)
		if err != nil {
			return nil, reason.Wrap("range "+strconv.Itoa(i), err)
		}
		out = append(out, r)
	}
	return out, d.End()
}

func readRange(d *cbor.Decoder) (Range, error) {
	at := d.Offset()
	n, err := d.Array()
	if err != nil {
		return Range{}, err
	}
	var r Range
	if r.First, err = readPrincipal(d); err != nil {
		return Range{}, err
	}
	if r.Last, err = readPrincipal(d); err != nil {
		return Range{}, err
	}
	if n != 2 && (n != cbor.Indefinite || !d.Break()) {
		return Range{}, malformed(at, "not an array of two principals")
	}
	if r.First.Compare(r.Last) > 0 {
		return Range{}, malformed(at, "it ends at "+r.Last.String()+", before its start "+r.First.String())
	}
	return r, nil
}

// shownRanges collects the canister ranges of a subnet that a delegation's tree
// shows, in whichever of the two forms the specification has for them: shards at
// /canister_ranges/<subnet>/<first canister>, and all at /subnet/<subnet>/canister_ranges.
func shownRanges(t hashtree.Tree, subnet principal.ID) ([]Range, error) {
	var blobs [][]byte
	if shards, s := hashtree.Find(t, []byte("canister_ranges"), subnet.Bytes()); s == hashtree.Found {
		for _, shard := range hashtree.Children(shards) {
			if b, ok := shard.Sub.(hashtree.Leaf); ok {
				blobs = append(blobs, b)
			}
		}
	}
	if b, s := hashtree.Lookup(t, []byte("subnet"), subnet.Bytes(), []byte("canister_ranges")); s == hashtree.Found {
		blobs = append(blobs, b)
	}
	var out []Range
	for _, b := range blobs {
		ranges, err := DecodeRanges(b)
		if err != nil {
			return nil, reason.Wrap("canister ranges", err)
		}
		out = append(out, ranges...)
	}
	return out, nil
}
