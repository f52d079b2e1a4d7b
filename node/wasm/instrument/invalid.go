package instrument

import "fmt"

// Invalid says why a module can never be installed: what is wrong, where, and what
// would be right.
type Invalid struct{ Reason string }

func (e *Invalid) Error() string { return "invalid WebAssembly module: " + e.Reason }

func invalidf(format string, args ...any) error {
	return &Invalid{Reason: fmt.Sprintf(format, args...)}
}
