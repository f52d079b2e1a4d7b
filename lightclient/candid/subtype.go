package candid

// Subtype reports whether values of type a can be used where type b is wanted:
// a service of type a can replace one of type b (Candid specification,
// "Upgrading and Subtyping"). Types nested deeper than 5,000 levels are no
// subtypes of each other.
func Subtype(a, b Type) bool {
	var s subtyping
	ok, err := s.check(a, b, &decoder{work: 1 << 24, depth: defaultDepth})
	return ok && err == nil
}

// subtyping remembers the questions that were asked.
type subtyping struct {
	known map[[2]Type]bool
}

// check answers whether a is a subtype of b; d bounds what it takes.
func (s *subtyping) check(a, b Type, d *decoder) (bool, error) {
	a, b = Resolve(a), Resolve(b)
	if a == b {
		return true, nil
	}
	if ok, asked := s.known[[2]Type{a, b}]; asked {
		return ok, nil
	}
	// Types are coinductive: what is being asked is assumed. Every rule is a
	// conjunction, so that a single no makes the whole answer no, and the
	// assumptions made on the way are void.
	c := comparison{assumed: map[[2]Type]struct{}{}, d: d}
	ok := c.sub(a, b)
	if c.err != nil {
		return false, c.err
	}
	if s.known == nil {
		s.known = map[[2]Type]bool{}
	}
	if ok {
		for pair := range c.assumed {
			s.known[pair] = true
		}
	}
	s.known[[2]Type{a, b}] = ok
	return ok, nil
}

// comparison is the state of answering one question.
type comparison struct {
	assumed map[[2]Type]struct{}
	d       *decoder
	err     error // the first limit that was hit
}

func (c *comparison) sub(a, b Type) bool {
	a, b = Resolve(a), Resolve(b)
	if a == nil || b == nil || c.err != nil {
		return false
	}
	if a == b || a == EmptyType || b == ReservedType || b == AnyType {
		return true
	}
	if _, ok := b.(*OptType); ok {
		return true // what does not fit reads as null
	}
	if _, ok := c.assumed[[2]Type{a, b}]; ok {
		return true
	}
	if c.err = c.d.charge(1); c.err != nil {
		return false
	}
	if c.d.depth--; c.d.depth < 0 {
		c.err = c.d.tooDeep()
		return false
	}
	c.assumed[[2]Type{a, b}] = struct{}{}
	ok := c.structure(a, b)
	c.d.depth++
	return ok
}

// structure compares types that are neither the same nor an option.
func (c *comparison) structure(a, b Type) bool {
	switch b := b.(type) {
	case Prim:
		switch a := a.(type) {
		case Prim:
			return a == NatType && b == IntType
		case *ServiceType:
			return b == PrincipalType
		case *FuncType:
			return b == AnyFuncType
		}
	case *VecType:
		if a, ok := a.(*VecType); ok {
			return c.sub(a.Elem, b.Elem)
		}
	case *RecordType:
		if a, ok := a.(*RecordType); ok {
			return c.records(a.Fields, b.Fields)
		}
	case *VariantType:
		if a, ok := a.(*VariantType); ok {
			return c.variants(a.Fields, b.Fields)
		}
	case *FuncType:
		if a, ok := a.(*FuncType); ok {
			return a.Annotations == b.Annotations && c.tuples(b.Args, a.Args) && c.tuples(a.Results, b.Results)
		}
	case *ServiceType:
		if a, ok := a.(*ServiceType); ok {
			return c.services(a, b)
		}
	case *FutureType:
	default:
		panic("candid: no rule for a subtype of " + Short(b))
	}
	return false
}

func (c *comparison) records(a, b []FieldType) bool {
	for i := range b {
		if f, ok := findField(a, b[i].ID); ok {
			if !c.sub(f.Type, b[i].Type) {
				return false
			}
		} else if !mayBeAbsent(b[i].Type) {
			return false
		}
	}
	return true
}

func (c *comparison) variants(a, b []FieldType) bool {
	for i := range a {
		f, ok := findField(b, a[i].ID)
		if !ok || !c.sub(a[i].Type, f.Type) {
			return false
		}
	}
	return true
}

func (c *comparison) tuples(a, b []ArgType) bool {
	for i := range b {
		if i < len(a) {
			if !c.sub(a[i].Type, b[i].Type) {
				return false
			}
		} else if !mayBeAbsent(b[i].Type) {
			return false
		}
	}
	return true
}

func (c *comparison) services(a, b *ServiceType) bool {
	for _, m := range b.Methods {
		f, ok := a.Method(m.Name)
		if !ok || !c.sub(f, m.Type) {
			return false
		}
	}
	return true
}

// mayBeAbsent reports whether a field or argument of type t need not be sent.
func mayBeAbsent(t Type) bool {
	switch t := Resolve(t).(type) {
	case Prim:
		return t == NullType || t == ReservedType || t == AnyType
	case *OptType:
		return true
	}
	return false
}
