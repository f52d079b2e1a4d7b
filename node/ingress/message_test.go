package ingress

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/artifact"
	"portico/node/types"
)

// signed is a message whose argument has some length.
func signed(t testing.TB, kind envelope.Kind, bytes int) Message {
	t.Helper()
	r := envelope.Request{Kind: kind, IngressExpiry: uint64(now.Add(time.Minute)), Canister: principal.Canister(0), Method: "add", Arg: make([]byte, bytes)}
	e, err := envelope.Anonymous{}.Sign(r)
	if err != nil {
		t.Fatal(err)
	}
	return Message{Envelope: e.Append(nil), Effective: principal.Canister(7)}
}

func TestCallsAreReadAsTheyWereWritten(t *testing.T) {
	c, err := Open(signed(t, envelope.Call, 100))
	if err != nil {
		t.Fatal(err)
	}
	if c.ID.Kind != artifact.Ingress || c.ID.Height != types.Height(now/1e9)+60 {
		t.Errorf("id %v", c.ID)
	}
	again, err := OpenEncoded(c.ID, c.Encoded)
	if err != nil || !bytes.Equal(again.Encoded, c.Encoded) || again.ID != c.ID || again.Effective != c.Effective {
		t.Errorf("%+v, %v", again, err)
	}
	in := c.Batched()
	if in.ID != c.RequestID() || in.Expiry != c.Expiry() || in.Request.Method != "add" || in.Request.Effective != principal.Canister(7) ||
		in.Request.Receiver != principal.Canister(0) || in.Bytes != len(c.Message.Envelope) {
		t.Errorf("batched: %+v", in)
	}
}

func TestWhatIsNoCallIsRefusedWithTheReason(t *testing.T) {
	call, err := Open(signed(t, envelope.Call, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(signed(t, envelope.Query, 1)); err == nil || !strings.Contains(err.Error(), "not a call") {
		t.Errorf("a query: %v", err)
	}
	if _, err := Open(signed(t, envelope.Call, MaxBlockBytes)); err == nil || !strings.Contains(err.Error(), "a block carries at most 4194304") {
		t.Errorf("a call that fits into no block: %v", err)
	}
	other := call.ID
	other.Height++
	for _, x := range []struct {
		id      artifact.ID
		encoded []byte
		want    string
	}{
		{other, call.Encoded, "was sent as"},
		{call.ID, append(bytes.Clone(call.Encoded), 0), "follow"},
		{call.ID, call.Encoded[:len(call.Encoded)-1], "ends inside"},
		{call.ID, append(cbor.AppendArray(nil, 3), 0, 0, 0), "expected 2 items, found 3"},
		{call.ID, cbor.AppendBytes(cbor.AppendBytes(cbor.AppendArray(nil, 2), nil), make([]byte, 30)), "principal"},
	} {
		if _, err := OpenEncoded(x.id, x.encoded); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%v, want %q", err, x.want)
		}
	}
}

func FuzzOpenEncoded(f *testing.F) {
	m := signed(f, envelope.Call, 10)
	f.Add(m.Append(nil))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		d := cbor.NewDecoder(encoded)
		m, err := Decode(d)
		if err != nil || d.End() != nil {
			return
		}
		c, err := Open(m)
		if err != nil {
			return
		}
		again, err := OpenEncoded(c.ID, c.Encoded)
		if err != nil || !bytes.Equal(again.Encoded, c.Encoded) {
			t.Fatalf("what was written is not read: %v", err)
		}
		if _, err := OpenEncoded(c.ID, encoded); (err == nil) != bytes.Equal(encoded, c.Encoded) {
			t.Errorf("read %x, which is not the %x that is written: %v", encoded, c.Encoded, err)
		}
	})
}
