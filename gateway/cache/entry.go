package cache

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"portico/lightclient"
	"portico/lightclient/asset"
)

// A Field is a header with its values; the name is in the form of net/http.
type Field struct {
	Name   string
	Values []string
}

// An Entry is an answer that has come whole, as it is sent. It is not modified;
// the slices of its fields may be put into headers as they are.
type Entry struct {
	Status int
	Fields []Field
	Body   []byte
	Report asset.Report

	unchanged []Field // of the answer 304
	partial   []Field // of 206 and 416
	tag       string  // entity tag, "" for none
	modified  time.Time
	ranges    bool // parts of the body may be sent

	fetched, certified time.Time
	cost               time.Duration // of fetching it
	expires            time.Time     // until then it is fresh
	renewable          time.Time     // until then it may be given while it is renewed
	keep               time.Time     // until then it may be given if it cannot be renewed
	vary               []string
	public             bool // answers requests with Authorization, too
	shareable          bool // answers others than the one who asked
	retryAt            atomic.Int64
}

const (
	// certificateLifetime is how long after its certificate's time an answer is
	// fresh at most: as long as it would be believed if it came now.
	certificateLifetime = 5 * time.Minute
	// maxHeaderBytes bounds the headers of an answer. Certificates of large sites
	// have some 20 kB; clients take 64 to 256 kB in all.
	maxHeaderBytes = 128 << 10
)

// shareable reports whether an answer may be given to others than the one who
// asked (RFC 9111, 3).
func shareable(resp *lightclient.HTTPResponse) bool {
	switch resp.Report.Scope {
	case asset.ScopeBody:
		if resp.Status != http.StatusOK {
			return false // nobody certified the status
		}
	case asset.ScopeResponse, asset.ScopeFull:
	default:
		return false
	}
	for _, h := range resp.Headers {
		switch {
		case strings.EqualFold(h.Name, "set-cookie"):
			return false
		case strings.EqualFold(h.Name, "vary") && strings.Contains(h.Value, "*"):
			return false
		case strings.EqualFold(h.Name, "cache-control"):
			if c := parseControl([]string{h.Value}); c.noStore || c.private {
				return false
			}
		}
	}
	return resp.Status < http.StatusInternalServerError
}

// newEntry makes an entry of a response; if the body is not whole, for one request only. The error is
// a *lightclient.ResponseError.
func newEntry(resp *lightclient.HTTPResponse, accept Accept, now time.Time, cfg *Config) (*Entry, error) {
	fields, size := fieldsOf(resp.Headers)
	if size > maxHeaderBytes {
		return nil, &lightclient.ResponseError{
			Canister: resp.Report.Canister,
			Err:      errors.New("its headers have " + strconv.Itoa(size) + " bytes; at most " + strconv.Itoa(maxHeaderBytes) + " are passed on"),
		}
	}
	e := &Entry{Status: int(resp.Status), Fields: fields, Body: resp.Body, Report: resp.Report, fetched: now, shareable: shareable(resp)}
	ctl := parseControl(valuesIn(fields, "Cache-Control"))
	e.public = ctl.public || ctl.mustRevalidate || ctl.sharedMaxAge >= 0
	e.expire(&ctl, now, cfg)
	e.setVary()
	whole := resp.Next == nil
	e.shareable = e.shareable && whole
	e.setTag(whole)
	if whole && !ctl.noTransform {
		e.encode(accept)
	}
	e.finish(whole)
	return e, nil
}

// expire sets how long the entry is fresh and how long it is good for more.
func (e *Entry) expire(ctl *control, now time.Time, cfg *Config) {
	e.certified = e.Report.Time
	limit := e.certified.Add(certificateLifetime)
	lifetime, given := ctl.lifetime(e.Fields, now)
	if !given && heuristic(e.Status) {
		lifetime = cfg.Lifetime
	}
	if ctl.noCache {
		lifetime = 0
	}
	e.expires = earlier(now.Add(lifetime), limit)
	e.renewable, e.keep = e.expires, e.expires
	// Without a time of its own the certificate says nothing of age, and version 1
	// leaves unsaid what is no longer so.
	strict := ctl.noCache || ctl.mustRevalidate || e.Report.Scope == asset.ScopeBody
	if strict {
		return
	}
	if ctl.whileRevalidate > 0 {
		e.renewable = earlier(e.expires.Add(ctl.whileRevalidate), limit)
	}
	switch end := e.certified.Add(cfg.StaleFor); {
	case ctl.ifError >= 0:
		e.keep = earlier(e.expires.Add(ctl.ifError), end)
	case ctl.sharedMaxAge < 0: // which implies proxy-revalidate (RFC 9111, 5.2.2.10)
		e.keep = end
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// storable reports whether keeping the entry is of use.
func (e *Entry) storable(maxBytes int) bool {
	useful := e.expires.After(e.fetched) || e.keep.After(e.fetched)
	return e.shareable && useful && len(e.Body) <= maxBytes
}

// setVary finds the headers of requests that the answer depends on: those that the
// canister names, and those that are certified with it. What a client accepts
// as an encoding is part of every key.
func (e *Entry) setVary() {
	for _, v := range valuesIn(e.Fields, "Vary") {
		for name := range strings.SplitSeq(v, ",") {
			e.addVary(name)
		}
	}
	if e.Report.Scope == asset.ScopeFull {
		x, err := asset.ParseExpression(e.Report.Expression)
		if err != nil {
			e.shareable = false
			return
		}
		for _, name := range x.RequestHeaders {
			e.addVary(name)
		}
	}
	slices.Sort(e.vary)
	e.vary = slices.Compact(e.vary)
}

func (e *Entry) addVary(name string) {
	name = http.CanonicalHeaderKey(strings.TrimSpace(name))
	if name != "" && name != "Accept-Encoding" && name != "Host" {
		e.vary = append(e.vary, name)
	}
}

// valuesOf is what a request says in some headers.
func valuesOf(header http.Header, names []string) string {
	var b strings.Builder
	for _, name := range names {
		for _, v := range header[name] {
			b.WriteString(v)
			b.WriteByte(0)
		}
		b.WriteByte(1)
	}
	return b.String()
}

// setTag sets the entity tag: the canister's, or else one of the body's hash, if that is whole.
func (e *Entry) setTag(whole bool) {
	if e.modified, _ = http.ParseTime(valueOf(e.Fields, "Last-Modified")); e.Report.Scope == asset.ScopeBody {
		// A tag or a date that nobody certified must not keep old content alive.
		e.modified = time.Time{}
		e.remove("Etag", "Last-Modified")
	}
	e.tag = valueOf(e.Fields, "Etag")
	if whole && e.tag == "" && e.Status == http.StatusOK && len(e.Body) > 0 {
		sum := sha256.Sum256(e.Body)
		e.tag = `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`
		e.set("Etag", e.tag)
	}
}

// finish derives what is sent from what is known.
func (e *Entry) finish(whole bool) {
	if whole {
		e.ranges = e.Status == http.StatusOK && len(e.Body) > 0 && !strings.HasPrefix(e.tag, "W/")
		e.remove("Content-Length", "Accept-Ranges")
	}
	if e.ranges {
		e.set("Accept-Ranges", "bytes")
	}
	for _, f := range e.Fields {
		switch f.Name {
		case "Cache-Control", "Content-Location", "Date", "Etag", "Expires", "Vary", "Last-Modified":
			e.unchanged = append(e.unchanged, f)
		default:
			if strings.HasPrefix(f.Name, "Access-Control-") {
				e.unchanged = append(e.unchanged, f)
			}
		}
	}
	e.partial = slices.Clone(e.Fields)
	if whole && e.Status != http.StatusNoContent && e.Status != http.StatusNotModified {
		e.set("Content-Length", strconv.Itoa(len(e.Body)))
	}
}

func (e *Entry) set(name, value string) {
	e.remove(name)
	e.Fields = append(e.Fields, Field{name, []string{value}})
}

func (e *Entry) remove(names ...string) {
	e.Fields = slices.DeleteFunc(e.Fields, func(f Field) bool { return slices.Contains(names, f.Name) })
}

// bytes is what the entry takes in memory, roughly.
func (e *Entry) bytes() int {
	const perField = 64 // its slices, in up to three lists
	n := cap(e.Body) + len(e.Report.Expression)
	for _, f := range e.Fields {
		n += perField + len(f.Name)
		for _, v := range f.Values {
			n += len(v)
		}
	}
	return n
}

// fieldsOf gathers the headers that are passed on, in their order, and counts
// their bytes.
func fieldsOf(headers []asset.Header) (fields []Field, size int) {
	at := map[string]int{}
	for _, h := range headers {
		name := http.CanonicalHeaderKey(h.Name)
		if ofConnection(name) {
			continue
		}
		size += len(name) + len(h.Value)
		i, ok := at[name]
		if !ok {
			i = len(fields)
			at[name] = i
			fields = append(fields, Field{Name: name})
		}
		fields[i].Values = append(fields[i].Values, h.Value)
	}
	return fields, size
}

// ofConnection reports whether a header is the gateway's to set: it speaks of one
// connection only (RFC 9110, 7.6.1), of the cache, or of the request.
func ofConnection(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Age", "Cache-Status", StaleHeader, "X-Request-Id", "X-Ic-Canister-Id":
		return true
	default:
		return false
	}
}

// StaleHeader marks answers that are not fresh any more: it has the age of their
// certificate in seconds.
const StaleHeader = "X-Portico-Stale"

func valuesIn(fields []Field, name string) []string {
	for _, f := range fields {
		if f.Name == name {
			return f.Values
		}
	}
	return nil
}

func valueOf(fields []Field, name string) string {
	if v := valuesIn(fields, name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// lengthOf is what a response says of its length, -1 if nothing.
func lengthOf(resp *lightclient.HTTPResponse) int {
	for _, h := range resp.Headers {
		if strings.EqualFold(h.Name, "content-length") {
			if n, err := strconv.Atoi(h.Value); err == nil && n >= 0 {
				return n
			}
		}
	}
	return -1
}
