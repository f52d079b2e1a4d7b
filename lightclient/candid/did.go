package candid

import (
	"strconv"
	"unicode/utf8"
)

// Interface is the content of a .did file.
type Interface struct {
	Definitions []*Named // in the order of the file
	// Name is the name of the service, which is documentation only; often empty.
	Name string
	// Init holds the arguments of a service constructor, nil if the service is none.
	Init []ArgType
	// Service is a *ServiceType or a *Named of one; nil if the file has no service.
	Service Type
}

// ServiceType is the type of the service; ok is false if there is none.
func (i *Interface) ServiceType() (s *ServiceType, ok bool) {
	s, ok = Resolve(i.Service).(*ServiceType)
	return s, ok
}

// Definition is the type with the name; ok is false if it is not defined.
func (i *Interface) Definition(name string) (t *Named, ok bool) {
	for _, d := range i.Definitions {
		if d.Name == name {
			return d, true
		}
	}
	return nil, false
}

// String is the interface as a .did file, fields in the order of their ids.
func (i *Interface) String() string {
	p := typePrinter{room: 1 << 24, lines: true}
	for _, d := range i.Definitions {
		p.put("type " + d.Name + " = ")
		p.typ(d.Type)
		p.put(";\n")
	}
	if i.Service == nil {
		return string(p.b)
	}
	p.put("service ")
	if i.Name != "" {
		p.put(i.Name + " ")
	}
	p.put(": ")
	if i.Init != nil {
		p.args(i.Init)
		p.put(" -> ")
	}
	if s, ok := i.Service.(*ServiceType); ok {
		p.methods(s.Methods)
	} else {
		p.typ(i.Service)
	}
	p.put("\n")
	return string(p.b)
}

// maxNesting bounds how deep types and values nest in a text.
const maxNesting = 500

// ParseDid reads a .did file. It fails with a *SyntaxError that says where.
// Imports are refused: there is nowhere to import from.
func ParseDid(source string) (*Interface, error) {
	p := newTypeParser(source)
	var i Interface
	for p.err == nil && p.tok.kind != endToken && !p.isWord("service") {
		p.definition(&i)
	}
	if p.takeWord("service") {
		p.service(&i)
	}
	if p.tok.kind != endToken {
		p.unexpected("the end")
	}
	p.checkNames()
	if p.err != nil {
		return nil, p.err
	}
	return &i, nil
}

// ParseTypes reads a list of types in parentheses without names of types, such
// as "(record { text; opt nat }, blob)".
func ParseTypes(source string) ([]Type, error) {
	p := newTypeParser(source)
	args := p.args()
	if p.tok.kind != endToken {
		p.unexpected("the end")
	}
	p.checkNames()
	if p.err != nil {
		return nil, p.err
	}
	types := make([]Type, len(args))
	for i, a := range args {
		types[i] = a.Type
	}
	return types, nil
}

// typeParser reads types. Names may be used before they are defined.
type typeParser struct {
	lexer
	names map[string]*Named
	uses  []use
	depth int
}

// use is a place where a name must stand for a certain kind of type.
type use struct {
	at   int
	name *Named
	want string // "", "function" or "service"
}

func newTypeParser(source string) *typeParser {
	return &typeParser{lexer: *newLexer(source), names: map[string]*Named{}}
}

// definition reads "type name = type;" or refuses an import.
func (p *typeParser) definition(i *Interface) {
	switch at := p.tok.at; {
	case p.takeWord("import"):
		p.failAt(at, "imports are not supported: put the definitions into this text")
		return
	case !p.takeWord("type"):
		p.unexpected("'type' or 'service'")
		return
	}
	at := p.tok.at
	if p.tok.kind == nameToken && isKeyword(p.tok.text) {
		p.failAt(at, p.tok.text+" is a keyword")
	}
	n := p.reference("")
	p.need("=")
	t := p.typ()
	if p.err != nil {
		return
	}
	if n.Type != nil {
		p.failAt(at, "type "+n.Name+" is defined twice")
		return
	}
	n.Type = t
	i.Definitions = append(i.Definitions, n)
	// Published interfaces leave out the ';' before the service.
	if p.tok.kind != endToken && !p.isWord("service") {
		p.need(";")
	}
}

// service reads what follows "service".
func (p *typeParser) service(i *Interface) {
	if p.tok.kind == nameToken {
		i.Name = p.tok.text
		p.advance()
	}
	p.need(":")
	if p.is("(") {
		i.Init = p.args()
		p.need("->")
	}
	if p.is("{") {
		i.Service = p.methods()
	} else {
		i.Service = p.reference("service")
	}
	p.take(";")
}

// checkNames checks that the names that were used are defined, and as what they should be.
func (p *typeParser) checkNames() {
	for _, u := range p.uses {
		t := Resolve(u.name)
		ok := true
		switch u.want {
		case "function":
			_, ok = t.(*FuncType)
		case "service":
			_, ok = t.(*ServiceType)
		}
		switch {
		case u.name.Type == nil:
			p.failAt(u.at, "type "+u.name.Name+" is not defined")
		case t == nil:
			p.failAt(u.at, "type "+u.name.Name+" is only a name for itself")
		case !ok:
			p.failAt(u.at, "type "+u.name.Name+" is not a "+u.want)
		}
	}
}

// reference reads the name of a type, of the wanted kind if want is not empty.
func (p *typeParser) reference(want string) *Named {
	name := p.tok.text
	if p.tok.kind != nameToken {
		p.unexpected("a name")
		return &Named{}
	}
	n, ok := p.names[name]
	if !ok {
		n = &Named{Name: name}
		p.names[name] = n
	}
	p.uses = append(p.uses, use{p.tok.at, n, want})
	p.advance()
	return n
}

func (p *typeParser) typ() Type {
	if p.depth++; p.depth > maxNesting {
		p.failAt(p.tok.at, "types are nested too deep")
	}
	defer func() { p.depth-- }()
	if p.tok.kind != nameToken {
		p.unexpected("a type")
		return EmptyType
	}
	if t, ok := primitiveNamed(p.tok.text); ok {
		p.advance()
		return t
	}
	switch {
	case p.takeWord("blob"):
		return BlobType()
	case p.takeWord("opt"):
		return OptOf(p.typ())
	case p.takeWord("vec"):
		return VecOf(p.typ())
	case p.takeWord("record"):
		return &RecordType{p.fields(p.recordField)}
	case p.takeWord("variant"):
		return &VariantType{p.fields(p.variantField)}
	case p.takeWord("func"):
		return p.signature()
	case p.takeWord("service"):
		return p.methods()
	case isKeyword(p.tok.text):
		p.unexpected("a type")
		return EmptyType
	}
	return p.reference("")
}

// fields reads the fields of a record or variant in braces.
func (p *typeParser) fields(field func(next uint64) FieldType) []FieldType {
	var fields []FieldType
	at := p.tok.at
	next := uint64(0)
	p.need("{")
	for p.err == nil && !p.is("}") {
		f := field(next)
		next = uint64(f.ID) + 1
		fields = append(fields, f)
		if !p.is("}") {
			p.need(";")
		}
	}
	p.need("}")
	sorted, err := sortFields(fields)
	if err != nil {
		p.failAt(at, err.(*TypeError).Reason)
	}
	return sorted
}

// recordField reads "name : type", "number : type", or a type alone, which
// makes next the number of the field.
func (p *typeParser) recordField(next uint64) FieldType {
	if p.tok.kind != nameToken || p.followedBy(":") {
		f := p.fieldName()
		p.need(":")
		f.Type = p.typ()
		return f
	}
	if next > 1<<32-1 {
		p.failAt(p.tok.at, "field number "+strconv.FormatUint(next, 10)+" has more than 32 bits")
	}
	return FieldType{ID: uint32(next), Type: p.typ()}
}

// variantField reads "name : type", or a name alone, whose type is null.
func (p *typeParser) variantField(uint64) FieldType {
	f := p.fieldName()
	f.Type = NullType
	if p.take(":") {
		f.Type = p.typ()
	}
	return f
}

// fieldName reads the name or number of a field. The type is left out.
func (l *lexer) fieldName() FieldType {
	if l.tok.kind == numberToken {
		id, ok := numeral(l.tok.text).integer()
		if !ok || !isDigit(l.tok.text[0]) || id.BitLen() > 32 {
			l.failAt(l.tok.at, "field number "+l.tok.text+" is not a number of 32 bits")
			return FieldType{}
		}
		l.advance()
		return FieldType{ID: uint32(id.Uint64())}
	}
	return F(l.name(), nil)
}

// name reads a name: an identifier, or a text.
func (l *lexer) name() string {
	name := l.tok.text
	switch {
	case l.tok.kind != nameToken && l.tok.kind != textToken:
		l.unexpected("a name")
	case !utf8.ValidString(name):
		l.failAt(l.tok.at, "a name must be UTF-8")
	}
	l.advance()
	return name
}

// methods reads the methods of a service in braces.
func (p *typeParser) methods() *ServiceType {
	var methods []MethodType
	at := p.tok.at
	p.need("{")
	for p.err == nil && !p.is("}") {
		m := MethodType{Name: p.name()}
		p.need(":")
		if p.is("(") {
			m.Type = p.signature()
		} else {
			m.Type = p.reference("function")
		}
		methods = append(methods, m)
		if !p.is("}") {
			p.need(";")
		}
	}
	p.need("}")
	sorted, err := sortMethods(methods)
	if err != nil {
		p.failAt(at, err.(*TypeError).Reason)
	}
	return &ServiceType{sorted}
}

// signature reads "(arguments) -> (results) annotations".
func (p *typeParser) signature() *FuncType {
	at := p.tok.at
	f := &FuncType{Args: p.args()}
	p.need("->")
	f.Results = p.args()
	for p.err == nil && p.tok.kind == nameToken {
		found := false
		for i, name := range annotationNames() {
			if p.takeWord(name) {
				f.Annotations |= 1 << i
				found = true
			}
		}
		if !found {
			p.unexpected("query, composite_query, oneway or ';'")
		}
	}
	if f.Annotations&Oneway != 0 && len(f.Results) > 0 {
		p.failAt(at, "a oneway function has no results")
	}
	return f
}

// args reads arguments or results in parentheses; they are not nil.
func (p *typeParser) args() []ArgType {
	args := []ArgType{}
	seen := map[string]bool{}
	p.need("(")
	for p.err == nil && !p.is(")") {
		var a ArgType
		if p.tok.kind == textToken || p.followedBy(":") {
			at := p.tok.at
			a.Name = p.name()
			p.need(":")
			if seen[a.Name] {
				p.failAt(at, "two arguments are called "+quoteName(a.Name))
			}
			seen[a.Name] = true
		}
		a.Type = p.typ()
		args = append(args, a)
		if !p.is(")") {
			p.need(",")
		}
	}
	p.need(")")
	return args
}
