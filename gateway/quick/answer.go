package quick

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An answer is a response as it goes over the wire, all of it in memory.
type answer struct {
	header http.Header
	status int
	body   []byte
	wire   []byte
	date   string
	second int64
}

func (a *answer) reset() {
	clear(a.header)
	a.status, a.body = 0, a.body[:0]
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, b...)
	return len(b), nil
}

// bytes is the whole answer. Its length is that of the body that was written, whatever the
// handler said of it.
func (a *answer) bytes() []byte {
	a.WriteHeader(http.StatusOK)
	w := append(a.wire[:0], "HTTP/1.1 "...)
	w = strconv.AppendInt(w, int64(a.status), 10)
	w = append(w, ' ')
	w = append(w, http.StatusText(a.status)...)
	w = append(w, "\r\n"...)
	for name, values := range a.header {
		if name == "Content-Length" || name == "Date" && len(values) == 0 {
			continue
		}
		for _, v := range values {
			if strings.ContainsAny(v, "\r\n") {
				continue // net/http would make blanks of them
			}
			w = append(append(append(append(w, name...), ": "...), v...), "\r\n"...)
		}
	}
	if len(a.header["Date"]) == 0 {
		w = append(append(append(w, "Date: "...), a.now()...), "\r\n"...)
	}
	if a.status != http.StatusNotModified && a.status != http.StatusNoContent {
		w = append(w, "Content-Length: "...)
		w = strconv.AppendInt(w, int64(len(a.body)), 10)
		w = append(w, "\r\n"...)
	}
	w = append(w, "\r\n"...)
	a.wire = append(w, a.body...)
	return a.wire
}

// now is the time for the Date header, made once a second.
func (a *answer) now() string {
	now := time.Now()
	if s := now.Unix(); s != a.second {
		a.second, a.date = s, now.UTC().Format(http.TimeFormat)
	}
	return a.date
}
