// Package reason puts errors into words without package fmt, which together with
// the reflection that it needs would be a tenth of the browser's program.
package reason

import "unicode/utf8"

// Wrap is the error "what: err"; errors.Is and errors.AsType find err in it.
func Wrap(what string, err error) error { return &wrapped{what, err} }

type wrapped struct {
	what string
	err  error
}

func (w *wrapped) Error() string { return w.what + ": " + w.err.Error() }

func (w *wrapped) Unwrap() error { return w.err }

const digits = "0123456789abcdef"

// Hex is b in lower-case hexadecimal.
func Hex(b []byte) string {
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// Quote puts s between quotes. Quotes, backslashes, control characters and bytes that
// are not UTF-8 are escaped.
func Quote(s string) string {
	out := append(make([]byte, 0, len(s)+2), '"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', s[i])
		case r < ' ' || r == 0x7f || r == utf8.RuneError && n == 1:
			out = append(out, '\\', 'x', digits[s[i]>>4], digits[s[i]&15])
		default:
			out = append(out, s[i:i+n]...)
		}
		i += n
	}
	return string(append(out, '"'))
}
