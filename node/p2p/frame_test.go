package p2p

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"portico/lightclient/cbor"
	"portico/node/artifact"
	"portico/node/loop"
)

func sampleFrame() *frame {
	small, encoded := makeArtifact(artifact.Beacon, 7, 1, 100)
	large, _ := makeArtifact(artifact.Ingress, 1<<40, 2, 5000)
	return &frame{
		life: 1 << 60, yours: 17, hello: true, stream: Ingress,
		updates: []update{{slot: 1, commit: 9}, {slot: 2, commit: 10, id: large}, {slot: 29_999, commit: 1 << 40, id: small, encoded: encoded}},
		acks:    []ack{{0, 1}, {70_000, 1 << 33}},
		wants:   []artifact.ID{small, large},
		answers: []answer{{large, nil}, {small, encoded}},
	}
}

func TestFramesAreReadBack(t *testing.T) {
	for _, f := range []*frame{sampleFrame(), {life: 1}} {
		encoded := f.append(nil)
		got, err := decodeFrame(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.append(nil), encoded) || got.life != f.life || len(got.updates) != len(f.updates) || len(got.acks) != len(f.acks) {
			t.Errorf("%+v is read as %+v", f, got)
		}
		if !ours(encoded) {
			t.Error("a frame is not recognised")
		}
	}
}

func TestFramesStayWithinTheirOverheads(t *testing.T) {
	id, _ := makeArtifact(artifact.Ingress, 1<<63, 1, 8)
	body := make([]byte, 70_000)
	f := &frame{life: 1 << 63, yours: 1 << 63}
	for range maxItems {
		f.updates = append(f.updates, update{1<<32 - 1, 1 << 63, id, nil})
		f.acks = append(f.acks, ack{1<<32 - 1, 1 << 63})
		f.wants = append(f.wants, id)
	}
	f.updates[0].encoded = body
	f.answers = []answer{{id, body}}
	most := frameOverhead + itemOverhead*(2*maxItems+1) + ackBytes*maxItems + 2*len(body)
	if n := len(f.append(nil)); n > most {
		t.Errorf("%d bytes, %d were reckoned with", n, most)
	}
}

func TestDecodeFrameRefuses(t *testing.T) {
	good := sampleFrame().append(nil)
	lists := func(b ...byte) string {
		return string(append((&frame{life: 1}).append(nil)[:6], b...))
	}
	for name, c := range map[string]struct{ in, want string }{
		"nothing":                 {"", "input ends"},
		"a frame cut off":         {string(good[:len(good)-1]), "input ends"},
		"bytes after it":          {string(good) + "\x00", "bytes follow"},
		"another array":           {"\x80", "expected 9 items"},
		"another protocol":        {strings.Replace(string(good), "\x89\x01", "\x89\x00", 1), "expected protocol"},
		"a long number":           {strings.Replace(string(good), "\x89\x01", "\x89\x18\x01", 1), errNotCanonical.Error()},
		"no life":                 {string((&frame{}).append(nil)), "and a life"},
		"a third stream":          {string((&frame{life: 1, stream: 2}).append(nil)), "at most 1"},
		"a list without length":   {lists(0x9f, 0xff, 0x80, 0x80, 0x80), "at most 4096"},
		"half an acknowledgement": {lists(0x80, 0x81, 0x01, 0x80, 0x80), "not pairs"},
		"commit zero":             {lists(0x81, 0x82, 0x01, 0x00, 0x80, 0x80, 0x80), "begin with 1"},
		"a slot of 33 bits":       {lists(0x81, 0x82, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0, 0x01, 0x80, 0x80, 0x80), "32 bits"},
		"an answer of nothing":    {lists(0x80, 0x80, 0x80, 0x81, 0x80), "found none"},
		"a long list":             {lists(append([]byte{0x99, 0x10, 0x01}, make([]byte, 5000)...)...), "at most 4096"},
		"a large frame":           {strings.Repeat("x", loop.MaxFrameBytes+1), "bytes: at most"},
	} {
		if _, err := decodeFrame([]byte(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestUpdatesStayOnTheirChannel(t *testing.T) {
	f := sampleFrame()
	if f.allowedOn(loop.Ingress) != nil || f.allowedOn(loop.Consensus) == nil || f.allowedOn(loop.Bulk) == nil {
		t.Error("a frame with updates belongs on its stream's channel alone")
	}
	answer := &frame{stream: Consensus, answers: f.answers}
	if answer.allowedOn(loop.Bulk) != nil || answer.allowedOn(loop.Ingress) == nil {
		t.Error("answers travel on their stream's channel or in bulk")
	}
}

func FuzzDecodeFrame(f *testing.F) {
	f.Add(sampleFrame().append(nil))
	f.Add((&frame{life: 1}).append(nil))
	f.Add(cbor.AppendArray(nil, frameItems))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := decodeFrame(in)
		if err != nil {
			if errors.Is(err, errNotCanonical) && len(in) > 0 && got != nil {
				t.Fatal("a refused frame was returned")
			}
			return
		}
		if out := got.append(nil); !bytes.Equal(out, in) {
			t.Fatalf("%x is read as %x", in, out)
		}
	})
}
