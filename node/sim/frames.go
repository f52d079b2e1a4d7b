package sim

import (
	"fmt"
	"slices"

	"portico/lightclient/cbor"
	"portico/node/artifact"
)

func shareKind(k artifact.Kind) bool {
	switch k {
	case artifact.BeaconShare, artifact.NotarizationShare, artifact.FinalizationShare, artifact.TapeShare, artifact.CertificationShare, artifact.CatchUpShare:
		return true
	}
	return false
}

// Items of a frame of the broadcast, [protocol, life, yours, hello, stream, updates, acks, wants,
// answers], before its updates and between those and its answers. An update is [slot, commit],
// [slot, commit, id] or [slot, commit, id, artifact], an answer [id] or [id, artifact].
const (
	itemsBeforeUpdates = 5
	itemsBeforeAnswers = 2
	itemsBeforeID      = 2 // of an update
)

// change returns what takes the place of an artifact in a frame, or false to leave it out.
// Encoded is empty if the id alone is there.
type change func(id artifact.ID, encoded []byte) (artifact.ID, []byte, bool)

// withArtifacts changes the artifacts in a frame of the broadcast.
func withArtifacts(frame []byte, c change) []byte {
	r := reader{cbor.NewDecoder(frame)}
	r.array()
	r.skip(itemsBeforeUpdates)
	out := slices.Clone(frame[:r.d.Offset()])
	out = r.list(frame, out, itemsBeforeID, c)
	from := r.d.Offset()
	r.skip(itemsBeforeAnswers)
	out = append(out, frame[from:r.d.Offset()]...)
	return r.list(frame, out, 0, c)
}

// list appends a list of what has so many items before its id.
func (r reader) list(frame, out []byte, before int, c change) []byte {
	var kept [][]byte
	for range r.array() {
		from := r.d.Offset()
		items := r.array()
		r.skip(before)
		if items == before {
			kept = append(kept, frame[from:r.d.Offset()])
			continue
		}
		entry := slices.Clone(frame[from:r.d.Offset()])
		id, err := artifact.Decode(r.d)
		r.must(err)
		var encoded []byte
		if items == before+2 {
			encoded, err = r.d.Bytes()
			r.must(err)
		}
		id, encoded, keep := c(id, encoded)
		if !keep {
			continue
		}
		if entry = id.Append(entry); items == before+2 {
			entry = cbor.AppendBytes(entry, encoded)
		}
		kept = append(kept, entry)
	}
	out = cbor.AppendArray(out, len(kept))
	return append(out, slices.Concat(kept...)...)
}

// reader reads what a node itself made, which cannot be malformed.
type reader struct{ d *cbor.Decoder }

func (r reader) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("sim: the broadcast's frames are not what they were: %v", err))
	}
}

func (r reader) skip(items int) {
	for range items {
		r.must(r.d.Skip())
	}
}

func (r reader) array() int {
	n, err := r.d.Array()
	r.must(err)
	return n
}
