// Command workloads is a canister for the engine's benchmarks: each method is some
// tenths of a second of what canisters do, and replies with a summary of the result.
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"slices"
	"strings"
	"unsafe"
)

//go:wasmimport ic0 msg_reply_data_append
func replyDataAppend(src unsafe.Pointer, size uint32)

//go:wasmimport ic0 msg_reply
func reply()

func respond(format string, args ...any) {
	b := fmt.Appendf(nil, format, args...)
	replyDataAppend(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b)))
	reply()
}

// numbers is a sequence that looks random and is always the same.
type numbers uint64

func (n *numbers) next() uint64 {
	*n ^= *n << 13
	*n ^= *n >> 7
	*n ^= *n << 17
	return uint64(*n)
}

// hash hashes 2 MiB in pieces of 4 KiB.
//
//go:wasmexport canister_update_hash
func hash() {
	piece := make([]byte, 4096)
	h := sha256.New()
	for i := range uint64(512) {
		binary.LittleEndian.PutUint64(piece[i%512*8:], i)
		h.Write(piece)
	}
	respond("%x", h.Sum(nil))
}

type record struct {
	ID       uint64            `json:"id"`
	Name     string            `json:"name"`
	Balance  float64           `json:"balance"`
	Tags     []string          `json:"tags"`
	Settings map[string]string `json:"settings"`
	Active   bool              `json:"active"`
}

// document parses and prints a JSON document of 500 records.
//
//go:wasmexport canister_update_json
func document() {
	var records []record
	n := numbers(1)
	for i := range uint64(500) {
		records = append(records, record{
			ID: i, Name: fmt.Sprintf("user \"%x\" ü", n.next()), Balance: float64(n.next()%1_000_000) / 100,
			Tags:     strings.Fields(strings.Repeat("one two three ", int(n.next()%3))),
			Settings: map[string]string{"theme": "dark", "language": "en", "since": fmt.Sprint(n.next() % 2000)}, Active: i%3 == 0,
		})
	}
	text, err := json.Marshal(records)
	for range 4 {
		var parsed []record
		if err == nil {
			err = json.Unmarshal(text, &parsed)
		}
		if err == nil {
			text, err = json.Marshal(parsed)
		}
	}
	respond("%d bytes, %v", len(text), err)
}

// order sorts 100,000 numbers and 20,000 strings.
//
//go:wasmexport canister_update_sort
func order() {
	n := numbers(2)
	values := make([]uint64, 100_000)
	for i := range values {
		values[i] = n.next()
	}
	slices.Sort(values)
	names := make([]string, 20_000)
	for i := range names {
		names[i] = fmt.Sprintf("%x", n.next()%100_000)
	}
	slices.SortFunc(names, strings.Compare)
	respond("%x, %s", values[len(values)/2], names[len(names)/2])
}

// scale scales a picture of 640×480 down to 400×300 between the four nearest pixels.
//
//go:wasmexport canister_update_scale
func scale() {
	from, to := image.NewRGBA(image.Rect(0, 0, 640, 480)), image.NewRGBA(image.Rect(0, 0, 400, 300))
	n := numbers(3)
	for i := range from.Pix {
		from.Pix[i] = byte(n.next())
	}
	size, want := from.Bounds().Size(), to.Bounds().Size()
	for y := range want.Y {
		fy := float32(y) * float32(size.Y-1) / float32(want.Y)
		for x := range want.X {
			fx := float32(x) * float32(size.X-1) / float32(want.X)
			a, d := from.PixOffset(int(fx), int(fy)), to.PixOffset(x, y)
			right, below := fx-float32(int(fx)), fy-float32(int(fy))
			for c := range 4 {
				top := float32(from.Pix[a+c])*(1-right) + float32(from.Pix[a+4+c])*right
				bottom := float32(from.Pix[a+from.Stride+c])*(1-right) + float32(from.Pix[a+from.Stride+4+c])*right
				to.Pix[d+c] = byte(top*(1-below) + bottom*below)
			}
		}
	}
	respond("%x", sha256.Sum256(to.Pix))
}

func main() {}
