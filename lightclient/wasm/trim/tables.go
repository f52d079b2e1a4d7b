package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// tables are the function tables of a Go program, inside its memory.
type tables struct {
	memory []byte
	names  span // of functions
	files  span // which files belong to a function, and their names
	values span // what holds at which instruction, as deltas
	funcs  int  // where the table of functions is
	count  int  // of functions
	gofunc int  // where offsets of function data count from
	// buckets is where the table is that leads from instructions to functions.
	buckets int
}

type span struct{ start, end int }

// What begins the header of the tables: the magic number of the format, padding,
// the size of the smallest instruction and of a pointer.
const headerStart = "\xf1\xff\xff\xff\x00\x00\x01\x08"

// Offsets in words of the header after its start, and of the module's data.
const (
	headerCount, headerNames, headerFiles, headerValues, headerFuncs = 0, 3, 4, 6, 7
	moduleBuckets, moduleGofunc, moduleEnd                           = 19, 40, 41 // moduledata.findfunctab, gofunc and epclntab
)

// Offsets in a function's record, and its parts beyond it.
const (
	funcName, funcFile, funcLine, funcUnit, funcStartLine = 4, 20, 24, 32, 36

	funcStack, funcValueCount, funcDataCount, funcBytes = 16, 28, 43, 44

	valueInlining, valueArgLiveness              = 2, 3
	dataInlining, dataArgInfo, dataArgLivenesses = 3, 5, 6
)

const none = 0xffffffff

func findTables(memory []byte) (*tables, error) {
	header := bytes.Index(memory, []byte(headerStart))
	if header < 0 {
		return nil, errors.New("there are no function tables of Go 1.26 in it")
	}
	if bytes.Contains(memory[header+1:], []byte(headerStart)) {
		return nil, errors.New("there seem to be two function tables in it")
	}
	word := func(at, i int) int {
		if at < 0 || at+8*i+8 > len(memory) {
			return -1
		}
		v := binary.LittleEndian.Uint64(memory[at+8*i:])
		if v > uint64(len(memory)) {
			return -1
		}
		return int(v)
	}
	start := header + len(headerStart)
	at := func(i int) int { return header + word(start, i) }
	t := &tables{
		memory: memory,
		names:  span{at(headerNames), at(headerFiles)},
		files:  span{at(headerFiles), at(headerValues)},
		values: span{at(headerValues), at(headerFuncs)},
		funcs:  at(headerFuncs),
		count:  word(start, headerCount),
	}
	ascending := header < t.names.start && t.names.start < t.files.start && t.files.start < t.values.start && t.values.start < t.funcs
	if !ascending || t.count <= 0 || t.funcs+8*t.count+4 > len(memory) {
		return nil, errors.New("the header of the function tables is not as expected")
	}
	// The module's data begins with the addresses of the tables.
	pointers := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(header)), uint64(t.names.start))
	data := bytes.Index(memory, pointers)
	if data < 0 || word(data, 16) != t.funcs || word(data, 17) != t.count+1 {
		return nil, errors.New("the module's data is not as expected")
	}
	if t.gofunc = word(data, moduleGofunc); t.gofunc <= 0 || word(data, moduleEnd) <= t.funcs {
		return nil, errors.New("the place of the functions' data is not as expected")
	}
	if t.buckets = word(data, moduleBuckets); t.buckets <= 0 || t.buckets+t.count*bucketsPerFunction*bucketBytes > len(memory) {
		return nil, errors.New("the place of the table from instructions to functions is not as expected")
	}
	return t, nil
}

// clear overwrites with zeros what only stack traces read, and what belongs to
// functions that are gone.
func (t *tables) clear(gone map[int]bool) error {
	var kept, trees []int // offsets of values that stay; offsets of inlining trees
	size := map[int]int{} // of the trees
	keptData := map[int]bool{}
	names := newNames()
	for i := range t.count {
		f, err := t.function(i)
		if err != nil {
			return err
		}
		if gone[i] {
			t.empty(f)
			continue
		}
		t.put(f+funcName, names.add(t.name(t.get(f+funcName))))
		for _, field := range []int{funcFile, funcLine, funcUnit, funcStartLine} {
			t.put(f+field, 0)
		}
		kept = append(kept, t.get(f+funcStack))
		values, data := t.get(f+funcValueCount), int(t.memory[f+funcDataCount])
		inlined := 0
		for j := range values {
			field := f + funcBytes + 4*j
			switch j {
			case valueInlining:
				if inlined, err = t.largest(t.get(field)); err != nil {
					return err
				}
				t.put(field, 0)
			case valueArgLiveness:
				t.put(field, 0)
			default:
				kept = append(kept, t.get(field))
			}
		}
		for j := range data {
			field := f + funcBytes + 4*values + 4*j
			offset := t.get(field)
			switch j {
			case dataInlining:
				if offset != none {
					trees = append(trees, offset)
					size[offset] = max(size[offset], inlinedCallBytes*(inlined+1))
				}
				t.put(field, none)
			case dataArgInfo, dataArgLivenesses:
				t.put(field, none)
			default:
				keptData[offset] = true
			}
		}
	}
	t.clearTrees(trees, size, keptData)
	if len(names.text) > t.names.end-t.names.start {
		return errors.New("the names of the functions take less space than expected")
	}
	clear(t.memory[t.names.start:t.files.end])
	copy(t.memory[t.names.start:], names.text)
	return t.clearValues(kept)
}

// empty clears the record of a function but for the place of its code.
func (t *tables) empty(f int) {
	values, data := t.get(f+funcValueCount), int(t.memory[f+funcDataCount])
	for j := range values {
		t.put(f+funcBytes+4*j, 0)
	}
	for j := range data {
		t.put(f+funcBytes+4*values+4*j, none)
	}
	for _, field := range []int{funcName, funcStack, funcFile, funcLine, funcUnit, funcStartLine} {
		t.put(f+field, 0)
	}
}

// firstFunction is the number that Go's linker gives the first function of a module.
const firstFunction = 0x1000

// index is which of the module's own functions the i-th one of the table is.
func (t *tables) index(i int) int { return t.get(t.funcs+8*i) - firstFunction }

// inlinedCallBytes is the size of an entry of an inlining tree.
const inlinedCallBytes = 16

// clearTrees clears inlining trees, except where other data shares their place.
func (t *tables) clearTrees(trees []int, size map[int]int, kept map[int]bool) {
	for _, offset := range trees {
		shared := false
		for k := offset; k < offset+size[offset]; k++ {
			shared = shared || kept[k]
		}
		start := t.gofunc + offset
		if end := start + size[offset]; !shared && end <= len(t.memory) {
			clear(t.memory[start:end])
		}
	}
}

// clearValues clears the tables of values that are not kept.
func (t *tables) clearValues(kept []int) error {
	used := make([]bool, t.values.end-t.values.start)
	for _, offset := range kept {
		if offset == 0 {
			continue // no table
		}
		_, end, err := t.walk(offset)
		if err != nil {
			return err
		}
		for k := offset; k < end; k++ {
			used[k] = true
		}
	}
	for k, u := range used {
		if !u {
			t.memory[t.values.start+k] = 0
		}
	}
	return nil
}

// largest is the largest value of a table, or -1.
func (t *tables) largest(offset int) (int, error) {
	if offset == 0 {
		return -1, nil
	}
	v, _, err := t.walk(offset)
	if err == nil && v > len(t.memory) {
		err = fmt.Errorf("a table of values has the value %d", v)
	}
	return v, err
}

// walk reads a table of values: pairs of differences of the value and of the
// instruction's place, until a difference of the value is zero that is not the first.
func (t *tables) walk(offset int) (largest, end int, err error) {
	b := t.memory[t.values.start:t.values.end]
	value, largest := -1, -1
	for first := true; ; first = false {
		if offset >= len(b) {
			return 0, 0, fmt.Errorf("a table of values at %d does not end", offset)
		}
		if !first && b[offset] == 0 {
			return largest, offset + 1, nil
		}
		delta, n := binary.Uvarint(b[offset:])
		_, m := binary.Uvarint(b[min(offset+max(n, 0), len(b)):])
		if n <= 0 || m <= 0 {
			return 0, 0, fmt.Errorf("a table of values is malformed at %d", offset)
		}
		value += int(int64(delta>>1) ^ -int64(delta&1))
		largest = max(largest, value)
		offset += n + m
	}
}

// function is where the record of a function is.
func (t *tables) function(i int) (int, error) {
	f := t.funcs + t.get(t.funcs+8*i+4)
	if f+funcBytes > len(t.memory) || f+funcBytes+4*(t.get(f+funcValueCount)+int(t.memory[f+funcDataCount])) > len(t.memory) {
		return 0, fmt.Errorf("the record of function %d is not as expected", i)
	}
	if n := t.get(f + funcName); n >= t.names.end-t.names.start {
		return 0, fmt.Errorf("the name of function %d is not as expected", i)
	}
	return f, nil
}

func (t *tables) name(offset int) string {
	name, _, _ := bytes.Cut(t.memory[t.names.start+offset:t.names.end], []byte{0})
	return string(name)
}

func (t *tables) get(at int) int { return int(binary.LittleEndian.Uint32(t.memory[at:])) }

func (t *tables) put(at, v int) { binary.LittleEndian.PutUint32(t.memory[at:], uint32(v)) }

// names is the new table of names.
type names struct {
	text   []byte
	places map[string]int
}

func newNames() *names {
	n := &names{places: map[string]int{}}
	n.add("")
	return n
}

// add returns the place of what is left of a name. The runtime asks for two names
// to find the arguments on the stack, and tells its own functions by their prefix.
func (n *names) add(name string) int {
	switch {
	case name == "reflect.makeFuncStub" || name == "reflect.methodValueCall":
	case strings.HasPrefix(name, "runtime."):
		name = "runtime."
	default:
		name = ""
	}
	place, ok := n.places[name]
	if !ok {
		place = len(n.text)
		n.places[name] = place
		n.text = append(append(n.text, name...), 0)
	}
	return place
}
