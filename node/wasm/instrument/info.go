package instrument

// ValueType is the type of a WebAssembly value.
type ValueType uint8

// The types of values. Ptr stands in signatures of host functions only: it is I64
// in a module whose memory is 64-bit, I32 in any other.
const (
	I32 ValueType = iota + 1
	I64
	F32
	F64
	V128
	FuncRef
	ExternRef
	Ptr
)

// String is the type's name as the WebAssembly text format spells it.
func (t ValueType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	case Ptr:
		return "ptr"
	}
	return "unknown"
}

// Info is what the network has to know about a module.
type Info struct {
	Memory64  bool // pointers of the system API are 64-bit
	HasMemory bool
	// MinPages and MaxPages bound the memory, in 64 KiB pages; at most 65,535.
	MinPages, MaxPages uint64

	Methods []Method
	Hooks
	Custom []CustomSection

	// Globals are the mutable globals whose values outlive a call, GlobalInit their
	// first values as raw bits. A v128 global is two entries of type I64.
	Globals    []ValueType
	GlobalInit []uint64

	// Data are the active data segments in the order in which they are to be
	// written; each lies within MinPages. Instances start without them.
	Data []DataSegment

	// TableMutating is set if the code may change a table, or drop or consume a
	// passive segment: state that survives a call but cannot be read or restored.
	TableMutating bool
	// HasCallbacks is set if table 0 holds functions.
	HasCallbacks bool
}

// Hooks tells which system entry points a module has.
type Hooks struct {
	Start, Init, PreUpgrade, PostUpgrade, InspectMessage, Heartbeat, GlobalTimer, OnLowWasmMemory bool
}

// MethodKind says how a method may be called.
type MethodKind uint8

// The kinds of methods.
const (
	UpdateMethod MethodKind = iota + 1
	QueryMethod
	CompositeQueryMethod
)

// Method is a public method: an export `canister_update <name>`,
// `canister_query <name>` or `canister_composite_query <name>`.
type Method struct {
	Kind MethodKind
	Name string
}

// Export is the name under which the module exports the method.
func (m Method) Export() string {
	switch m.Kind {
	case UpdateMethod:
		return updatePrefix + m.Name
	case QueryMethod:
		return queryPrefix + m.Name
	case CompositeQueryMethod:
		return compositePrefix + m.Name
	default:
		panic("instrument: method without a kind")
	}
}

const (
	updatePrefix    = "canister_update "
	queryPrefix     = "canister_query "
	compositePrefix = "canister_composite_query "
)

// CustomSection is a section `icp:public <name>` or `icp:private <name>`.
type CustomSection struct {
	Name    string
	Public  bool
	Content []byte
}

// DataSegment is content of the initial memory; Offset is in bytes.
type DataSegment struct {
	Offset uint64
	Bytes  []byte
}
