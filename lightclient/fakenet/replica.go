package fakenet

import (
	"context"
	"crypto/ed25519"
	"slices"
	"strings"
	"sync"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/leb128"
	"portico/lightclient/principal"
)

// Replica answers requests of clients on behalf of a network, with the keys of
// its subnet and node. It is a transport for clients and counts what it is asked.
type Replica struct {
	Net *Network
	Now func() time.Time
	// Answer gives the outcome of a call or query.
	Answer func(r *envelope.Request) Outcome
	// State has the entries that read_state reveals besides nodes, time and calls.
	State []Entry
	// Accept makes calls be answered with status 202 and this many read_state
	// requests that find them in process.
	Accept int
	// Tamper, if set, may change an answer.
	Tamper func(path string, status int, body []byte) (int, []byte, error)

	mu       sync.Mutex
	counts   map[string]int
	calls    map[[32]byte]Outcome
	accepted int
}

// Outcome is a reply or, if Code is not 0, a reject.
type Outcome struct {
	Reply     []byte
	Code      uint8
	Message   string
	ErrorCode string
}

// Count is how many requests ended with a word: "query", "call" or "read_state".
func (r *Replica) Count(word string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[word]
}

// Post answers a request.
func (r *Replica) Post(_ context.Context, path string, body []byte) (int, []byte, error) {
	status, reply := r.post(path, body)
	if r.Tamper != nil {
		return r.Tamper(path, status, reply)
	}
	return status, reply, nil
}

func (r *Replica) post(path string, body []byte) (int, []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts, r.calls = map[string]int{}, map[[32]byte]Outcome{}
	}
	word := path[strings.LastIndexByte(path, '/')+1:]
	r.counts[word]++
	e, err := envelope.Decode(body)
	if err != nil {
		return 400, []byte(err.Error())
	}
	switch word {
	case "query":
		return 200, r.query(e)
	case "call":
		o := r.Answer(&e.Request)
		r.calls[e.RequestID] = o
		if r.Accept > 0 {
			r.accepted = r.Accept
			return 202, nil
		}
		return 200, reply("replied", "certificate", cbor.Bytes(r.certify(r.request(e.RequestID, o)...)))
	case "read_state":
		return 200, reply("", "certificate", cbor.Bytes(r.readState(e)))
	default:
		return 404, nil
	}
}

func (r *Replica) query(e *envelope.Envelope) []byte {
	o := r.Answer(&e.Request)
	m := &cbor.Map{}
	if o.Code == 0 {
		arg := &cbor.Map{}
		arg.Set("arg", cbor.Bytes(o.Reply))
		m.Set("status", cbor.Text("replied"))
		m.Set("reply", arg)
	} else {
		m.Set("status", cbor.Text("rejected"))
		m.Set("reject_code", cbor.NatOf(uint64(o.Code)))
		m.Set("reject_message", cbor.Text(o.Message))
		if o.ErrorCode != "" {
			m.Set("error_code", cbor.Text(o.ErrorCode))
		}
	}
	at := cbor.NatOf(uint64(r.Now().UnixNano()))
	signed := &cbor.Map{}
	for i, k := range m.Keys {
		signed.Set(k, m.Values[i])
	}
	signed.Set("timestamp", at)
	signed.Set("request_id", cbor.Bytes(e.RequestID[:]))
	h, err := envelope.HashOfMap(signed)
	if err != nil {
		panic(err) // all fields have hashes
	}
	s := &cbor.Map{}
	s.Set("timestamp", at)
	s.Set("signature", cbor.Bytes(ed25519.Sign(r.Net.Node, envelope.ResponseSignedBytes(h))))
	s.Set("identity", cbor.Bytes(r.Net.NodeID().Bytes()))
	m.Set("signatures", cbor.Array{s})
	return cbor.AppendValue(cbor.AppendSelfDescribe(nil), m)
}

func (r *Replica) readState(e *envelope.Envelope) []byte {
	entries := slices.Clone(r.State)
	for _, p := range e.Request.Paths {
		switch string(p[0]) {
		case "subnet":
			entries = append(entries, E(r.Net.NodeKey(), "subnet", r.Net.SubnetID().Raw(), "node", r.Net.NodeID().Raw(), "public_key"))
		case "request_status":
			id := [32]byte(p[1])
			o, ok := r.calls[id]
			switch {
			case !ok:
			case r.accepted > 0:
				r.accepted--
				entries = append(entries, E([]byte("processing"), "request_status", string(id[:]), "status"))
			default:
				entries = append(entries, r.request(id, o)...)
			}
		}
	}
	return r.certify(entries...)
}

// request is the state of a call with an outcome.
func (r *Replica) request(id [32]byte, o Outcome) []Entry {
	e := func(value, name string) Entry { return E([]byte(value), "request_status", string(id[:]), name) }
	if o.Code == 0 {
		return []Entry{e("replied", "status"), e(string(o.Reply), "reply")}
	}
	out := []Entry{e("rejected", "status"), e(string(leb128.AppendUint(nil, uint64(o.Code))), "reject_code"), e(o.Message, "reject_message")}
	if o.ErrorCode != "" {
		out = append(out, e(o.ErrorCode, "error_code"))
	}
	return out
}

// Forget loses a call that was accepted.
func (r *Replica) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.calls)
}

func (r *Replica) certify(entries ...Entry) []byte { return r.Net.Certify(r.Now(), entries...) }

func reply(status, key string, value cbor.Value) []byte {
	m := &cbor.Map{}
	if status != "" {
		m.Set("status", cbor.Text(status))
	}
	m.Set(key, value)
	return cbor.AppendValue(cbor.AppendSelfDescribe(nil), m)
}

// CanisterEntry is a value below a canister in the state tree.
func CanisterEntry(id principal.ID, value []byte, path ...string) Entry {
	return E(value, append([]string{"canister", id.Raw()}, path...)...)
}
