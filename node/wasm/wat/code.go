package wat

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"portico/lightclient/leb128"
)

// function assembles the body of a function.
type function struct {
	*assembler
	locals map[string]int
	labels []string
	b      []byte
}

func (a *assembler) function(rest []node) {
	t, params, rest := a.typeUse(rest)
	f := &function{assembler: a, locals: map[string]int{}}
	for i, p := range params {
		f.locals[p] = i
	}
	n := len(params)
	var locals []byte
	groups := 0
	for len(rest) > 0 && rest[0].head() == "local" {
		items := rest[0].list[1:]
		if len(items) > 0 && strings.HasPrefix(items[0].atom, "$") {
			f.locals[items[0].atom] = n
			items = items[1:]
		}
		for _, l := range items {
			locals = append(locals, 1, valueType(l))
			groups++
			n++
		}
		rest = rest[1:]
	}
	f.sequence(rest)
	body := append(u(nil, groups), locals...)
	body = append(append(body, f.b...), 0x0b)
	a.add(3, u(nil, t))
	a.add(10, append(u(nil, len(body)), body...))
}

// expr assembles a constant expression.
func (a *assembler) expr(nodes []node) []byte {
	f := &function{assembler: a}
	f.sequence(nodes)
	return append(f.b, 0x0b)
}

func (f *function) sequence(nodes []node) {
	for len(nodes) > 0 {
		nodes = f.instruction(nodes)
	}
}

// instruction assembles the first instruction, flat or folded, and gives what follows.
func (f *function) instruction(nodes []node) []node {
	n := nodes[0]
	if n.isList {
		f.folded(n)
		return nodes[1:]
	}
	rest := nodes[1:]
	switch n.atom {
	case "block", "loop", "if":
		return f.open(n, rest)
	case "else":
		f.b = append(f.b, 0x05)
		return rest
	case "end":
		f.b = append(f.b, 0x0b)
		if len(f.labels) == 0 {
			n.failf("end without a block")
		}
		f.labels = f.labels[:len(f.labels)-1]
		return rest
	}
	return f.plain(n, rest)
}

// folded assembles (instruction immediates operands...).
func (f *function) folded(n node) {
	first, rest := n.list[0], n.list[1:]
	switch first.atom {
	case "block", "loop":
		f.sequence(f.open(first, rest))
		f.b = append(f.b, 0x0b)
		f.labels = f.labels[:len(f.labels)-1]
		return
	case "if":
		head := rest
		for len(rest) > 0 && rest[0].head() != "then" {
			rest = rest[1:]
		}
		head = head[:len(head)-len(rest)]
		k := 0
		for k < len(head) && (!head[k].isList || isType(head[k])) {
			k++
		}
		f.sequence(head[k:])
		f.open(first, head[:k])
		f.sequence(rest[0].list[1:])
		if len(rest) > 1 {
			f.b = append(f.b, 0x05)
			f.sequence(rest[1].list[1:])
		}
		f.b = append(f.b, 0x0b)
		f.labels = f.labels[:len(f.labels)-1]
		return
	}
	k := 0
	for k < len(rest) && (!rest[k].isList || isType(rest[k])) {
		k++
	}
	f.sequence(rest[k:])
	if left := f.plain(first, rest[:k]); len(left) > 0 {
		left[0].failf("unexpected %q", left[0].atom)
	}
}

func isType(n node) bool {
	h := n.head()
	return h == "type" || h == "param" || h == "result"
}

func (f *function) open(n node, rest []node) []node {
	f.b = append(f.b, map[string]byte{"block": 2, "loop": 3, "if": 4}[n.atom])
	label := ""
	if len(rest) > 0 && strings.HasPrefix(rest[0].atom, "$") {
		label, rest = rest[0].atom, rest[1:]
	}
	f.labels = append(f.labels, label)
	switch {
	case len(rest) == 0 || !isType(rest[0]):
		f.b = append(f.b, 0x40)
	case rest[0].head() == "result" && len(rest[0].list) == 2 && (len(rest) == 1 || !isType(rest[1])):
		f.b = append(f.b, valueType(rest[0].list[1]))
		rest = rest[1:]
	default:
		var t int
		t, _, rest = f.typeUse(rest)
		f.b = leb128.AppendInt(f.b, int64(t))
	}
	return rest
}

func (f *function) label(n node) int {
	for i := len(f.labels) - 1; i >= 0; i-- {
		if f.labels[i] == n.atom {
			return len(f.labels) - 1 - i
		}
	}
	return int(integer(n, n.atom))
}

func (f *function) local(n node) int {
	if i, ok := f.locals[n.atom]; ok {
		return i
	}
	return int(integer(n, n.atom))
}

func isIndex(nodes []node) bool {
	return len(nodes) > 0 && nodes[0].atom != "" && (nodes[0].atom[0] == '$' || nodes[0].atom[0] >= '0' && nodes[0].atom[0] <= '9')
}

// plain assembles an instruction that is not a block.
func (f *function) plain(n node, rest []node) []node {
	switch n.atom {
	case "br", "br_if":
		f.b = append(f.b, map[string]byte{"br": 0x0c, "br_if": 0x0d}[n.atom])
		f.b = u(f.b, f.label(rest[0]))
		return rest[1:]
	case "br_table":
		var labels []int
		for isIndex(rest) {
			labels = append(labels, f.label(rest[0]))
			rest = rest[1:]
		}
		f.b = u(append(f.b, 0x0e), len(labels)-1)
		for _, l := range labels {
			f.b = u(f.b, l)
		}
		return rest
	case "select":
		if len(rest) > 0 && rest[0].head() == "result" {
			f.b = append(f.b, 0x1c, 1, valueType(rest[0].list[1]))
			return rest[1:]
		}
	}
	op, ok := f.ops[n.atom]
	if !ok {
		n.failf("unknown instruction %q", n.atom)
	}
	if op.prefix != 0 {
		f.b = u(append(f.b, op.prefix), int(op.number))
	} else {
		f.b = append(f.b, byte(op.number))
	}
	return f.immediates(n, rest)
}

func (f *function) immediates(n node, rest []node) []node {
	take := func(kind string, fallback bool) {
		if fallback && !isIndex(rest) {
			f.b = append(f.b, 0)
			return
		}
		f.b = u(f.b, f.index(kind, rest[0]))
		rest = rest[1:]
	}
	group, op, _ := strings.Cut(n.atom, ".")
	switch {
	case n.atom == "call" || n.atom == "return_call" || n.atom == "ref.func":
		take("func", false)
	case n.atom == "call_indirect" || n.atom == "return_call_indirect":
		table := 0
		if isIndex(rest) {
			table = f.index("table", rest[0])
			rest = rest[1:]
		}
		t, _, after := f.typeUse(rest)
		f.b = u(u(f.b, t), table)
		return after
	case group == "local":
		f.b = u(f.b, f.local(rest[0]))
		return rest[1:]
	case group == "global":
		take("global", false)
	case n.atom == "ref.null":
		f.b = append(f.b, valueType(rest[0]))
		return rest[1:]
	case n.atom == "memory.init" || n.atom == "data.drop":
		f.hasData = true
		take("data", false)
		if op == "init" {
			f.b = append(f.b, 0)
		}
	case n.atom == "elem.drop":
		take("elem", false)
	case n.atom == "table.init":
		table := 0
		if len(rest) > 1 && isIndex(rest[1:]) {
			table = f.index("table", rest[0])
			rest = rest[1:]
		}
		take("elem", false)
		f.b = u(f.b, table)
	case n.atom == "table.copy":
		take("table", true)
		take("table", true)
	case group == "table":
		take("table", true)
	case n.atom == "memory.copy":
		f.b = append(f.b, 0, 0)
	case group == "memory":
		f.b = append(f.b, 0)
	case op == "const":
		return f.constant(n, rest)
	case strings.HasPrefix(op, "load") || strings.HasPrefix(op, "store"):
		return f.memarg(op, rest)
	case strings.HasSuffix(op, "_lane"):
		f.b = append(f.b, byte(integer(rest[0], rest[0].atom)))
		return rest[1:]
	case op == "shuffle":
		for _, l := range rest[:16] {
			f.b = append(f.b, byte(integer(l, l.atom)))
		}
		return rest[16:]
	}
	return rest
}

func (f *function) memarg(op string, rest []node) []node {
	align, offset := uint64(0), uint64(0)
	for len(rest) > 0 {
		key, value, ok := strings.Cut(rest[0].atom, "=")
		if !ok {
			break
		}
		v := uint64(integer(rest[0], value))
		if key == "offset" {
			offset = v
		} else {
			for ; v > 1; v >>= 1 {
				align++
			}
		}
		rest = rest[1:]
	}
	f.b = leb128.AppendUint(leb128.AppendUint(f.b, align), offset)
	if strings.HasSuffix(op, "_lane") {
		f.b = append(f.b, byte(integer(rest[0], rest[0].atom)))
		rest = rest[1:]
	}
	return rest
}

func (f *function) constant(n node, rest []node) []node {
	switch v := rest[0]; n.atom {
	case "i32.const":
		f.b = leb128.AppendInt(f.b, int64(int32(integer(v, v.atom))))
	case "i64.const":
		f.b = leb128.AppendInt(f.b, integer(v, v.atom))
	case "f32.const":
		f.b = binary.LittleEndian.AppendUint32(f.b, math.Float32bits(float32(float(v))))
	case "f64.const":
		f.b = binary.LittleEndian.AppendUint64(f.b, math.Float64bits(float(v)))
	case "v128.const":
		if v.atom != "i64x2" {
			v.failf("only v128.const i64x2 is supported")
		}
		for _, half := range rest[1:3] {
			f.b = binary.LittleEndian.AppendUint64(f.b, uint64(integer(half, half.atom)))
		}
		return rest[3:]
	}
	return rest[1:]
}

func float(n node) float64 {
	v, err := strconv.ParseFloat(n.atom, 64)
	if err != nil {
		n.failf("%q is not a number", n.atom)
	}
	return v
}
