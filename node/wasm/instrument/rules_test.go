package instrument

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"portico/node/wasm/wat"
)

func testImports() []Import {
	return []Import{
		{Name: "msg_reply"},
		{Name: "msg_reply_data_append", Params: []ValueType{Ptr, Ptr}},
		{Name: "msg_arg_data_size", Results: []ValueType{Ptr}},
		{Name: "msg_cycles_available", Results: []ValueType{I64}, Only32: true},
	}
}

func rewriteText(t *testing.T, src string) (*Info, error) {
	t.Helper()
	code, err := wat.Assemble(src)
	if err != nil {
		t.Fatal(err)
	}
	_, info, err := Rewrite(code, Options{Imports: testImports()})
	return info, err
}

func repeat(n int, f func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(f(i))
	}
	return b.String()
}

// Every rule of the interface specification, "WebAssembly module requirements", with a
// module that breaks it and what the message must say.
func TestModulesThatBreakARuleAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"import from elsewhere":      {`(module (import "env" "f" (func)))`, `imported from "env"`},
		"unknown import":             {`(module (import "ic0" "msg_replay" (func)))`, `msg_replay`},
		"import of another type":     {`(module (import "ic0" "msg_reply" (func (param i32))))`, `(i32) -> () instead of () -> ()`},
		"32-bit pointers with i64":   {`(module (import "ic0" "msg_reply_data_append" (func (param i64 i64))) (memory 1))`, `(i64, i64) -> () instead of (i32, i32) -> ()`},
		"64-bit memory with i32":     {`(module (import "ic0" "msg_reply_data_append" (func (param i32 i32))) (memory i64 1))`, `instead of (i64, i64) -> ()`},
		"64-bit result with i32":     {`(module (import "ic0" "msg_arg_data_size" (func (result i32))) (memory i64 1))`, `instead of () -> (i64)`},
		"32-bit only import":         {`(module (import "ic0" "msg_cycles_available" (func (result i64))) (memory i64 1))`, `32-bit memory only`},
		"hook with a parameter":      {`(module (func (export "canister_init") (param i32)))`, `"canister_init" has type (i32) -> ()`},
		"method with a result":       {`(module (func (export "canister_query q") (result i32) (i32.const 1)))`, `"canister_query q" has type () -> (i32)`},
		"unknown entry point":        {`(module (func (export "canister_foo")))`, `"canister_foo"`},
		"method without a space":     {`(module (func (export "canister_update_x")))`, `"canister_update_x"`},
		"method twice":               {`(module (func (export "canister_update m")) (func (export "canister_query m")))`, `method "m" is exported twice`},
		"composite and query":        {`(module (func (export "canister_composite_query m")) (func (export "canister_query m")))`, `method "m" is exported twice`},
		"export twice":               {`(module (func (export "a")) (func (export "a")))`, `"a" is exported twice`},
		"two memories":               {`(module (memory 1) (memory 1))`, `at most one`},
		"too large a memory":         {`(module (memory 65536))`, `65535`},
		"too large a 64-bit memory":  {`(module (memory i64 70000))`, `65535`},
		"public and private":         {`(module (custom "icp:public a" "x") (custom "icp:private a" "y"))`, `"a" is given twice`},
		"unknown custom section":     {`(module (custom "icp:secret a" "x"))`, `icp:secret a`},
		"17 custom sections":         {`(module ` + repeat(17, func(i int) string { return fmt.Sprintf(`(custom "icp:public %d" "")`, i) }) + `)`, `17 custom sections`},
		"large custom sections":      {`(module (custom "icp:public a" "` + strings.Repeat("x", 1<<20) + `"))`, `1048577 bytes`},
		"1001 globals":               {`(module ` + repeat(1001, func(int) string { return `(global i32 (i32.const 0))` }) + `)`, `1001 globals are more than 1000`},
		"50001 functions":            {`(module ` + repeat(50001, func(int) string { return `(func)` }) + `)`, `50001 functions are more than 50000`},
		"1001 methods":               {`(module ` + repeat(1001, func(i int) string { return fmt.Sprintf(`(func (export "canister_update %d"))`, i) }) + `)`, `1001 methods`},
		"20001 bytes of names":       {`(module (func (export "canister_query ` + strings.Repeat("n", 20001) + `")))`, `20001 bytes`},
		"long function":              {`(module (func ` + strings.Repeat(`nop `, 1_000_000) + `))`, `more than 1000000 instructions`},
		"mutable funcref global":     {`(module (global (mut funcref) (ref.null func)))`, `mutable funcref`},
		"mutable externref global":   {`(module (global (mut externref) (ref.null extern)))`, `mutable externref`},
		"global from a global":       {`(module (global i32 (i32.const 1)) (global i32 (global.get 0)))`, `reads global 0`},
		"data outside the memory":    {`(module (memory 1) (data (i32.const 65535) "ab"))`, `data segment 0`},
		"data far outside":           {`(module (memory i64 1) (data (i64.const -1) "ab"))`, `data segment 0`},
		"data without a memory":      {`(module (data (i32.const 0) ""))`, `not declared`},
		"elements outside the table": {`(module (table 1 funcref) (elem (i32.const 1) 0) (func))`, `element segment 0`},
		"start with a parameter":     {`(module (func $s (param i32)) (start $s))`, `start function has type (i32) -> ()`},
		"large offset in 32 bits":    {`(module (memory 1) (func (drop (i32.load offset=4294967296 (i32.const 0)))))`, `offset 4294967296`},
		"unknown local":              {`(module (func (local i64) (loop (drop (local.get 1)))))`, `local 1 of 1`},
		"unknown function":           {`(module (func (call 1)))`, `function 1 of 1`},
		"unknown label":              {`(module (func (br 1)))`, `label 1`},
		"table of 2 million":         {`(module (table 2000000 funcref))`, `larger than 1048576`},
		"maximum below the minimum":  {`(module (memory 3 2))`, `less than its minimum`},
		"exported memory not there":  {`(module (export "m" (memory 0)))`, `does not exist`},
	} {
		_, err := rewriteText(t, c.src)
		var invalid *Invalid
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Bytes that the assembler does not write, put where a plain instruction stood.
func TestUnsupportedInstructionsAreNamed(t *testing.T) {
	code := wat.MustAssemble(`(module (func (drop (i64.const 0x1122334455667))))`)
	at := bytes.IndexByte(code, 0x42)
	for _, c := range []struct{ bytes, want string }{
		{"\x06", "exception handling"},
		{"\x08", "exception handling"},
		{"\x1f", "exception handling"},
		{"\x14", "typed function references"},
		{"\xd4", "typed function references"},
		{"\xfb\x00", "garbage collection"},
		{"\xfe\x00", "threads"},
		{"\xfd\x80\x02", "unknown or unsupported"},
		{"\xfd\x9a\x01", "no such instruction"},
		{"\xfc\x12", "no such instruction"},
		{"\x27", "no such instruction"},
		{"\xff", "no such instruction"},
		{"\x11\x07\x00", "type 7"},
		{"\x02\x07\x0b\x01\x01\x01\x01\x01\x01", "type 7"},
		{"\x3f\x01", "more than one memory"},
		{"\x28\x40\x00", "more than one memory"},
		{"\xd0\x6e", "reference type 0x6e"},
		{"\x1c\x02\x7f\x7f", "select with 2 types"},
		{"\x41\x80\x80\x80\x80\x80\x00", "longer than 32 bits"},
		{"\x23\x09", "global 9"},
		{"\xd2\x05", "function 5"},
		{"\x05\x01\x01\x01\x01\x01\x01\x01\x01", "else outside an if"},
		{"\x0b", "after its end"},
		{"\x02\x40\x02\x40\x02\x40\x02\x40\x01\x01", "inside a block"},
	} {
		bad := bytes.Clone(code)
		copy(bad[at:], c.bytes)
		if _, _, err := Rewrite(bad, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("% x: %v", c.bytes, err)
		}
	}
}

func TestUnsupportedSectionsAreNamed(t *testing.T) {
	const head = "\x00asm\x01\x00\x00\x00"
	for _, c := range []struct{ bytes, want string }{
		{"", "magic"},
		{"\x00asm\x02\x00\x00\x00", "magic"},
		{"\x00asm\x0d\x00\x01\x00", "magic"},
		{head + "\x0e\x00", "section 14"},
		{head + "\x0d\x01\x00", "exception handling"},
		{head + "\x01\x02\x01\x50", "type form 0x50"},
		{head + "\x01\x04\x01\x60\x01\x64", "value type 0x64"},
		{head + "\x05\x03\x01\x03\x01", "shared"},
		{head + "\x01\x01\x00\x01\x01\x00", "occurs twice"},
		{head + "\x03\x01\x00\x01\x01\x00", "out of order"},
		{head + "\x02\x09\x01\x03ic0\x01m\x03\x7f\x00", "is a global"},
		{head + "\x02\x09\x01\x03ic0\x01m\x02\x00\x01", "is a memory"},
		{head + "\x01\x05\x00", "5 bytes announced"},
		{head + "\x03\x01\x01", "1 functions announced"},
		{head + "\x00\x02\x01\xff", "UTF-8"},
		{head + "\x01\x02\x00\x00", "too many"},
		{head + "\x04\x04\x01\x40\x00\x70", "reference type 0x40"},
	} {
		if _, _, err := Rewrite([]byte(c.bytes), Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.bytes, err)
		}
	}
}

func TestInfoTellsWhatAModuleOffers(t *testing.T) {
	info, err := rewriteText(t, `(module (memory i64 2 70000) (table 1 funcref)
		(custom "icp:public candid:service" "service : {}") (custom "name" "x") (custom "icp:private m" "")
		(func $f) (start $f) (export "canister_init" (func $f)) (export "canister_pre_upgrade" (func $f)) (export "canister_heartbeat" (func $f))
		(export "canister_update b c" (func $f)) (export "canister_query a" (func $f)) (export "canister_composite_query " (func $f))
		(export "memory" (memory 0)) (export "helper" (func $f)) (export "portico:counter" (func $f)))`)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%v %v %d-%d %v %+v %v %v %v", info.Memory64, info.HasMemory, info.MinPages, info.MaxPages, info.Methods, info.Hooks, len(info.Custom), info.Custom[0].Public, info.Custom[1].Name)
	want := "true true 2-65535 [{1 b c} {2 a} {3 }] {Start:true Init:true PreUpgrade:true PostUpgrade:false InspectMessage:false Heartbeat:true GlobalTimer:false OnLowWasmMemory:false} 2 true m"
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	for i, m := range []string{"canister_update b c", "canister_query a", "canister_composite_query "} {
		if info.Methods[i].Export() != m {
			t.Errorf("export %q, want %q", info.Methods[i].Export(), m)
		}
	}
}

func TestUseOfSegmentsNeedsADataCountSection(t *testing.T) {
	for _, use := range []string{`(memory.init $p (i32.const 0) (i32.const 0) (i32.const 0))`, `(data.drop $p)`} {
		code := wat.MustAssemble(`(module (memory 1) (data $p "x") (func ` + use + `))`)
		if _, _, err := Rewrite(code, Options{}); err != nil {
			t.Errorf("%s: %v", use, err)
		}
		count := []byte{secDataCount, 1, 1}
		if !bytes.Contains(code, count) {
			t.Fatalf("no data count section in %x", code)
		}
		_, _, err := Rewrite(bytes.Replace(code, count, nil, 1), Options{})
		if err == nil || !strings.Contains(err.Error(), "data count section") {
			t.Errorf("%s without the section: %v", use, err)
		}
	}
}

// Neither cut off nor changed modules may panic, whatever becomes of them.
func FuzzRewrite(f *testing.F) {
	for _, src := range fuzzSeeds {
		f.Add(wat.MustAssemble(src))
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		out, info, err := Rewrite(code, Options{Imports: testImports()})
		var invalid *Invalid
		switch {
		case err != nil && !errors.As(err, &invalid):
			t.Fatalf("an error that is not Invalid: %v", err)
		case err != nil:
			return
		}
		if len(out) > 1000+60*len(code) {
			t.Fatalf("%d bytes became %d", len(code), len(out))
		}
		if len(info.Globals) != len(info.GlobalInit) {
			t.Fatalf("%d globals with %d values", len(info.Globals), len(info.GlobalInit))
		}
		again, _, err := Rewrite(code, Options{Imports: testImports()})
		if err != nil || !bytes.Equal(out, again) {
			t.Fatal("rewriting twice gives two results")
		}
	})
}

var fuzzSeeds = []string{
	`(module)`,
	`(module (import "ic0" "msg_reply" (func $r)) (memory 1) (table 2 funcref) (elem (i32.const 0) $f) (data (i32.const 3) "abc") (data "p")
		(global (mut i32) (i32.const 1)) (global (mut v128) (v128.const i64x2 1 2)) (func $f (export "canister_update f") (local f64)
		(loop (br_if 0 (i32.load (i32.const 0)))) (memory.fill (i32.const 0) (i32.const 0) (i32.const 1)) (call $r)
		(local.set 0 (f64.add (local.get 0) (f64.sqrt (local.get 0)))) (br_table 0 0 (i32.const 1)) (return_call $f)) (start $f)
		(custom "icp:public a" "b"))`,
	`(module (memory i64 1) (table i64 2 funcref) (elem $e func $g) (func $g (param i64) (result i32 i64)
		(i64.store offset=5000000000 (local.get 0) (i64.const 1)) (memory.copy (local.get 0) (local.get 0) (local.get 0))
		(table.init $e (i64.const 0) (i32.const 0) (i32.const 1)) (drop (table.grow (ref.func $g) (i64.const 1)))
		(block (result i32 i64) (call $g (i64.const 1)) (br 0)) (global.set 0 (global.get 0))) (global (mut v128) (v128.const i64x2 0 0)))`,
}

func TestCutAndChangedModulesNeverPanic(t *testing.T) {
	for _, src := range fuzzSeeds {
		code := wat.MustAssemble(src)
		for n := range code {
			if _, _, err := Rewrite(code[:n], Options{Imports: testImports()}); err != nil {
				if _, ok := err.(*Invalid); !ok {
					t.Fatalf("%d bytes: %v", n, err)
				}
			}
			for _, b := range []byte{0, 1, 0x0b, 0x40, 0x7f, 0x80, 0xfc, 0xfd, 0xff, code[n] ^ 1} {
				bad := bytes.Clone(code)
				bad[n] = b
				if _, _, err := Rewrite(bad, Options{Imports: testImports()}); err != nil {
					if _, ok := err.(*Invalid); !ok {
						t.Fatalf("byte %d set to %#x: %v", n, b, err)
					}
				}
			}
		}
	}
}
