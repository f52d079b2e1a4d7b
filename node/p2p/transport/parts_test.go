package transport

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"

	"portico/node/loop"

	"pgregory.net/rapid"
)

func TestACertificateIsItsKeysAndAlwaysTheSame(t *testing.T) {
	m := newMember(t, 3)
	again, err := Certificate(m.key)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, m.record.Certificate) {
		t.Error("two certificates of one key differ")
	}
	c, err := x509.ParseCertificate(again)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		t.Error(err)
	}
	if c.Subject.CommonName != m.record.ID.String() || c.NotBefore.Year() != 1970 || c.NotAfter.Year() != 9999 {
		t.Errorf("subject %v, from %v to %v", c.Subject, c.NotBefore, c.NotAfter)
	}
}

func TestAQueueIsItsNewestFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maxFrames, maxBytes := rapid.IntRange(1, 8).Draw(t, "frames"), rapid.IntRange(20, 100).Draw(t, "bytes")
		q := &queue{maxFrames: maxFrames, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
		q.start()
		var model [][]byte
		size := func() (n int) {
			for _, f := range model {
				n += len(f)
			}
			return n
		}
		for i := range byte(200) {
			if rapid.Bool().Draw(t, "take") {
				frame, ok := q.take()
				if ok != (len(model) > 0) || ok && !bytes.Equal(frame, model[0]) {
					t.Fatalf("took %x, the oldest of %x was wanted", frame, model)
				}
				model = model[min(1, len(model)):]
				continue
			}
			frame := bytes.Repeat([]byte{i}, rapid.IntRange(0, 20).Draw(t, "length"))
			model = append(model, frame)
			lost := 0
			for len(model) > maxFrames || size() > maxBytes {
				model = model[1:]
				lost++
			}
			if dropped, ok := q.put(frame); !ok || dropped != lost {
				t.Fatalf("dropped %d frames, want %d", dropped, lost)
			}
			if len(q.wake) != 1 {
				t.Fatal("nobody is woken")
			}
			if frames, bytes := q.length(); frames != len(model) || bytes != size() {
				t.Fatalf("%d frames of %d bytes wait, want %d of %d", frames, bytes, len(model), size())
			}
			if cap(q.frames) > 8*maxFrames {
				t.Fatalf("room for %d frames where %d may wait", cap(q.frames), maxFrames)
			}
		}
		if left := q.stop(); left != len(model) {
			t.Fatalf("%d frames were left, want %d", left, len(model))
		}
		if _, ok := q.put(nil); ok {
			t.Fatal("a stopped queue takes frames")
		}
	})
}

func TestABucketFillsWithTime(t *testing.T) {
	b := newBucket(2, 3)
	at := time.Unix(1000, 0)
	for i, c := range []struct {
		later time.Duration
		want  bool
	}{{0, true}, {0, true}, {0, true}, {0, false}, {500 * time.Millisecond, true}, {0, false}, {time.Hour, true}, {0, true}, {0, true}, {0, false}} {
		at = at.Add(c.later)
		if b.take(at) != c.want {
			t.Errorf("take %d is %v", i, !c.want)
		}
	}
}

func FuzzAPathHasOneReading(f *testing.F) {
	f.Add(target(loop.Bulk, sessionID{1, 2, 3}))
	f.Add("/consensus/000102030405060708090A0B0C0D0E0F")
	f.Add("//")
	f.Fuzz(func(t *testing.T, path string) {
		ch, id, err := parseTarget(path)
		if err == nil && target(ch, id) != path {
			t.Errorf("%q was read as %q", path, target(ch, id))
		}
	})
}
