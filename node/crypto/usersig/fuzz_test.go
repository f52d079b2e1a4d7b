package usersig

import (
	"testing"

	"portico/lightclient/envelope"
	"portico/lightclient/signature"
	"portico/lightclient/signature/testsigner"
)

func FuzzCheck(f *testing.F) {
	v := New(signature.Config{CacheEntries: 100})
	for _, s := range testsigner.All(f) {
		for _, kind := range kinds {
			e, err := chainOf(f, []testsigner.Signer{s, testsigner.Ed25519(f)}, nil).Sign(request(kind))
			must(f, err)
			f.Add(e.Append(nil))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := envelope.Decode(b)
		if err != nil {
			return
		}
		auth, err := v.Check(e, now)
		if err == nil && auth.Sender != e.Request.Sender {
			t.Fatalf("%s was taken for %s", e.Request.Sender, auth.Sender)
		}
	})
}
