package p2p

import (
	"bytes"
	"errors"
	"fmt"

	"portico/lightclient/cbor"
	"portico/node/artifact"
	"portico/node/loop"
)

// frame is all that peers say to each other, CBOR:
//
//	[protocol, life, yours, hello, stream, updates, acks, wants, answers]
//	update = [slot, commit] / [slot, commit, id] / [slot, commit, id, bytes]
//	acks   = [slot, commit, slot, commit, …]
//	want   = id
//	answer = [id] / [id, bytes]
//
// An update without an id says that the slot is free; an answer without bytes that
// its sender does not have the artifact.
type frame struct {
	life    uint64 // of the sender, whose slots and acknowledgements these are
	yours   uint64 // the highest life of the receiver that the sender knows; what it acknowledges
	hello   bool   // the sender does not know whether the receiver knows its life
	stream  Stream
	updates []update
	acks    []ack
	wants   []artifact.ID
	answers []answer
}

type update struct {
	slot    uint32
	commit  uint64
	id      artifact.ID // of kind 0 if the slot is free
	encoded []byte      // empty if only advertised
}

type ack struct {
	slot   uint32
	commit uint64
}

type answer struct {
	id      artifact.ID
	encoded []byte // empty if the sender does not have it
}

const (
	protocol   = 1 // tells frames of this package from others on the same channel
	frameItems = 9

	// maxItems bounds each of a frame's lists.
	maxItems = 4096

	// Upper bounds of encoded sizes, beside the bytes of artifacts.
	frameOverhead = 64
	itemOverhead  = 80
	ackBytes      = 14

	// batchBytes is when a frame is full; an artifact that is larger travels alone.
	batchBytes = 256 << 10
)

// ours reports whether a frame is of this protocol.
func ours(encoded []byte) bool {
	return len(encoded) >= 2 && encoded[0] == cbor.AppendArray(nil, frameItems)[0] && encoded[1] == protocol
}

func (f *frame) empty() bool {
	return len(f.updates)+len(f.acks)+len(f.wants)+len(f.answers) == 0
}

// allowedOn refuses frames that are not on their stream's channel; large answers travel in bulk.
func (f *frame) allowedOn(ch loop.Channel) error {
	if ch == loop.Channel(f.stream) || (ch == loop.Bulk && len(f.updates)+len(f.acks)+len(f.wants) == 0) {
		return nil
	}
	return fmt.Errorf("frame of stream %d on channel %s", f.stream, ch)
}

// append appends the frame's encoding.
func (f *frame) append(b []byte) []byte {
	b = cbor.AppendUint(cbor.AppendArray(b, frameItems), protocol)
	b = cbor.AppendUint(cbor.AppendUint(b, f.life), f.yours)
	hello := uint64(0)
	if f.hello {
		hello = 1
	}
	b = cbor.AppendUint(cbor.AppendUint(b, hello), uint64(f.stream))
	b = cbor.AppendArray(b, len(f.updates))
	for i := range f.updates {
		b = f.updates[i].append(b)
	}
	b = cbor.AppendArray(b, 2*len(f.acks))
	for _, a := range f.acks {
		b = cbor.AppendUint(cbor.AppendUint(b, uint64(a.slot)), a.commit)
	}
	b = cbor.AppendArray(b, len(f.wants))
	for _, id := range f.wants {
		b = id.Append(b)
	}
	b = cbor.AppendArray(b, len(f.answers))
	for _, a := range f.answers {
		if len(a.encoded) == 0 {
			b = a.id.Append(cbor.AppendArray(b, 1))
		} else {
			b = cbor.AppendBytes(a.id.Append(cbor.AppendArray(b, 2)), a.encoded)
		}
	}
	return b
}

func (u *update) append(b []byte) []byte {
	items := 4
	if u.id.Kind == 0 {
		items = 2
	} else if len(u.encoded) == 0 {
		items = 3
	}
	b = cbor.AppendArray(b, items)
	b = cbor.AppendUint(cbor.AppendUint(b, uint64(u.slot)), u.commit)
	if items > 2 {
		b = u.id.Append(b)
	}
	if items > 3 {
		b = cbor.AppendBytes(b, u.encoded)
	}
	return b
}

// errNotCanonical is the error of a frame that means something but is not written as append does.
var errNotCanonical = errors.New("frame is not canonical")

// decodeFrame reads what append wrote and refuses everything else. The artifacts alias
// the input.
func decodeFrame(encoded []byte) (*frame, error) {
	if len(encoded) > loop.MaxFrameBytes {
		return nil, fmt.Errorf("frame of %d bytes: at most %d are allowed", len(encoded), loop.MaxFrameBytes)
	}
	d := cbor.NewDecoder(encoded)
	f := &frame{}
	if err := f.decode(d); err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	if err := d.End(); err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	if !bytes.Equal(f.append(make([]byte, 0, len(encoded))), encoded) {
		return nil, errNotCanonical
	}
	return f, nil
}

func (f *frame) decode(d *cbor.Decoder) error {
	if n, err := d.Array(); err != nil {
		return err
	} else if n != frameItems {
		return fmt.Errorf("expected %d items, found %d", frameItems, n)
	}
	var head [5]uint64
	for i, most := range [...]uint64{protocol, 1<<64 - 1, 1<<64 - 1, 1, Streams - 1} {
		at := d.Offset()
		v, err := d.Uint()
		if err != nil {
			return err
		}
		if v > most {
			return fmt.Errorf("item %d at offset %d is %d, at most %d is possible", i, at, v, most)
		}
		head[i] = v
	}
	if head[0] != protocol || head[1] == 0 {
		return fmt.Errorf("protocol %d, life %d: expected protocol %d and a life", head[0], head[1], protocol)
	}
	f.life, f.yours, f.hello, f.stream = head[1], head[2], head[3] == 1, Stream(head[4])
	return f.decodeLists(d)
}

// list reads the head of a list of at most most items.
func list(d *cbor.Decoder, most int) (int, error) {
	at := d.Offset()
	n, err := d.Array()
	if err != nil {
		return 0, err
	}
	if n == cbor.Indefinite || n > most {
		return 0, fmt.Errorf("list at offset %d: %d items, at most %d are allowed", at, n, most)
	}
	return n, nil
}

func (f *frame) decodeLists(d *cbor.Decoder) error {
	n, err := list(d, maxItems)
	if err != nil {
		return err
	}
	f.updates = make([]update, n)
	for i := range f.updates {
		if err := f.updates[i].decode(d); err != nil {
			return fmt.Errorf("update %d: %w", i, err)
		}
	}
	if n, err = list(d, 2*maxItems); err != nil {
		return err
	}
	if n%2 != 0 {
		return fmt.Errorf("acknowledgements: %d numbers are not pairs", n)
	}
	f.acks = make([]ack, n/2)
	for i := range f.acks {
		if f.acks[i].slot, f.acks[i].commit, err = decodeCommit(d); err != nil {
			return fmt.Errorf("acknowledgement %d: %w", i, err)
		}
	}
	if n, err = list(d, maxItems); err != nil {
		return err
	}
	f.wants = make([]artifact.ID, n)
	for i := range f.wants {
		if f.wants[i], err = artifact.Decode(d); err != nil {
			return err
		}
	}
	if n, err = list(d, maxItems); err != nil {
		return err
	}
	f.answers = make([]answer, n)
	for i := range f.answers {
		if err := f.answers[i].decode(d); err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
	}
	return nil
}

func decodeCommit(d *cbor.Decoder) (slot uint32, commit uint64, err error) {
	at := d.Offset()
	n, err := d.Uint()
	if err != nil {
		return 0, 0, err
	}
	if n > 1<<32-1 {
		return 0, 0, fmt.Errorf("slot %d at offset %d: a slot has 32 bits", n, at)
	}
	commit, err = d.Uint()
	if err == nil && commit == 0 {
		err = fmt.Errorf("commit at offset %d: commits begin with 1", at)
	}
	return uint32(n), commit, err
}

func (u *update) decode(d *cbor.Decoder) error {
	n, err := list(d, 4)
	if err != nil {
		return err
	}
	if n < 2 {
		return fmt.Errorf("expected 2 to 4 items, found %d", n)
	}
	if u.slot, u.commit, err = decodeCommit(d); err != nil || n == 2 {
		return err
	}
	if u.id, err = artifact.Decode(d); err != nil || n == 3 {
		return err
	}
	u.encoded, err = d.Bytes()
	return err
}

func (a *answer) decode(d *cbor.Decoder) error {
	n, err := list(d, 2)
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.New("expected 1 or 2 items, found none")
	}
	if a.id, err = artifact.Decode(d); err != nil || n == 1 {
		return err
	}
	a.encoded, err = d.Bytes()
	return err
}
