package lightclient

import (
	"errors"
	"strconv"
	"strings"

	"portico/lightclient/asset"
	"portico/lightclient/candid"
	"portico/lightclient/principal"
)

// certificateVersion is the version of certification that canisters are asked for.
const certificateVersion = 2

func headersType() candid.Type {
	return candid.VecOf(candid.TupleOf(candid.TextType, candid.TextType))
}

// encodeRequest makes the argument of http_request or, without the version, of
// http_request_update.
func encodeRequest(r *asset.Request, version bool) ([]byte, error) {
	headers := make(candid.Vec, len(r.Headers))
	for i, h := range r.Headers {
		headers[i] = candid.Record{{ID: 0, Value: candid.Text(h.Name)}, {ID: 1, Value: candid.Text(h.Value)}}
	}
	types := []candid.FieldType{
		candid.F("method", candid.TextType), candid.F("url", candid.TextType),
		candid.F("headers", headersType()), candid.F("body", candid.BlobType()),
	}
	values := map[uint32]candid.Value{
		candid.Hash("method"): candid.Text(r.Method), candid.Hash("url"): candid.Text(r.URL),
		candid.Hash("headers"): headers, candid.Hash("body"): candid.Blob(r.Body),
	}
	if version {
		types = append(types, candid.F("certificate_version", candid.OptOf(candid.Nat16Type)))
		values[candid.Hash("certificate_version")] = candid.Opt{Value: candid.Nat16(certificateVersion)}
	}
	t := candid.RecordOf(types...)
	record := make(candid.Record, len(t.Fields))
	for i, f := range t.Fields {
		record[i] = candid.Field{ID: f.ID, Value: values[f.ID]}
	}
	return candid.Encode([]candid.Type{t}, []candid.Value{record})
}

// A response is an HTTP response as the canister gave it.
type response struct {
	asset.Response
	upgrade bool
	next    *callback // nil if the body is complete
}

// A callback gives the next part of a body. Its token is of whatever type the
// canister chose, and goes back as it came.
type callback struct {
	service principal.ID
	method  string
	token   candid.Typed
}

func decodeResponse(b []byte) (*response, error) {
	values, err := candid.Decode(b, candid.RecordOf(
		candid.F("status_code", candid.Nat16Type),
		candid.F("headers", headersType()),
		candid.F("body", candid.BlobType()),
		candid.F("upgrade", candid.OptOf(candid.BoolType)),
		candid.F("streaming_strategy", candid.OptOf(candid.VariantOf(
			candid.F("Callback", candid.RecordOf(candid.F("callback", candid.AnyType), candid.F("token", candid.AnyType))),
		))),
	))
	if err != nil {
		return nil, err
	}
	record := values[0].(candid.Record)
	r := &response{}
	r.Status = uint16(record.Get("status_code").(candid.Nat16))
	r.Body = record.Get("body").(candid.Blob)
	for _, h := range record.Get("headers").(candid.Vec) {
		pair := h.(candid.Record)
		r.Headers = append(r.Headers, asset.Header{Name: string(pair.At(0).(candid.Text)), Value: string(pair.At(1).(candid.Text))})
	}
	upgrade, _ := record.Get("upgrade").(candid.Opt).Value.(candid.Bool)
	r.upgrade = bool(upgrade)
	if strategy, ok := record.Get("streaming_strategy").(candid.Opt).Value.(candid.Variant); ok {
		if r.next, err = decodeCallback(strategy.Value.(candid.Record)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func decodeCallback(r candid.Record) (*callback, error) {
	f, ok := r.Get("callback").(candid.Typed).Value.(candid.Func)
	if !ok {
		return nil, errors.New("its streaming callback is not a function")
	}
	return &callback{service: f.Service, method: f.Method, token: r.Get("token").(candid.Typed)}, nil
}

func (c *callback) encodeToken() ([]byte, error) {
	return candid.Encode([]candid.Type{c.token.Type}, []candid.Value{c.token.Value})
}

// with is the callback for the next token, or nil if there is none.
func (c *callback) with(token *candid.Typed) *callback {
	if token == nil {
		return nil
	}
	return &callback{service: c.service, method: c.method, token: *token}
}

func decodeChunk(b []byte) (body []byte, token *candid.Typed, err error) {
	values, err := candid.Decode(b, candid.RecordOf(
		candid.F("body", candid.BlobType()),
		candid.F("token", candid.OptOf(candid.AnyType)),
	))
	if err != nil {
		return nil, nil, err
	}
	record := values[0].(candid.Record)
	if t, ok := record.Get("token").(candid.Opt).Value.(candid.Typed); ok {
		token = &t
	}
	return record.Get("body").(candid.Blob), token, nil
}

// check refuses what would not be a response for a browser, or would be several.
func (r *response) check() error {
	if r.Status < 200 || r.Status > 599 {
		return errors.New("its status is " + strconv.Itoa(int(r.Status)))
	}
	for _, h := range r.Headers {
		if h.Name == "" || strings.ContainsFunc(h.Name, func(c rune) bool { return !isToken(c) }) {
			return errors.New("it has a header called " + strconv.Quote(h.Name))
		}
		if strings.ContainsAny(h.Value, "\r\n\x00") {
			return errors.New("its header " + h.Name + " contains a line break")
		}
	}
	return nil
}

// isToken reports whether names of headers may contain c (RFC 9110, 5.6.2).
func isToken(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || (c < 0x80 && strings.ContainsRune("!#$%&'*+-.^_`|~", c))
}
