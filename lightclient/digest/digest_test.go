package digest

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"pgregory.net/rapid"
)

func TestOwnDigestIsThatOfTheStandardLibrary(t *testing.T) {
	for n := range 4 * blockLen { // every length of the last block
		b := bytes.Repeat([]byte{byte(n)}, n)
		if sum(start256, b) != sha256.Sum256(b) {
			t.Fatalf("SHA-256 of %d bytes differs", n)
		}
		h := sum(start224, b)
		if [28]byte(h[:28]) != sha256.Sum224(b) {
			t.Fatalf("SHA-224 of %d bytes differs", n)
		}
	}
}

func TestPartsAreDigestedAsOne(t *testing.T) {
	part := rapid.SliceOfN(rapid.Byte(), 0, 3*blockLen)
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(part, 0, 5).Draw(t, "parts")
		want := sha256.Sum256(bytes.Join(parts, nil))
		if sum(start256, parts...) != want {
			t.Fatal("the own digest of the parts is not that of the whole")
		}
		if Of(parts...) != want {
			t.Fatal("Of the parts is not the digest of the whole")
		}
	})
}

func BenchmarkOwnDigest(b *testing.B) {
	in := make([]byte, 64<<10)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		sum(start256, in)
	}
}

func TestBytesThatComeOneAfterTheOtherAreDigestedAsOne(t *testing.T) {
	b := make([]byte, 1000)
	for i := range b {
		b[i] = byte(i)
	}
	for size := 1; size <= 200; size += 13 {
		h, own := New(), running{s: start256}
		for at := 0; at < len(b); at += size {
			part := b[at:min(at+size, len(b))]
			h.Add(part)
			own.write(part)
		}
		want := Sum256(b)
		if got := h.Sum(); got != want {
			t.Errorf("parts of %d bytes: %x, want %x", size, got, want)
		}
		if got := own.finish(); got != want {
			t.Errorf("parts of %d bytes, here: %x, want %x", size, got, want)
		}
	}
}
