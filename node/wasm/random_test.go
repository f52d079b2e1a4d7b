package wasm

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// generator writes random modules that are valid. The same seed gives the same program
// for either width of addresses.
type generator struct {
	*rand.Rand
	width  string // of memory and table addresses
	floats bool
	funcs  []signature
	// of the function being written
	index  int // of it among funcs
	sig    signature
	locals []string
	labels []string // result type of each open label, innermost last; "" for none
	budget int
}

type signature struct {
	params  []string
	results []string
}

func (s signature) String() string {
	out := ""
	if len(s.params) > 0 {
		out += "(param " + strings.Join(s.params, " ") + ") "
	}
	if len(s.results) > 0 {
		out += "(result " + strings.Join(s.results, " ") + ")"
	}
	return out
}

// randomModule is the text of a module with the entry point testGo, exported globals
// "g<i>" and memory "m".
func randomModule(seed uint64, width string, floats bool) string {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 7)), width: width, floats: floats}
	types := g.types()
	for range 3 + g.IntN(4) {
		var s signature
		for range g.IntN(4) {
			s.params = append(s.params, types[g.IntN(len(types))])
		}
		for range g.IntN(3) {
			s.results = append(s.results, types[g.IntN(len(types))])
		}
		g.funcs = append(g.funcs, s)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "(module (memory $m %s 1 3) (export \"m\" (memory $m)) (table %s 8 12 funcref)\n", width, width)
	fmt.Fprintf(&b, "(elem (%s.const 1) $f0 $f1 $f2 $f0) (elem $pe func $f2 $f1)\n", width)
	fmt.Fprintf(&b, "(data (%s.const 100) \"some initial data\") (data $pd \"passive data\")\n", width)
	for i, t := range g.globals() {
		fmt.Fprintf(&b, "(global $g%d (mut %s) %s) (export \"g%d\" (global $g%d))\n", i, t, g.constant(t), i, i)
	}
	for i, s := range g.funcs {
		g.index = i
		fmt.Fprintf(&b, "(func $f%d %s\n%s)\n", i, s, g.function(s))
	}
	g.index = len(g.funcs)
	fmt.Fprintf(&b, "(func (export %q)\n%s))\n", testGo, g.function(signature{}))
	return b.String()
}

func (g *generator) types() []string {
	if g.floats {
		return []string{"i32", "i64", "f32", "f64", "v128"}
	}
	return []string{"i32", "i64"}
}

func (g *generator) globals() []string {
	out := []string{"i32", "i64", "i32", "i64"}
	if g.floats {
		out = append(out, "f32", "f64", "v128")
	}
	return out
}

func (g *generator) pick(choices ...string) string { return choices[g.IntN(len(choices))] }

func (g *generator) function(s signature) string {
	g.sig, g.labels, g.budget = s, nil, 120
	g.locals = append([]string{}, s.params...)
	locals := "(local"
	for range 4 {
		for _, t := range g.types() {
			g.locals = append(g.locals, t)
			locals += " " + t
		}
	}
	out := locals + ")\n"
	for range 2 + g.IntN(8) {
		out += g.statement(4) + "\n"
	}
	for _, t := range s.results {
		out += g.expr(t, 3) + " "
	}
	return out
}

// address turns an i32 expression into an address.
func (g *generator) address(e string) string {
	if g.width == "i64" {
		return "(i64.extend_i32_u " + e + ")"
	}
	return e
}

// number turns a size or address into an i32 expression.
func (g *generator) number(e string) string {
	if g.width == "i64" {
		return "(i32.wrap_i64 " + e + ")"
	}
	return e
}

func (g *generator) where(depth int) string {
	if g.IntN(80) == 0 {
		return g.address(g.expr("i32", depth-1)) // mostly out of bounds
	}
	return g.address("(i32.and " + g.expr("i32", depth-1) + " (i32.const 0xfff))")
}

func (g *generator) memarg() string {
	if g.IntN(40) == 0 {
		return "offset=65534 "
	}
	return g.pick("", "offset=4 ", "offset=60000 ", "")
}

func (g *generator) constant(t string) string {
	switch t {
	case "i32":
		return fmt.Sprintf("(i32.const %d)", int32(g.Uint32())>>g.IntN(32))
	case "i64":
		return fmt.Sprintf("(i64.const %d)", int64(g.Uint64())>>g.IntN(64))
	case "v128":
		return fmt.Sprintf("(v128.const i64x2 %d %d)", g.Uint64(), g.Uint64())
	default:
		return fmt.Sprintf("(%s.const %s)", t, g.pick("0", "-0", "1.5", "-1e30", "3e-40", "inf", "1e300", "7"))
	}
}

func (g *generator) local(t string) (int, bool) {
	n := g.IntN(len(g.locals))
	for k := range g.locals {
		if i := (n + k) % len(g.locals); g.locals[i] == t {
			return i, true
		}
	}
	return 0, false
}

func (g *generator) global(t string) string {
	types := g.globals()
	n := g.IntN(len(types))
	for k := range types {
		if i := (n + k) % len(types); types[i] == t {
			return fmt.Sprintf("$g%d", i)
		}
	}
	panic("no global of type " + t)
}

func (g *generator) expr(t string, depth int) string {
	g.budget--
	if depth <= 0 || g.budget <= 0 {
		if i, ok := g.local(t); ok && g.IntN(3) > 0 {
			return fmt.Sprintf("(local.get %d)", i)
		}
		return g.constant(t)
	}
	switch g.IntN(12) {
	case 0:
		return "(global.get " + g.global(t) + ")"
	case 1:
		if i, ok := g.local(t); ok {
			return fmt.Sprintf("(local.tee %d %s)", i, g.expr(t, depth-1))
		}
	case 2:
		cond := g.expr("i32", depth-1)
		g.labels = append(g.labels, t)
		then, other := g.body(t, depth-1), g.body(t, depth-1)
		g.labels = g.labels[:len(g.labels)-1]
		return fmt.Sprintf("(if (result %s) %s (then %s) (else %s))", t, cond, then, other)
	case 3:
		g.labels = append(g.labels, t)
		body := g.body(t, depth-1)
		g.labels = g.labels[:len(g.labels)-1]
		return fmt.Sprintf("(block (result %s) %s)", t, body)
	case 4:
		return fmt.Sprintf("(select (result %s) %s %s %s)", t, g.expr(t, depth-1), g.expr(t, depth-1), g.expr("i32", depth-1))
	case 5:
		return g.load(t, depth)
	case 6:
		for i, s := range g.funcs {
			if len(s.results) == 1 && s.results[0] == t && g.IntN(2) == 0 && g.mayCall(i) {
				return g.call(i, depth)
			}
		}
	case 7:
		// A value taken along by a conditional branch.
		for l := range g.labels {
			if n := len(g.labels) - 1 - l; g.labels[n] == t && g.IntN(2) == 0 {
				return fmt.Sprintf("(br_if %d %s %s)", l, g.expr(t, depth-1), g.expr("i32", depth-1))
			}
		}
	}
	return g.operation(t, depth)
}

// body is a statement and a value.
func (g *generator) body(t string, depth int) string {
	if g.IntN(2) == 0 {
		return g.statement(depth-1) + " " + g.expr(t, depth-1)
	}
	return g.expr(t, depth-1)
}

func (g *generator) load(t string, depth int) string {
	op := map[string]string{
		"i32": g.pick("i32.load", "i32.load8_s", "i32.load8_u", "i32.load16_s", "i32.load16_u"),
		"i64": g.pick("i64.load", "i64.load8_s", "i64.load16_u", "i64.load32_s", "i64.load32_u"),
		"f32": "f32.load", "f64": "f64.load", "v128": g.pick("v128.load", "v128.load64_zero", "v128.load32_splat"),
	}[t]
	return fmt.Sprintf("(%s %s%s)", op, g.memarg(), g.where(depth))
}

func (g *generator) call(i, depth int) string {
	args := g.arguments(g.funcs[i], depth)
	if i <= 2 && g.IntN(3) == 0 {
		index := g.address(fmt.Sprintf("(i32.const %d)", i+1))
		if g.IntN(20) == 0 {
			index = g.address(fmt.Sprintf("(i32.and %s (i32.const 7))", g.expr("i32", depth-2)))
		}
		return fmt.Sprintf("(call_indirect %s %s %s)", g.funcs[i], args, index)
	}
	return fmt.Sprintf("(call $f%d %s)", i, args)
}

// mayCall keeps most modules from recursing without end.
func (g *generator) mayCall(i int) bool { return i < g.index || g.IntN(60) == 0 }

func (g *generator) arguments(s signature, depth int) string {
	args := ""
	for _, p := range s.params {
		args += " " + g.expr(p, depth-2)
	}
	return args
}

func (g *generator) operation(t string, depth int) string {
	unary := func(ops ...string) string { return fmt.Sprintf("(%s %s)", g.pick(ops...), g.expr(t, depth-1)) }
	binary := func(ops ...string) string {
		return fmt.Sprintf("(%s %s %s)", g.pick(ops...), g.expr(t, depth-1), g.expr(t, depth-1))
	}
	prefix := func(list string) []string {
		ops := strings.Fields(list)
		for i := range ops {
			ops[i] = t + "." + ops[i]
		}
		return ops
	}
	integer := prefix("add sub mul and or xor shl shr_s shr_u rotl rotr add sub div_s div_u rem_s rem_u")
	if g.IntN(16) > 0 {
		integer = integer[:13] // division traps too often to be interesting
	}
	floating := prefix("add sub mul div min max copysign")
	switch n := g.IntN(10); t {
	case "i32":
		switch n {
		case 0:
			return unary("i32.eqz", "i32.clz", "i32.ctz", "i32.popcnt", "i32.extend8_s", "i32.extend16_s")
		case 1:
			return fmt.Sprintf("(%s %s %s)", g.pick("i64.eq", "i64.lt_s", "i64.gt_u", "i64.ge_s"), g.expr("i64", depth-1), g.expr("i64", depth-1))
		case 2:
			return "(i32.wrap_i64 " + g.expr("i64", depth-1) + ")"
		case 3:
			return g.number(g.pick("(memory.size)", "(memory.grow "+g.address("(i32.and "+g.expr("i32", depth-1)+" (i32.const 1))")+")"))
		case 4:
			return g.pick(g.number("(table.size)"), "(ref.is_null (table.get "+g.address("(i32.and "+g.expr("i32", depth-1)+" (i32.const 7))")+"))")
		case 5:
			if g.floats {
				f := g.pick("f32", "f64")
				return g.pick(
					fmt.Sprintf("(%s.%s %s %s)", f, g.pick("lt", "eq", "ne", "ge"), g.expr(f, depth-1), g.expr(f, depth-1)),
					fmt.Sprintf("(i32.%s_%s_%s %s)", g.pick("trunc_sat", "trunc_sat", "trunc_sat", "trunc_sat", "trunc"), f, g.pick("s", "u"), g.expr(f, depth-1)),
					"(i32.reinterpret_f32 "+g.expr("f32", depth-1)+")")
			}
		}
		return binary(append(integer, "i32.eq", "i32.lt_s", "i32.lt_u", "i32.ge_u")...)
	case "i64":
		switch n {
		case 0:
			return unary("i64.clz", "i64.ctz", "i64.popcnt", "i64.extend8_s", "i64.extend32_s")
		case 1, 2:
			return fmt.Sprintf("(%s %s)", g.pick("i64.extend_i32_s", "i64.extend_i32_u"), g.expr("i32", depth-1))
		case 3:
			if g.floats {
				return g.pick("(i64.reinterpret_f64 "+g.expr("f64", depth-1)+")", "(i64x2.extract_lane 1 "+g.expr("v128", depth-1)+")")
			}
		}
		return binary(integer...)
	case "f32", "f64":
		other := map[string]string{"f32": "f32.demote_f64 ", "f64": "f64.promote_f32 "}[t]
		from := map[string]string{"f32": "f64", "f64": "f32"}[t]
		switch n {
		case 0, 1:
			return unary(prefix("ceil floor trunc nearest sqrt abs neg")...)
		case 2:
			return "(" + other + g.expr(from, depth-1) + ")"
		case 3:
			return fmt.Sprintf("(%s.convert_%s %s)", t, g.pick("i32_s", "i32_u"), g.expr("i32", depth-1))
		case 4:
			return "(" + map[string]string{"f32": "f32.reinterpret_i32 ", "f64": "f64.reinterpret_i64 "}[t] +
				g.expr(map[string]string{"f32": "i32", "f64": "i64"}[t], depth-1) + ")"
		}
		return binary(floating...)
	default:
		switch n {
		case 0:
			return "(i64x2.splat " + g.expr("i64", depth-1) + ")"
		case 1:
			return "(f64x2.splat " + g.expr("f64", depth-1) + ")"
		case 2:
			return fmt.Sprintf("(f32x4.replace_lane 2 %s %s)", g.expr("v128", depth-1), g.expr("f32", depth-1))
		case 3:
			return fmt.Sprintf("(v128.bitselect %s %s %s)", g.expr("v128", depth-1), g.expr("v128", depth-1), g.expr("v128", depth-1))
		case 4:
			return unary("f32x4.sqrt", "f64x2.floor", "f32x4.demote_f64x2_zero", "f64x2.promote_low_f32x4", "f32x4.neg", "v128.not")
		}
		return binary("f32x4.add", "f64x2.mul", "f32x4.min", "f64x2.div", "i64x2.add", "v128.xor", "f64x2.pmax")
	}
}

func (g *generator) statement(depth int) string {
	g.budget--
	if depth <= 0 || g.budget <= 0 {
		return "(nop)"
	}
	types := g.types()
	t := types[g.IntN(len(types))]
	switch g.IntN(16) {
	case 0, 1:
		return "(global.set " + g.global(t) + " " + g.expr(t, depth-1) + ")"
	case 2:
		if i, ok := g.local(t); ok {
			return fmt.Sprintf("(local.set %d %s)", i, g.expr(t, depth-1))
		}
		return "(nop)"
	case 3, 4:
		op := map[string]string{
			"i32": g.pick("i32.store", "i32.store8", "i32.store16"), "i64": g.pick("i64.store", "i64.store8", "i64.store32"),
			"f32": "f32.store", "f64": "f64.store", "v128": "v128.store",
		}[t]
		return fmt.Sprintf("(%s %s%s %s)", op, g.memarg(), g.where(depth), g.expr(t, depth-1))
	case 5:
		cond := g.expr("i32", depth-1)
		g.labels = append(g.labels, "")
		then, other := g.statements(depth), g.statements(depth)
		g.labels = g.labels[:len(g.labels)-1]
		return fmt.Sprintf("(if %s (then %s) (else %s))", cond, then, other)
	case 6:
		g.labels = append(g.labels, "")
		body := g.statements(depth)
		g.labels = g.labels[:len(g.labels)-1]
		return "(block " + body + ")"
	case 7, 8:
		return g.loop(depth)
	case 9:
		return g.branch(depth)
	case 10, 11:
		i := g.IntN(len(g.funcs))
		if !g.mayCall(i) {
			return "(nop)"
		}
		return g.call(i, depth) + strings.Repeat(" drop", len(g.funcs[i].results))
	case 12:
		return g.bulk(depth)
	case 13:
		for i, s := range g.funcs {
			if strings.Join(s.results, " ") == strings.Join(g.sig.results, " ") && (g.mayCall(i) || g.IntN(3) == 0) {
				return fmt.Sprintf("(if %s (then (return_call $f%d %s)))", g.expr("i32", depth-1), i, g.arguments(s, depth))
			}
		}
		return "(nop)"
	default:
		return "(drop " + g.expr(t, depth-1) + ")"
	}
}

func (g *generator) statements(depth int) string {
	out := ""
	for range 1 + g.IntN(3) {
		out += g.statement(depth-1) + " "
	}
	return out
}

// loop mostly ends after some rounds, but other branches to its beginning may keep it
// going until the instructions are used up.
func (g *generator) loop(depth int) string {
	i, ok := g.local("i32")
	if !ok {
		return "(nop)"
	}
	g.labels = append(g.labels, "")
	body := g.statements(depth)
	g.labels = g.labels[:len(g.labels)-1]
	return fmt.Sprintf("(local.set %d (i32.const %d)) (loop %s (br_if 0 (i32.gt_s (local.tee %d (i32.sub (local.get %d) (i32.const 1))) (i32.const 0))))",
		i, g.IntN(50), body, i, i)
}

func (g *generator) branch(depth int) string {
	var plain []string
	for l := range g.labels {
		if g.labels[len(g.labels)-1-l] == "" {
			plain = append(plain, fmt.Sprint(l))
		}
	}
	if len(plain) == 0 {
		if g.IntN(3) == 0 {
			values := ""
			for _, t := range g.sig.results {
				values += " " + g.expr(t, depth-2)
			}
			return fmt.Sprintf("(if %s (then (return %s)))", g.expr("i32", depth-1), values)
		}
		return "(nop)"
	}
	switch g.IntN(4) {
	case 0:
		return fmt.Sprintf("(br_table %s %s %s)", g.pick(plain...), g.pick(plain...), g.expr("i32", depth-1))
	case 1:
		return fmt.Sprintf("(br %s)", g.pick(plain...))
	default:
		return fmt.Sprintf("(br_if %s %s)", g.pick(plain...), g.expr("i32", depth-1))
	}
}

func (g *generator) bulk(depth int) string {
	small := func(mask int) string {
		return fmt.Sprintf("(i32.and %s (i32.const %d))", g.expr("i32", depth-2), mask)
	}
	switch g.IntN(9) {
	case 0:
		return fmt.Sprintf("(memory.fill %s %s %s)", g.where(depth), g.expr("i32", depth-2), g.address(small(255)))
	case 1:
		return fmt.Sprintf("(memory.copy %s %s %s)", g.where(depth), g.where(depth), g.address(small(255)))
	case 2:
		return fmt.Sprintf("(memory.init $pd %s %s %s)", g.where(depth), small(7), small(7))
	case 3:
		return fmt.Sprintf("(table.set %s (table.get %s))", g.address(small(7)), g.address(small(7)))
	case 4:
		return fmt.Sprintf("(table.fill %s (ref.null func) %s)", g.address(small(7)), g.address(small(1)))
	case 5:
		return fmt.Sprintf("(table.copy %s %s %s)", g.address(small(7)), g.address(small(7)), g.address(small(1)))
	case 6:
		return fmt.Sprintf("(table.init $pe %s %s %s)", g.address(small(7)), small(1), small(1))
	case 7:
		return fmt.Sprintf("(drop (table.grow (table.get %s) %s))", g.address(small(7)), g.address(small(1)))
	default:
		return g.pick("(data.drop $pd)", "(elem.drop $pe)", "(nop)", "(nop)", "(nop)")
	}
}

func TestGeneratorGivesTheSameModuleForASeed(t *testing.T) {
	first, second := randomModule(3, "i32", true), randomModule(3, "i32", true)
	if first != second {
		t.Error("two modules for one seed")
	}
}
