package lightclient

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
)

const (
	statusOK              = 200
	statusAccepted        = 202
	statusTooManyRequests = 429
	statusServerError     = 500
)

// An answer that may differ next time is asked for three times in all.
const (
	maxAttempts  = 3
	firstBackoff = 300 * time.Millisecond
)

// post sends an envelope and tries again while no answer comes or the network
// says that it is overloaded. Sending a call twice is safe: its request id is the same.
func (c *Client) post(ctx context.Context, path string, e *envelope.Envelope) (status int, body []byte, err error) {
	encoded := e.Append(nil)
	backoff := firstBackoff
	for attempt := 1; ; attempt++ {
		status, body, err = c.transport.Post(ctx, path, encoded)
		again := err != nil || status == statusTooManyRequests || status >= statusServerError
		if !again || attempt == maxAttempts || ctx.Err() != nil {
			break
		}
		if err := sleep(ctx, backoff); err != nil {
			return 0, nil, &TransportError{err}
		}
		backoff *= 2
	}
	if err != nil {
		return 0, nil, &TransportError{err}
	}
	return status, body, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	over := make(chan struct{})
	// A timer with a channel of its own would bring the runtime's settings and
	// metrics into the browser's program.
	t := time.AfterFunc(d, func() { close(over) })
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-over:
		return nil
	}
}

// maxStatusText bounds how much of a failed answer becomes part of an error.
const maxStatusText = 1024

func statusError(status int, body []byte) error {
	text := body[:min(len(body), maxStatusText)]
	return &StatusError{Status: status, Text: strings.ToValidUTF8(strings.TrimSpace(string(text)), string(utf8.RuneError))}
}

// A reply is the CBOR map that the network answers with; fields that are not
// there are zero.
type reply struct {
	status      string
	certificate []byte
	arg         []byte // reply.arg
	hasArg      bool
	reject      Reject
	hasReject   bool
	hasCode     bool // error_code
	signatures  []nodeSignature
}

func decodeReply(b []byte) (*reply, error) {
	d := cbor.NewDecoder(b)
	d.SkipSelfDescribe()
	r := &reply{}
	if err := eachField(d, func(key string) error { return r.field(d, key) }); err != nil {
		return nil, err
	}
	return r, d.End()
}

// eachField reads a map with text keys; read reads the value of one key.
func eachField(d *cbor.Decoder, read func(key string) error) error {
	n, err := d.Map()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := 0; d.More(i, n); i++ {
		key, err := d.Text()
		if err != nil {
			return err
		}
		if seen[key] {
			return errors.New("it has two fields " + key)
		}
		seen[key] = true
		if err := read(key); err != nil {
			return err
		}
	}
	return nil
}

func (r *reply) field(d *cbor.Decoder, key string) (err error) {
	switch key {
	case "status":
		r.status, err = d.Text()
	case "certificate":
		r.certificate, err = d.Bytes()
	case "reply":
		err = eachField(d, func(key string) error {
			if key != "arg" {
				return d.Skip()
			}
			var err error
			r.arg, err = d.Bytes()
			r.hasArg = err == nil
			return err
		})
	case "reject_code":
		var code uint64
		if code, err = d.Uint(); err == nil && (code == 0 || code > 255) {
			err = errors.New("its reject code is out of range")
		}
		r.reject.Code, r.hasReject = uint8(code), true
	case "reject_message":
		r.reject.Message, err = d.Text()
	case "error_code":
		r.reject.ErrorCode, err = d.Text()
		r.hasCode = true
	case "signatures":
		r.signatures, err = decodeSignatures(d)
	default:
		err = d.Skip()
	}
	return err
}

func decodeSignatures(d *cbor.Decoder) ([]nodeSignature, error) {
	n, err := d.Array()
	if err != nil {
		return nil, err
	}
	var out []nodeSignature
	for i := 0; d.More(i, n); i++ {
		var s nodeSignature
		err := eachField(d, func(key string) (err error) {
			switch key {
			case "timestamp":
				s.timestamp, err = d.Uint()
			case "signature":
				s.signature, err = d.Bytes()
			case "identity":
				s.identity, err = d.Bytes()
			default:
				err = d.Skip()
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
