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
	sections []section // in their order; the data section's body is not used
	code     [][]byte  // bodies of the functions
	memory   []byte
}

type section struct {
	id   byte
	body []byte
}

// Sections of the binary format that trimming reads or writes.
const (
	typeSection     = 1
	importSection   = 2
	functionSection = 3
	exportSection   = 7
	startSection    = 8
	codeSection     = 10
	dataSection     = 11
)

const (
	moduleStart    = "\x00asm\x01\x00\x00\x00"
	opI32Const     = 0x41
	opEnd          = 0x0b
	maxMemoryBytes = 1 << 30
)

func parseModule(b []byte) (*module, error) {
	if !bytes.HasPrefix(b, []byte(moduleStart)) {
		return nil, errors.New("this is not a WebAssembly module")
	}
	m := &module{}
	r := &reader{b: b, at: len(moduleStart)}
	var err error
	for r.err == nil && r.at < len(b) {
		s := section{id: r.byte()}
		s.body = r.take(r.uint())
		if r.err != nil {
			break
		}
		switch s.id {
		case codeSection:
			if m.code, err = bodies(s.body); err != nil {
				return nil, fmt.Errorf("code section: %w", err)
			}
		case dataSection:
			if m.memory, err = image(s.body); err != nil {
				return nil, fmt.Errorf("data section: %w", err)
			}
		}
		m.sections = append(m.sections, s)
	}
	if r.err != nil {
		return nil, r.err
	}
	if m.memory == nil || m.code == nil {
		return nil, errors.New("the module has no code or no data")
	}
	return m, nil
}

func (m *module) section(id byte) *section {
	for i := range m.sections {
		if m.sections[i].id == id {
			return &m.sections[i]
		}
	}
	return nil
}

// bodies takes a code section apart.
func bodies(body []byte) ([][]byte, error) {
	r := &reader{b: body}
	var out [][]byte
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		out = append(out, r.take(r.uint()))
	}
	if r.err == nil && r.at != len(body) {
		r.err = errors.New("bytes follow the last function")
	}
	return out, r.err
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
const zeroRun = 32

// encode writes the module with its memory as few segments.
func (m *module) encode() []byte {
	out := []byte(moduleStart)
	for _, s := range m.sections {
		switch s.id {
		case codeSection:
			s.body = leb128.AppendUint(nil, uint64(len(m.code)))
			for _, c := range m.code {
				s.body = append(leb128.AppendUint(s.body, uint64(len(c))), c...)
			}
		case dataSection:
			s.body = m.segments()
		}
		out = append(out, s.id)
		out = append(leb128.AppendUint(out, uint64(len(s.body))), s.body...)
	}
	return out
}

func (m *module) segments() []byte {
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
	return append(leb128.AppendUint(nil, n), segments...)
}

// addStart adds a function that runs before the program does. The body has
// neither parameters nor results.
func (m *module) addStart(body []byte) error {
	types, functions := m.section(typeSection), m.section(functionSection)
	if types == nil || functions == nil || m.section(startSection) != nil {
		return errors.New("the sections are not as expected")
	}
	const function, none = 0x60, 0
	kind, err := types.extend(function, none, none)
	if err != nil {
		return err
	}
	if _, err = functions.extend(leb128.AppendUint(nil, kind)...); err != nil {
		return err
	}
	imports, err := m.importedFunctions()
	if err != nil {
		return err
	}
	index := imports + uint64(len(m.code))
	m.code = append(m.code, body)
	for i, s := range m.sections {
		if s.id == exportSection {
			start := section{startSection, leb128.AppendUint(nil, index)}
			m.sections = append(m.sections[:i+1:i+1], append([]section{start}, m.sections[i+1:]...)...)
			return nil
		}
	}
	return errors.New("the module exports nothing")
}

// importedFunctions counts the imports, all of which must be functions.
func (m *module) importedFunctions() (uint64, error) {
	s := m.section(importSection)
	if s == nil {
		return 0, nil
	}
	r := &reader{b: s.body}
	n := r.uint()
	for range n {
		r.take(r.uint())
		r.take(r.uint())
		if kind := r.byte(); kind != 0 {
			return 0, errors.New("something other than a function is imported")
		}
		r.uint()
		if r.err != nil {
			return 0, r.err
		}
	}
	return n, nil
}

// extend appends an item to a section that is a list and returns its index.
func (s *section) extend(item ...byte) (uint64, error) {
	n, k := binary.Uvarint(s.body)
	if k <= 0 {
		return 0, fmt.Errorf("section %d is malformed", s.id)
	}
	s.body = append(append(leb128.AppendUint(nil, n+1), s.body[k:]...), item...)
	return n, nil
}
