package main

import (
	"fmt"
	"io"
	"testing"

	"portico/identity/stable"
	"portico/lightclient/principal"
	"portico/node/canistertest"
)

// Anchors by the hundred thousand are made outside of the network, by the canister's own
// code in stable memory that is a slice, and put into the canister as a snapshot.

type (
	snapshotUpload struct {
		Canister  principal.ID `candid:"canister_id"`
		Replace   *[]byte      `candid:"replace_snapshot"`
		Module    uint64       `candid:"wasm_module_size"`
		Globals   []struct{}   `candid:"globals"`
		Heap      uint64       `candid:"wasm_memory_size"`
		Stable    uint64       `candid:"stable_memory_size"`
		Certified []byte       `candid:"certified_data"`
	}

	dataPlace struct {
		Offset uint64 `candid:"offset"`
	}

	dataKind struct {
		Module *dataPlace `candid:"wasm_module,variant"`
		Stable *dataPlace `candid:"stable_memory,variant"`
	}

	dataUpload struct {
		Canister principal.ID `candid:"canister_id"`
		Snapshot []byte       `candid:"snapshot_id"`
		Kind     dataKind     `candid:"kind"`
		Chunk    []byte       `candid:"chunk"`
	}

	snapshotOf struct {
		Canister principal.ID `candid:"canister_id"`
		Snapshot []byte       `candid:"snapshot_id"`
	}
)

// anchorsOf is stable memory with so many anchors, of three devices each.
func anchorsOf(t testing.TB, self principal.ID, anchors int) *stable.Buffer {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	m := &stable.Buffer{}
	s := newStore(m, self)
	s.config = defaultConfig()
	must(s.begin())
	salt := firstRandom()
	must(s.setSalt(salt[:]))
	must(s.configure(manyTokens()))
	for i := range anchors {
		var a *anchor
		for j := range 3 {
			named := fmt.Sprint("device ", i, " ", j)
			p := newPasskey(t, named)
			m := p.method(named)
			d, err := m.device()
			must(err)
			if j == 0 {
				a, err = s.register(p.id, d, nil, 1)
				must(err)
				continue
			}
			must(a.add(d))
		}
		must(s.keep(a))
	}
	must(s.flush())
	return m
}

// installWith is the canister on our own replica with so many anchors.
func installWith(t testing.TB, anchors int) *onReplica {
	t.Helper()
	r, wasm := aNetwork(t)
	manage := func(method string, arg any, results ...any) {
		t.Helper()
		if rej := r.Manage(operator, method, arg, results...); rej != nil {
			t.Fatal(method, rej)
		}
	}
	mem := anchorsOf(t, r.id, anchors)
	module := []byte("\x00asm\x01\x00\x00\x00")
	var made struct {
		ID []byte `candid:"snapshot_id"`
	}
	manage("upload_canister_snapshot_metadata", snapshotUpload{Canister: r.id, Module: uint64(len(module)), Stable: uint64(mem.Len()+65535) &^ 65535}, &made)
	manage("upload_canister_snapshot_data", dataUpload{r.id, made.ID, dataKind{Module: &dataPlace{}}, module})
	piece := make([]byte, 2_000_000)
	for off := 0; off < mem.Len(); {
		k, err := mem.ReadAt(piece, int64(off))
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		manage("upload_canister_snapshot_data", dataUpload{r.id, made.ID, dataKind{Stable: &dataPlace{uint64(off)}}, piece[:k]})
		off += k
	}
	manage("load_canister_snapshot", snapshotOf{r.id, made.ID})
	manage("delete_canister_snapshot", snapshotOf{r.id, made.ID})
	if rej := r.InstallCode(operator, r.id, canistertest.Upgrade(canistertest.Options{}), wasm, nil); rej != nil {
		t.Fatal(rej)
	}
	return r
}
