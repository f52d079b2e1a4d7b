package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"portico/lightclient/leb128"
)

// A module is a WebAssembly module with its data section as an image of memory.
type module struct {
	before, after []byte // what comes before and after the data section
	memory        []byte
}

const (
	dataSection    = 11
	opI32Const     = 0x41
	opEnd          = 0x0b
	maxMemoryBytes = 1 << 30
)

func parseModule(b []byte) (*module, error) {
	if !bytes.HasPrefix(b, []byte("\x00asm\x01\x00\x00\x00")) {
		return nil, errors.New("this is not a WebAssembly module")
	}
	r := &reader{b: b, at: 8}
	for r.err == nil && r.at < len(b) {
		start := r.at
		id := r.byte()
		body := r.take(r.uint())
		if id == dataSection && r.err == nil {
			memory, err := image(body)
			if err != nil {
				return nil, fmt.Errorf("data section: %w", err)
			}
			return &module{before: b[:start], after: b[r.at:], memory: memory}, nil
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return nil, errors.New("the module has no data section")
}

// image makes the memory that the segments of a data section write. They must all
// be active segments at constant offsets that do not overlap, as Go's linker makes them.
func image(section []byte) ([]byte, error) {
	r := &reader{b: section}
	var memory []byte
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		kind, op := r.byte(), r.byte()
		offset := r.int()
		end := r.byte()
		content := r.take(r.uint())
		switch {
		case r.err != nil:
		case kind != 0 || op != opI32Const || end != opEnd:
			r.err = fmt.Errorf("a segment is not active at a constant offset")
		case offset < 0 || offset > maxMemoryBytes:
			r.err = fmt.Errorf("a segment lies at %d", offset)
		default:
			if end := int(offset) + len(content); end > len(memory) {
				memory = append(memory, make([]byte, end-len(memory))...)
			}
			copy(memory[offset:], content)
		}
	}
	if r.err == nil && r.at != len(section) {
		r.err = errors.New("bytes follow the last segment")
	}
	return memory, r.err
}

// zeroRun is how many zeros in a row end a segment. Shorter runs cost less as part
// of it: compressed, they are nothing, and the head of a segment is not.
const zeroRun = 1024

// encode writes the module with its memory as few segments.
func (m *module) encode() []byte {
	var segments []byte
	n := uint64(0)
	zeros := make([]byte, zeroRun)
	for at := 0; at < len(m.memory); {
		if m.memory[at] == 0 {
			at++
			continue
		}
		length := bytes.Index(m.memory[at:], zeros)
		if length < 0 {
			length = len(m.memory) - at
		}
		segments = append(segments, 0, opI32Const)
		segments = leb128.AppendInt(segments, int64(at))
		segments = append(segments, opEnd)
		segments = leb128.AppendUint(segments, uint64(length))
		segments = append(segments, m.memory[at:at+length]...)
		n++
		at += length
	}
	body := append(leb128.AppendUint(nil, n), segments...)
	out := append(bytes.Clone(m.before), dataSection)
	out = append(leb128.AppendUint(out, uint64(len(body))), body...)
	return append(out, m.after...)
}

// reader reads WebAssembly; after an error it gives zeros.
type reader struct {
	b   []byte
	at  int
	err error
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = fmt.Errorf("the module is malformed at byte %d", r.at)
	}
}

func (r *reader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)-r.at) {
		r.fail()
		return nil
	}
	r.at += int(n)
	return r.b[r.at-int(n) : r.at]
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b[r.at:])
	if r.err != nil || n <= 0 {
		r.fail()
		return 0
	}
	r.at += n
	return v
}

func (r *reader) int() int64 {
	v, n, err := leb128.Int64(r.b[r.at:])
	if r.err != nil || err != nil {
		r.fail()
		return 0
	}
	r.at += n
	return v
}
