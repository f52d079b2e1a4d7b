package marshal_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"portico/lightclient/candid/marshal"
)

// FuzzDecode checks that what is decoded encodes to a message that decodes to the same.
func FuzzDecode(f *testing.F) {
	b, err := marshal.Encode(sample(), visibility{Public: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	if b, err = marshal.Encode(struct{}{}); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var first everything
		var second *visibility
		if marshal.Decode(b, &first, &second) != nil {
			return
		}
		again, err := marshal.Encode(first, second)
		if err != nil {
			t.Fatal(err)
		}
		var firstAgain everything
		var secondAgain *visibility
		if err := marshal.Decode(again, &firstAgain, &secondAgain); err != nil {
			t.Fatal(err)
		}
		options := cmp.Options{compareOptions(), cmpopts.EquateNaNs(), cmpopts.EquateEmpty()}
		if diff := cmp.Diff(first, firstAgain, options); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(second, secondAgain, options); diff != "" {
			t.Error(diff)
		}
	})
}
