package main

import (
	"encoding/binary"
	"fmt"

	"portico/lightclient/leb128"
)

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
