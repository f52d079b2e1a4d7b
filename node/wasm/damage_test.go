package wasm

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"portico/node/wasm/wat"
)

// Damaged modules are refused as invalid, or they run to an outcome, the same one on
// every instance. FuzzRewrite of package instrument searches further, but without the
// compiler, which coverage instrumentation slows down too much.
func TestDamagedModulesAreRefusedOrRun(t *testing.T) {
	e, err := NewEngine(EngineConfig{StackUnits: 3000})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	random := rand.New(rand.NewPCG(1, 2))
	valid := 0
	for n := range uint64(1500) {
		code := bytes.Clone(wat.MustAssemble(randomModule(n%50, []string{"i32", "i64"}[n%2], n%4 < 2)))
		for range 1 + random.IntN(3) {
			code[random.IntN(len(code))] = byte(random.Uint32())
		}
		m, err := e.Compile(context.Background(), code)
		if err != nil {
			if invalid := (*Invalid)(nil); !errors.As(err, &invalid) {
				t.Fatalf("module %d: an error that is not Invalid: %v", n, err)
			}
			continue
		}
		if m.Info().MinPages <= 16 {
			valid++
			var used [2]uint64
			for k := range used {
				i := instantiate(t, m)
				for _, method := range m.Info().Methods {
					used[k] += i.Call(method.Export(), &Call{Limit: 20_000}).Instructions
				}
				i.Close()
			}
			if used[0] != used[1] {
				t.Errorf("module %d: %d instructions, then %d", n, used[0], used[1])
			}
		}
		m.Close()
	}
	if valid < 20 {
		t.Errorf("only %d modules were still valid", valid)
	}
}
