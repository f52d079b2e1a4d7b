package execution_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"portico/node/execution"
	"portico/node/types"
	"portico/node/wasm"

	"github.com/klauspost/compress/gzip"
)

// TestModulesHaveAHundredMiBAndNoMore raw and unpacked.
func TestModulesHaveAHundredMiBAndNoMore(t *testing.T) {
	const most = 100 * types.MiB
	for size, fits := range map[int]bool{most: true, most + 1: false} {
		raw := make([]byte, size)
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := io.Copy(w, bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for name, uploaded := range map[string][]byte{"raw": raw, "gzip": packed.Bytes()} {
			got, err := execution.Decompress(uploaded)
			var invalid *wasm.Invalid
			if fits && (err != nil || len(got) != size) || !fits && !errors.As(err, &invalid) {
				t.Errorf("%s, %d bytes: %d, %v", name, size, len(got), err)
			}
		}
	}
}
