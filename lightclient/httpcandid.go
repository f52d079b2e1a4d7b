package lightclient

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"portico/lightclient/asset"
	"portico/lightclient/leb128"
	"portico/lightclient/principal"
	"portico/lightclient/reason"
)

// certificateVersion is the version of certification that canisters are asked for.
const certificateVersion = 2

// Candid's ids of the fields and cases of the gateway protocol.
const (
	idURL                = 5843823
	idMethod             = 156956385
	idBody               = 1092319906
	idHeaders            = 1661489734
	idCertificateVersion = 1661892784
	idStatusCode         = 3475804314
	idUpgrade            = 1664201884
	idStreamingStrategy  = 3427158832
	idCallbackCase       = 1488475621
	idCallback           = 2131139013
	idToken              = 338395897
)

// encodeRequest makes the argument of http_request or, without the version, of
// http_request_update. It refuses text that is not UTF-8.
func encodeRequest(r *asset.Request, version bool) ([]byte, error) {
	const record, headers, blob, number, pair = 0, 1, 2, 3, 4
	b := append(make([]byte, 0, 256+len(r.URL)+len(r.Body)), "DIDL"...)
	ref := func(op ...int64) {
		for _, o := range op {
			b = leb128.AppendInt(b, o)
		}
	}
	field := func(id uint64, t int64) { b = leb128.AppendInt(leb128.AppendUint(b, id), t) }
	fields := uint64(4)
	if version {
		fields = 5
	}
	b = leb128.AppendUint(b, pair+1)
	ref(wireRecord)
	b = leb128.AppendUint(b, fields)
	field(idURL, wireText)
	field(idMethod, wireText)
	field(idBody, blob)
	field(idHeaders, headers)
	if version {
		field(idCertificateVersion, number)
	}
	ref(wireVec, pair, wireVec, wireNat8, wireOpt, wireNat16, wireRecord)
	b = leb128.AppendUint(b, 2)
	field(0, wireText)
	field(1, wireText)
	b = leb128.AppendUint(b, 1)
	ref(record)

	valid := true
	text := func(s string) {
		valid = valid && utf8.ValidString(s)
		b = append(leb128.AppendUint(b, uint64(len(s))), s...)
	}
	text(r.URL)
	text(r.Method)
	b = append(leb128.AppendUint(b, uint64(len(r.Body))), r.Body...)
	b = leb128.AppendUint(b, uint64(len(r.Headers)))
	for _, h := range r.Headers {
		text(h.Name)
		text(h.Value)
	}
	if version {
		b = append(b, 1, certificateVersion, 0)
	}
	if !valid {
		return nil, errors.New("the request has text that is not UTF-8")
	}
	return b, nil
}

// A response is an HTTP response as the canister gave it.
type response struct {
	asset.Response
	upgrade bool
	next    *callback // nil if the body is complete
}

// A callback gives the next part of a body.
type callback struct {
	service principal.ID
	method  string
	token   []byte // the argument, with its type, as the canister chose and sent it
}

// decodeResponse reads what http_request returns. The body aliases b.
func decodeResponse(b []byte) (*response, error) {
	r := &response{}
	var status, headers, body bool
	err := eachWireField(b, func(w *wire, f wireField) (err error) {
		switch f.id {
		case idStatusCode:
			if status = f.t == wireNat16; !status {
				break
			}
			var c []byte
			if c, err = w.take(2); err == nil {
				r.Status = uint16(c[0]) | uint16(c[1])<<8
			}
			return err
		case idHeaders:
			if headers, err = w.headers(f.t, &r.Headers); headers || err != nil {
				return err
			}
		case idBody:
			if body, err = w.blob(f.t, &r.Body); body || err != nil {
				return err
			}
		case idUpgrade:
			return w.optional(f.t, func(t wireType) (bool, error) {
				if t != wireBool {
					return false, nil
				}
				r.upgrade, err = w.bool()
				return true, err
			})
		case idStreamingStrategy:
			return w.optional(f.t, func(t wireType) (fits bool, err error) {
				r.next, fits, err = w.strategy(t)
				return fits, err
			})
		default:
			return w.skip(f.t)
		}
		return w.malformed("a field of the response has a wrong type")
	})
	if err == nil && !(status && headers && body) {
		err = errors.New("candid: the response lacks status_code, headers or body")
	}
	return r, err
}

// decodeChunk reads what a streaming callback returns; the token is nil after the
// last chunk. The body aliases b.
func decodeChunk(b []byte) (body, token []byte, err error) {
	hasBody := false
	err = eachWireField(b, func(w *wire, f wireField) (err error) {
		switch f.id {
		case idBody:
			if hasBody, err = w.blob(f.t, &body); err == nil && !hasBody {
				err = w.malformed("the body is no blob")
			}
			return err
		case idToken:
			return w.optional(f.t, func(t wireType) (bool, error) {
				token, err = w.keep(t)
				return true, err
			})
		default:
			return w.skip(f.t)
		}
	})
	if err == nil && !hasBody {
		err = errors.New("candid: the chunk has no body")
	}
	return body, token, err
}

// eachWireField reads a message whose first argument is a record; read reads a field.
func eachWireField(b []byte, read func(w *wire, f wireField) error) error {
	w, err := readWire(b)
	if err != nil {
		return err
	}
	if len(w.args) == 0 || w.op(w.args[0]) != wireRecord {
		return errors.New("candid: the message does not hold a record")
	}
	for _, f := range w.table[w.args[0]].fields {
		if err := w.enter(); err != nil {
			return err
		}
		if err := read(w, f); err != nil {
			return err
		}
		w.leave()
	}
	return w.end()
}

// blob reads bytes; fits tells whether t has any.
func (w *wire) blob(t wireType, out *[]byte) (fits bool, err error) {
	if w.op(t) != wireVec {
		return false, nil
	}
	elem := w.table[t].elem
	n, err := w.length(elem)
	if err != nil || n > 0 && elem != wireNat8 {
		return false, err
	}
	*out, err = w.take(uint64(n))
	return true, err
}

// headers reads a vector of pairs of text.
func (w *wire) headers(t wireType, out *[]asset.Header) (fits bool, err error) {
	if w.op(t) != wireVec {
		return false, nil
	}
	elem := w.table[t].elem
	n, err := w.length(elem)
	if err != nil || n == 0 {
		return true, err
	}
	if w.op(elem) != wireRecord {
		return false, nil
	}
	for range n {
		if err := w.enter(); err != nil {
			return false, err
		}
		var h asset.Header
		texts := 0
		for _, f := range w.table[elem].fields {
			switch {
			case f.id == 0 && f.t == wireText:
				h.Name, err = w.text()
				texts++
			case f.id == 1 && f.t == wireText:
				h.Value, err = w.text()
				texts++
			default:
				err = w.skip(f.t)
			}
			if err != nil {
				return false, err
			}
		}
		if texts != 2 {
			return false, nil
		}
		*out = append(*out, h)
		w.leave()
	}
	return true, nil
}

// strategy reads variant { Callback : record { callback : func; token : any } }.
func (w *wire) strategy(t wireType) (c *callback, fits bool, err error) {
	if w.op(t) != wireVariant {
		return nil, false, nil
	}
	chosen, err := w.variant(t)
	if err != nil || chosen.id != idCallbackCase || w.op(chosen.t) != wireRecord {
		return nil, false, err
	}
	c = &callback{token: []byte("DIDL\x00\x01\x70")} // of type reserved, if there is none
	isFunction := false
	for _, f := range w.table[chosen.t].fields {
		switch {
		case f.id == idCallback && w.op(f.t) == wireFunc:
			c.service, c.method, err = w.method()
			isFunction = true
		case f.id == idToken:
			c.token, err = w.keep(f.t)
		default:
			err = w.skip(f.t)
		}
		if err != nil {
			return nil, false, err
		}
	}
	if !isFunction {
		return nil, false, errors.New("its streaming callback is not a function")
	}
	return c, true, nil
}

// keep makes a message of its own of the next value.
func (w *wire) keep(t wireType) ([]byte, error) {
	start := w.at
	if err := w.skip(t); err != nil {
		return nil, err
	}
	head := append([]byte{}, w.b[:w.until]...)
	head = leb128.AppendInt(leb128.AppendUint(head, 1), int64(t))
	return append(head, w.b[start:w.at]...), nil
}

// check refuses what would not be a response for a browser, or would be several.
func (r *response) check() error {
	if r.Status < 200 || r.Status > 599 {
		return errors.New("its status is " + strconv.Itoa(int(r.Status)))
	}
	for _, h := range r.Headers {
		if !isToken(h.Name) {
			return errors.New("it has a header called " + reason.Quote(h.Name))
		}
		if strings.IndexByte(h.Value, '\r') >= 0 || strings.IndexByte(h.Value, '\n') >= 0 || strings.IndexByte(h.Value, 0) >= 0 {
			return errors.New("its header " + h.Name + " contains a line break")
		}
	}
	return nil
}

// isToken reports whether a header may have the name (RFC 9110, 5.6.2).
func isToken(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}
