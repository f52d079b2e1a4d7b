package candid

import (
	"strconv"
	"unicode/utf8"

	"portico/lightclient/leb128"
)

// Opcodes of the binary format.
const (
	opOpt     = -18
	opVec     = -19
	opRecord  = -20
	opVariant = -21
	opFunc    = -22
	opService = -23
	// opLowest is the lowest opcode that has a meaning; those below announce
	// future types.
	opLowest = -24
)

// maxTableParts bounds the types, fields, arguments and methods of a type
// table together, and so the memory it takes, at about 4 MB. The largest
// published interface has some 4,000.
const maxTableParts = 1 << 16

// tableRef stands for an entry of the type table until all entries are read.
type tableRef uint32

func (tableRef) candidType() {}

// header reads the magic number, the type table and the types of the arguments.
func (d *decoder) header() ([]Type, error) {
	const magic = "DIDL"
	if len(d.buf) < len(magic) || string(d.buf[:len(magic)]) != magic {
		return nil, d.malformed("a message starts with DIDL")
	}
	d.pos = len(magic)
	n, err := d.count(2, "type table")
	if err != nil {
		return nil, err
	}
	d.table = make([]Type, n)
	for i := range d.table {
		if d.table[i], err = d.tableEntry(); err != nil {
			return nil, err
		}
	}
	if err := d.link(); err != nil {
		return nil, err
	}
	if n, err = d.count(1, "argument list"); err != nil {
		return nil, err
	}
	args := make([]Type, n)
	for i := range args {
		t, err := d.typeRef()
		if err != nil {
			return nil, err
		}
		args[i] = d.linked(t)
	}
	return args, nil
}

// tableEntry reads one type of the type table.
func (d *decoder) tableEntry() (Type, error) {
	start := d.pos
	op, err := d.sleb()
	if err != nil {
		return nil, err
	}
	switch {
	case op == opOpt:
		elem, err := d.typeRef()
		return &OptType{elem}, err
	case op == opVec:
		elem, err := d.typeRef()
		return &VecType{elem}, err
	case op == opRecord:
		fields, err := d.fieldTypes()
		return &RecordType{fields}, err
	case op == opVariant:
		fields, err := d.fieldTypes()
		return &VariantType{fields}, err
	case op == opFunc:
		return d.funcType()
	case op == opService:
		return d.serviceType()
	case op < opLowest:
		n, err := d.leb()
		if err == nil {
			_, err = d.bytes(n)
		}
		return &FutureType{op}, err
	}
	d.pos = start
	return nil, d.malformed("opcode " + strconv.FormatInt(op, 10) + " cannot be an entry of the type table")
}

func (d *decoder) fieldTypes() ([]FieldType, error) {
	n, err := d.count(2, "field list")
	if err != nil {
		return nil, err
	}
	fields := make([]FieldType, n)
	for i := range fields {
		start := d.pos
		id, err := d.leb()
		if err != nil {
			return nil, err
		}
		if id > 1<<32-1 || i > 0 && uint32(id) <= fields[i-1].ID {
			d.pos = start
			return nil, d.malformed("field id " + strconv.FormatUint(id, 10) + " is out of order or has more than 32 bits")
		}
		fields[i].ID = uint32(id)
		if fields[i].Type, err = d.typeRef(); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func (d *decoder) funcType() (*FuncType, error) {
	var f FuncType
	var err error
	if f.Args, err = d.argTypes(); err != nil {
		return nil, err
	}
	if f.Results, err = d.argTypes(); err != nil {
		return nil, err
	}
	n, err := d.count(1, "annotation list")
	if err != nil {
		return nil, err
	}
	for range n {
		c := d.buf[d.pos]
		if c < 1 || c > 3 {
			return nil, d.malformed("unknown function annotation " + strconv.Itoa(int(c)))
		}
		f.Annotations |= 1 << (c - 1)
		d.pos++
	}
	return &f, nil
}

func (d *decoder) argTypes() ([]ArgType, error) {
	n, err := d.count(1, "argument types")
	if err != nil {
		return nil, err
	}
	args := make([]ArgType, n)
	for i := range args {
		if args[i].Type, err = d.typeRef(); err != nil {
			return nil, err
		}
	}
	return args, nil
}

func (d *decoder) serviceType() (*ServiceType, error) {
	n, err := d.count(2, "method list")
	if err != nil {
		return nil, err
	}
	methods := make([]MethodType, n)
	for i := range methods {
		start := d.pos
		name, err := d.text()
		if err != nil {
			return nil, err
		}
		if i > 0 && string(name) <= methods[i-1].Name {
			d.pos = start
			return nil, d.malformed("method " + quoteName(string(name)) + " is out of order")
		}
		methods[i].Name = string(name)
		if methods[i].Type, err = d.typeRef(); err != nil {
			return nil, err
		}
	}
	return &ServiceType{methods}, nil
}

// typeRef reads a reference to a type: a primitive, or an entry of the table.
func (d *decoder) typeRef() (Type, error) {
	start := d.pos
	n, err := d.sleb()
	switch {
	case err != nil:
		return nil, err
	case n >= 0 && n < int64(len(d.table)):
		return tableRef(n), nil
	case n < 0 && n >= -int64(EmptyType), n == -int64(PrincipalType):
		return Prim(-n), nil
	}
	d.pos = start
	return nil, d.malformed("type " + strconv.FormatInt(n, 10) + " is neither primitive nor one of the " +
		strconv.Itoa(len(d.table)) + " in the table")
}

// link replaces the references between the entries of the table by the entries.
func (d *decoder) link() error {
	for _, t := range d.table {
		switch t := t.(type) {
		case *OptType:
			t.Elem = d.linked(t.Elem)
		case *VecType:
			t.Elem = d.linked(t.Elem)
		case *RecordType:
			d.linkFields(t.Fields)
		case *VariantType:
			d.linkFields(t.Fields)
		case *FuncType:
			for i := range t.Args {
				t.Args[i].Type = d.linked(t.Args[i].Type)
			}
			for i := range t.Results {
				t.Results[i].Type = d.linked(t.Results[i].Type)
			}
		case *ServiceType:
			for i := range t.Methods {
				f, ok := d.linked(t.Methods[i].Type).(*FuncType)
				if !ok {
					return d.malformed("method " + quoteName(t.Methods[i].Name) + " is not a function")
				}
				t.Methods[i].Type = f
			}
		case *FutureType:
		default:
			panic("candid: a type table cannot hold " + Short(t))
		}
	}
	return nil
}

func (d *decoder) linkFields(fields []FieldType) {
	for i := range fields {
		fields[i].Type = d.linked(fields[i].Type)
	}
}

func (d *decoder) linked(t Type) Type {
	if r, ok := t.(tableRef); ok {
		return d.table[r]
	}
	return t
}

// count reads how many things of at least minSize bytes follow, and checks that
// the message is long enough for them and the header not too large.
func (d *decoder) count(minSize int, what string) (int, error) {
	start := d.pos
	n, err := d.leb()
	if err != nil {
		return 0, err
	}
	if n > uint64(d.rest()/minSize) {
		d.pos = start
		return 0, d.malformed(what + " of length " + strconv.FormatUint(n, 10) + " is longer than the message")
	}
	if d.parts += int(n); d.parts > maxTableParts {
		return 0, &LimitError{start, "more than " + strconv.Itoa(maxTableParts) + " types, fields and arguments are declared"}
	}
	return int(n), nil
}

func (d *decoder) rest() int { return len(d.buf) - d.pos }

func (d *decoder) leb() (uint64, error) {
	v, n, err := leb128.Uint64(d.buf[d.pos:])
	if err != nil {
		return 0, d.malformed(err.Error())
	}
	d.pos += n
	return v, nil
}

func (d *decoder) sleb() (int64, error) {
	v, n, err := leb128.Int64(d.buf[d.pos:])
	if err != nil {
		return 0, d.malformed(err.Error())
	}
	d.pos += n
	return v, nil
}

// bytes reads n bytes without copying them.
func (d *decoder) bytes(n uint64) ([]byte, error) {
	if n > uint64(d.rest()) {
		return nil, d.malformed("message ends: " + strconv.FormatUint(n, 10) + " more bytes are announced, " +
			strconv.Itoa(d.rest()) + " are left")
	}
	b := d.buf[d.pos : d.pos+int(n) : d.pos+int(n)]
	d.pos += int(n)
	return b, nil
}

// text reads a length and as many bytes of UTF-8, without copying them.
func (d *decoder) text() ([]byte, error) {
	n, err := d.leb()
	if err != nil {
		return nil, err
	}
	start := d.pos
	b, err := d.bytes(n)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(b) {
		d.pos = start
		return nil, d.malformed("text is not UTF-8")
	}
	return b, nil
}

func (d *decoder) malformed(reason string) error { return &MalformedError{d.pos, reason} }
