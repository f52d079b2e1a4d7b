package candid

import (
	"math"
	"math/big"
	"strconv"
	"strings"

	"portico/lightclient/principal"
)

// ValueText is v in the text syntax of values; t gives the names of fields and
// cases, and may be nil. Infinities and NaN have no literals: they are written
// as inf, -inf and nan, which ParseArgs does not read.
func ValueText(v Value, t Type) string {
	p := valuePrinter{room: math.MaxInt}
	p.value(v, t)
	return string(p.b)
}

// ArgsText is a list of values in parentheses, as ValueText writes them.
func ArgsText(values []Value, types []Type) string {
	p := valuePrinter{b: []byte{'('}, room: math.MaxInt}
	for i, v := range values {
		if i > 0 {
			p.put(", ")
		}
		var t Type
		if i < len(types) {
			t = types[i]
		}
		p.value(v, t)
	}
	p.put(")")
	return string(p.b)
}

// describe is the beginning of ValueText, for messages.
func describe(v Value) string {
	p := valuePrinter{room: 60}
	p.value(v, nil)
	return string(p.b)
}

// valuePrinter appends values to b. It writes "…" for what begins after room bytes.
type valuePrinter struct {
	b    []byte
	room int
}

func (p *valuePrinter) value(v Value, t Type) {
	if len(p.b) > p.room {
		p.put("…")
		return
	}
	t = Resolve(t)
	switch v := v.(type) {
	case Null, Reserved:
		p.put("null")
	case Bool:
		p.b = strconv.AppendBool(p.b, bool(v))
	case Nat:
		p.number(v.big, strconv.FormatUint(v.small, 10))
	case Int:
		p.number(v.big, strconv.FormatInt(v.small, 10))
	case Float32:
		p.float(float64(v), 32)
	case Float64:
		p.float(float64(v), 64)
	case Text:
		p.text(string(v))
	case Principal:
		p.put(`principal "` + principal.ID(v).String() + `"`)
	case Service:
		p.put(`service "` + principal.ID(v).String() + `"`)
	case Func:
		p.put(`func "` + v.Service.String() + `".` + quoteName(v.Method))
	case Opt:
		p.opt(v, t)
	case Blob:
		p.blob(v)
	case Vec:
		p.vec(v, t)
	case Record:
		p.record(v, t)
	case Variant:
		p.variant(v, t)
	case Typed:
		p.value(v.Value, v.Type)
	case numeral:
		p.put(string(v))
	case nil:
		p.put("nothing")
	default:
		of, bits := fixedBits(v)
		if of >= Int8Type {
			p.b = strconv.AppendInt(p.b, int64(bits), 10)
		} else {
			p.b = strconv.AppendUint(p.b, bits, 10)
		}
	}
}

func (p *valuePrinter) number(large *big.Int, small string) {
	if large == nil {
		p.put(small)
		return
	}
	p.b = large.Append(p.b, 10)
}

func (p *valuePrinter) float(v float64, bits int) {
	switch {
	case math.IsNaN(v):
		p.put("nan")
	case math.IsInf(v, 1):
		p.put("inf")
	case math.IsInf(v, -1):
		p.put("-inf")
	default:
		s := strconv.FormatFloat(v, 'g', -1, bits)
		p.put(s)
		if !strings.ContainsAny(s, ".e") {
			p.put(".0")
		}
	}
}

func (p *valuePrinter) text(s string) {
	if len(s) > p.room {
		s = strings.ToValidUTF8(s[:p.room], "") + "…"
	}
	p.b = appendQuoted(p.b, s)
}

func (p *valuePrinter) blob(v Blob) {
	p.put(`blob "`)
	for i, c := range v {
		if i > p.room {
			p.put("…")
			break
		}
		if ' ' <= c && c < 0x7f && c != '"' && c != '\\' {
			p.b = append(p.b, c)
		} else {
			p.b = appendHexEscape(p.b, c)
		}
	}
	p.put(`"`)
}

func (p *valuePrinter) opt(v Opt, t Type) {
	if v.Value == nil {
		p.put("null")
		return
	}
	p.put("opt ")
	var elem Type
	if t, ok := t.(*OptType); ok {
		elem = t.Elem
	}
	p.value(v.Value, elem)
}

func (p *valuePrinter) vec(v Vec, t Type) {
	var elem Type
	if t, ok := t.(*VecType); ok {
		elem = t.Elem
	}
	p.list("vec ", len(v), func(i int) { p.value(v[i], elem) })
}

func (p *valuePrinter) record(v Record, t Type) {
	var types []FieldType
	if t, ok := t.(*RecordType); ok {
		types = t.Fields
	}
	p.list("record ", len(v), func(i int) {
		t := fieldOf(types, v[i].ID)
		p.put(t.label() + " = ")
		p.value(v[i].Value, t.Type)
	})
}

func (p *valuePrinter) variant(v Variant, t Type) {
	var types []FieldType
	if t, ok := t.(*VariantType); ok {
		types = t.Fields
	}
	c := fieldOf(types, v.ID)
	p.put("variant { " + c.label())
	if v.Value != (Null{}) {
		p.put(" = ")
		p.value(v.Value, c.Type)
	}
	p.put(" }")
}

// fieldOf is the field with the id, without a name and a type if there is none.
func fieldOf(fields []FieldType, id uint32) *FieldType {
	if f, ok := findField(fields, id); ok {
		return f
	}
	return &FieldType{ID: id}
}

func (p *valuePrinter) list(head string, n int, item func(i int)) {
	p.put(head)
	if n == 0 {
		p.put("{}")
		return
	}
	for i := range n {
		if i == 0 {
			p.put("{ ")
		} else {
			p.put("; ")
		}
		if len(p.b) > p.room {
			p.put("…")
			break
		}
		item(i)
	}
	p.put(" }")
}

func (p *valuePrinter) put(s string) { p.b = append(p.b, s...) }
