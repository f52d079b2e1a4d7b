package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A View is an entry as a request wants it.
type View struct {
	Status int
	Fields []Field
	Body   []byte // nil if none is sent
	// Range and Length are headers of this view alone, "" for none.
	Range, Length string
}

// View finds out what to send to a GET or HEAD request with the given headers: the
// answer, a range of it, or that it has not changed (RFC 9110, 13 and 14). Of
// several ranges at once it sends the whole.
func (e *Entry) View(method string, header http.Header) View {
	v := View{Status: e.Status, Fields: e.Fields, Body: e.Body}
	if e.Status == http.StatusOK {
		if unchanged(header, e.tag, e.modified) {
			return View{Status: http.StatusNotModified, Fields: e.unchanged}
		}
		if e.ranges && method == http.MethodGet && len(header["Range"]) > 0 && e.rangeHolds(header) {
			v = e.part(v, header["Range"][0])
		}
	}
	if method == http.MethodHead {
		v.Body = nil
	}
	return v
}

// unchanged evaluates If-None-Match, or else If-Modified-Since, for content with an
// entity tag and a date, either of which may be missing.
func unchanged(header http.Header, tag string, modified time.Time) bool {
	if values := header["If-None-Match"]; len(values) > 0 {
		return tag != "" && matches(values, tag)
	}
	since := header["If-Modified-Since"]
	if len(since) == 0 || modified.IsZero() {
		return false
	}
	at, err := http.ParseTime(since[0])
	return err == nil && !modified.After(at)
}

// matches reports whether lists of entity tags have one, by weak comparison.
func matches(lists []string, tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	for _, rest := range lists {
		for {
			rest = strings.TrimLeft(rest, " \t,")
			if rest == "" {
				break
			}
			if rest[0] == '*' {
				return true
			}
			rest = strings.TrimPrefix(rest, "W/")
			end := strings.IndexByte(rest[min(1, len(rest)):], '"')
			if rest == "" || rest[0] != '"' || end < 0 {
				break // no list of tags
			}
			if rest[:end+2] == tag {
				return true
			}
			rest = rest[end+2:]
		}
	}
	return false
}

// rangeHolds evaluates If-Range: a range of other content would be of no use. The
// tags must be strong.
func (e *Entry) rangeHolds(header http.Header) bool {
	values := header["If-Range"]
	if len(values) == 0 {
		return true
	}
	if strings.HasPrefix(values[0], `"`) {
		return values[0] == e.tag
	}
	at, err := http.ParseTime(values[0])
	return err == nil && !e.modified.IsZero() && e.modified.Equal(at)
}

// part is the view of one range of bytes. What is not a single range counts as none.
func (e *Entry) part(whole View, value string) View {
	first, end, kind := parseRange(value, len(e.Body))
	size := strconv.Itoa(len(e.Body))
	switch kind {
	case oneRange:
		return View{
			Status: http.StatusPartialContent, Fields: e.partial, Body: e.Body[first:end],
			Range: "bytes " + strconv.Itoa(first) + "-" + strconv.Itoa(end-1) + "/" + size, Length: strconv.Itoa(end - first),
		}
	case outside:
		return View{Status: http.StatusRequestedRangeNotSatisfiable, Fields: e.unchanged, Range: "bytes */" + size, Length: "0"}
	default:
		return whole
	}
}

type rangeKind uint8

const (
	noRange rangeKind = iota
	oneRange
	outside // there is no such byte
)

// parseRange reads a Range header for content of a size: the first byte and the
// one behind the last.
func parseRange(value string, size int) (first, end int, kind rangeKind) {
	spec, ok := strings.CutPrefix(value, "bytes=")
	from, to, ok2 := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || !ok2 || strings.ContainsRune(spec, ',') {
		return 0, 0, noRange
	}
	if from == "" { // the last bytes
		n, err := strconv.ParseUint(to, 10, 62)
		switch {
		case err != nil:
			return 0, 0, noRange
		case n == 0:
			return 0, 0, outside
		}
		return size - int(min(n, uint64(size))), size, oneRange
	}
	f, err := strconv.ParseUint(from, 10, 62)
	if err != nil {
		return 0, 0, noRange
	}
	last := uint64(size) - 1
	if to != "" {
		l, err := strconv.ParseUint(to, 10, 62)
		if err != nil || l < f {
			return 0, 0, noRange
		}
		last = min(last, l)
	}
	if f >= uint64(size) {
		return 0, 0, outside
	}
	return int(f), int(last) + 1, oneRange
}
