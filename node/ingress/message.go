// Package ingress holds users' calls between their acceptance by a node and their
// block: what a block carries of them, and the pool in which they wait.
package ingress

import (
	"crypto/sha256"
	"fmt"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/artifact"
	"portico/node/messaging"
	"portico/node/state"
	"portico/node/types"
)

// Message is an ingress message as blocks and peers carry it.
type Message struct {
	// Envelope is the signed request as it was received.
	Envelope []byte
	// Effective is the canister that the request concerns, from its URL.
	Effective principal.ID
}

// Append appends the message's CBOR: [envelope, effective].
func (m Message) Append(b []byte) []byte {
	b = cbor.AppendArray(b, 2)
	return cbor.AppendBytes(cbor.AppendBytes(b, m.Envelope), m.Effective.Bytes())
}

// Decode reads what Append wrote.
func Decode(d *cbor.Decoder) (Message, error) {
	at := d.Offset()
	if n, err := d.Array(); err != nil {
		return Message{}, err
	} else if n != 2 {
		return Message{}, fmt.Errorf("ingress message at offset %d: expected 2 items, found %d", at, n)
	}
	raw, err := d.Bytes()
	if err != nil {
		return Message{}, err
	}
	id, err := d.Bytes()
	if err != nil {
		return Message{}, err
	}
	effective, err := principal.FromBytes(id)
	return Message{raw, effective}, err
}

// A Call is a message whose envelope was decoded. Who made it has checked, or has yet
// to check, its signature.
type Call struct {
	Message
	ID       artifact.ID
	Envelope *envelope.Envelope
	Encoded  []byte // what Append makes of Message
}

// Open decodes a message's envelope.
func Open(m Message) (*Call, error) {
	e, err := envelope.Decode(m.Envelope)
	if err != nil {
		return nil, err
	}
	if e.Request.Kind != envelope.Call {
		return nil, fmt.Errorf("ingress message %x is a %s, not a call", e.RequestID, e.Request.Kind)
	}
	c := &Call{Message: m, Envelope: e, Encoded: m.Append(nil)}
	if len(c.Encoded) > MaxBlockBytes {
		// it would be in the way of all others: blocks take the oldest first
		return nil, fmt.Errorf("ingress message %x has %d bytes: a block carries at most %d", e.RequestID, len(c.Encoded), MaxBlockBytes)
	}
	c.ID = artifact.ID{Kind: artifact.Ingress, Height: expiryHeight(c.Expiry()), Hash: sha256.Sum256(c.Encoded)}
	return c, nil
}

// OpenEncoded decodes what a peer or the disk calls the ingress message id.
func OpenEncoded(id artifact.ID, encoded []byte) (*Call, error) {
	d := cbor.NewDecoder(encoded)
	m, err := Decode(d)
	if err == nil {
		err = d.End()
	}
	if err != nil {
		return nil, fmt.Errorf("ingress message: %w", err)
	}
	c, err := Open(m)
	if err != nil {
		return nil, err
	}
	if c.ID != id {
		return nil, fmt.Errorf("ingress message %s was sent as %s", c.ID, id)
	}
	return c, nil
}

// expiryHeight is the second in which a message expires: what stands for the height
// in the ids of ingress messages.
func expiryHeight(t types.Time) types.Height { return types.Height(t / 1e9) }

// RequestID is the id by which users know the call.
func (c *Call) RequestID() types.RequestID { return c.Envelope.RequestID }

// Expiry is when the call can no longer be executed.
func (c *Call) Expiry() types.Time { return types.Time(c.Envelope.Request.IngressExpiry) }

// Batched is the call as message routing takes it in. Its signature was checked before it
// was put into a block.
func (c *Call) Batched() *messaging.Ingress {
	r := &c.Envelope.Request
	in := &messaging.Ingress{
		ID: c.RequestID(), Expiry: c.Expiry(), Bytes: len(c.Message.Envelope),
		Request: state.Request{
			Origin:   state.Origin{Kind: state.FromUser, Sender: r.Sender, Request: c.RequestID()},
			Receiver: r.Canister, Method: r.Method, Arg: r.Arg, Effective: c.Effective,
		},
	}
	if r.SenderInfo != nil {
		in.Request.CallerInfo, in.Request.CallerSigner = r.SenderInfo.Info, r.SenderInfo.Signer
	}
	return in
}
