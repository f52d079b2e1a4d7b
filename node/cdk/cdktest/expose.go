package cdktest

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"

	"portico/lightclient/leb128"
)

// callTable is the function expose adds: (env, index) calls a callback.
const callTable = "cdktest call table"

func globalName(i int) string { return fmt.Sprintf("cdktest global %d", i) }

func (c *Canister) instantiate(wasm []byte) error {
	ctx := context.Background()
	if c.module != nil {
		if err := c.module.Close(ctx); err != nil {
			return err
		}
	}
	exposed, err := expose(wasm)
	if err != nil {
		return err
	}
	// Instantiate would forget the machine code with the instance.
	code, err := c.runtime.CompileModule(ctx, exposed)
	if err != nil {
		return err
	}
	c.module, err = c.runtime.InstantiateModule(ctx, code, wazero.NewModuleConfig().WithName("canister"))
	return err
}

// expose exports every global, which undoing an execution needs, and a function
// that calls through the table, which callbacks need: wazero reaches neither
// otherwise. It trusts its input to be a module.
func expose(wasm []byte) ([]byte, error) {
	sections, err := split(wasm)
	if err != nil {
		return nil, err
	}
	count := func(id byte) uint64 {
		n, _, _ := leb128.Uint64(sections[id])
		return n
	}
	functions := count(2) + count(3) // every import is a function
	callback, caller := count(1), count(1)+1
	add(sections, 1, 2, []byte{0x60, 1, 0x7f, 0, 0x60, 2, 0x7f, 0x7f, 0}) // (i32)->(), (i32 i32)->()
	add(sections, 3, 1, leb128.AppendUint(nil, caller))
	// local.get 0, local.get 1, call_indirect callback 0, end
	body := append(leb128.AppendUint([]byte{0, 0x20, 0, 0x20, 1, 0x11}, callback), 0, 0x0b)
	add(sections, 10, 1, append(leb128.AppendUint(nil, uint64(len(body))), body...))
	var exports []byte
	export := func(name string, kind byte, index uint64) {
		exports = append(append(exports, byte(len(name))), name...)
		exports = leb128.AppendUint(append(exports, kind), index)
	}
	export(callTable, 0, functions)
	globals := count(6)
	for i := range globals {
		export(globalName(int(i)), 3, i)
	}
	add(sections, 7, globals+1, exports)

	out := append([]byte(nil), wasm[:8]...)
	for _, id := range []byte{1, 2, 3, 4, 5, 6, 7, 9, 10, 11} {
		if s, ok := sections[id]; ok {
			out = append(leb128.AppendUint(append(out, id), uint64(len(s))), s...)
		}
	}
	return out, nil
}

func split(wasm []byte) (map[byte][]byte, error) {
	if len(wasm) < 8 {
		return nil, errors.New("not a WebAssembly module")
	}
	sections := map[byte][]byte{}
	for b := wasm[8:]; len(b) > 0; {
		size, n, err := leb128.Uint64(b[1:])
		if err != nil || size > uint64(len(b)-1-n) {
			return nil, errors.New("a section is longer than the module")
		}
		sections[b[0]] = b[1+n : 1+n+int(size)]
		b = b[1+n+int(size):]
	}
	return sections, nil
}

func add(sections map[byte][]byte, id byte, items uint64, content []byte) {
	n, width, _ := leb128.Uint64(sections[id])
	s := leb128.AppendUint(nil, n+items)
	if len(sections[id]) > 0 {
		s = append(s, sections[id][width:]...)
	}
	sections[id] = append(s, content...)
}
