package instrument

import (
	"fmt"
	"strings"
	"testing"
)

// TestModulesReachEveryLimitAndNoFurther has each limit on modules at its value and at one more.
func TestModulesReachEveryLimitAndNoFurther(t *testing.T) {
	nops := func(n int) string { return `(func ` + strings.Repeat("nop ", n) + `)` }
	// code is a function of so many bytes besides its locals and its end
	code := func(n int) string {
		const pair, bytes = "(drop (i64.const -9223372036854775808)) ", 12
		return `(func ` + strings.Repeat(pair, n/bytes) + strings.Repeat("nop ", n%bytes) + `)`
	}
	for name, limit := range map[string]struct {
		most   int
		module func(n int) string
		want   string
	}{
		"functions":                  {50_000, func(n int) string { return repeat(n, func(int) string { return `(func)` }) }, "functions"},
		"globals":                    {1000, func(n int) string { return repeat(n, func(int) string { return `(global i32 (i32.const 0))` }) }, "globals"},
		"locals":                     {50_000, func(n int) string { return `(func ` + strings.Repeat(`(local i32)`, n) + `)` }, "locals"},
		"instructions of a function": {1_000_000, func(n int) string { return nops(n - 1) }, "instructions"}, // and its end
		"bytes of the code section": {10 << 20, func(n int) string {
			// ten functions of 950,005 bytes with their lengths, the number of functions, and the rest
			return strings.Repeat(code(950_000), 10) + code(n-10*950_005-1-5)
		}, "code section"},
		"methods": {1000, func(n int) string {
			return repeat(n, func(i int) string { return fmt.Sprintf(`(func (export "canister_update %d"))`, i) })
		}, "methods"},
		"bytes of method names": {20_000, func(n int) string {
			return `(func (export "canister_update a")) (func (export "canister_query ` + strings.Repeat("n", n-1) + `"))`
		}, "bytes"},
		"custom sections": {16, func(n int) string {
			return repeat(n, func(i int) string { return fmt.Sprintf(`(custom "icp:private %d" "")`, i) })
		}, "custom sections"},
		"bytes of custom sections": {1 << 20, func(n int) string {
			return `(custom "icp:public a" "x") (custom "icp:public b" "` + strings.Repeat("x", n-3) + `")`
		}, "bytes"},
		"pages":                    {65_535, func(n int) string { return fmt.Sprintf(`(memory %d)`, n) }, "65535"},
		"pages of a 64-bit memory": {65_535, func(n int) string { return fmt.Sprintf(`(memory i64 %d)`, n) }, "65535"},
		"entries of a table":       {1 << 20, func(n int) string { return fmt.Sprintf(`(table %d funcref)`, n) }, "larger than 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && limit.most >= 1_000_000 {
				t.Skip("assembles megabytes of text")
			}
			if _, err := rewriteText(t, `(module `+limit.module(limit.most)+`)`); err != nil {
				t.Errorf("%d: %v", limit.most, err)
			}
			if _, err := rewriteText(t, `(module `+limit.module(limit.most+1)+`)`); err == nil || !strings.Contains(err.Error(), limit.want) {
				t.Errorf("%d: error %v, want one about %q", limit.most+1, err, limit.want)
			}
		})
	}
}
