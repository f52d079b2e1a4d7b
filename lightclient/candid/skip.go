package candid

import "strconv"

// skip reads a value of the wire type w and checks it, without keeping it.
func (d *decoder) skip(w Type) error {
	if err := d.charge(1); err != nil {
		return err
	}
	if d.depth--; d.depth < 0 {
		return d.tooDeep()
	}
	err := d.skipAnyDepth(w)
	d.depth++
	return err
}

func (d *decoder) skipAnyDepth(w Type) error {
	switch w := w.(type) {
	case Prim:
		return d.skipPrim(w)
	case *OptType:
		some, err := d.bool()
		if err != nil || !some {
			return err
		}
		return d.skip(w.Elem)
	case *VecType:
		return d.skipVec(w)
	case *RecordType:
		for i := range w.Fields {
			if err := d.skip(w.Fields[i].Type); err != nil {
				return err
			}
		}
		return nil
	case *VariantType:
		sent, err := d.tag(w)
		if err != nil {
			return err
		}
		return d.skip(sent.Type)
	case *FuncType:
		_, err := d.funcRef()
		return err
	case *ServiceType:
		_, err := d.principal()
		return err
	case *FutureType:
		return d.skipFuture()
	default:
		panic("candid: " + Short(w) + " cannot be on the wire")
	}
}

func (d *decoder) skipPrim(w Prim) error {
	switch w {
	case NullType, ReservedType:
		return nil
	case EmptyType:
		return d.malformed("there is no value of type empty")
	case BoolType:
		_, err := d.bool()
		return err
	case NatType, IntType:
		_, err := d.digits()
		return err
	case TextType:
		_, err := d.text()
		return err
	case PrincipalType:
		_, err := d.principal()
		return err
	}
	_, err := d.bytes(uint64(w.size()))
	return err
}

func (d *decoder) skipVec(w *VecType) error {
	n, err := d.length(w.Elem)
	if err != nil {
		return err
	}
	if p, ok := w.Elem.(Prim); ok && p.size() != 0 {
		_, err := d.bytes(uint64(n) * uint64(p.size()))
		return err
	}
	for range n {
		if err := d.skip(w.Elem); err != nil {
			return err
		}
	}
	return nil
}

// skipFuture reads a value of a future type: its length, the number of its
// references, and its bytes.
func (d *decoder) skipFuture() error {
	n, err := d.leb()
	if err != nil {
		return err
	}
	refs, err := d.leb()
	if err != nil {
		return err
	}
	if refs != 0 {
		return d.malformed(strconv.FormatUint(refs, 10) + " references: messages of the Internet Computer have none")
	}
	_, err = d.bytes(n)
	return err
}
