package bls

import "sync"

// maxKeys bounds how many keys each of the two generations of a Verifier's memory holds: 200
// bytes each, with their encoding 400.
const maxKeys = 256

// A Verifier is VerifyBLS for whoever meets the same few keys again and again: it decodes and
// checks each once, which is a seventh of the work. Keys that were not used while maxKeys others came
// are forgotten. It is safe for concurrent use; its zero value has met no key.
type Verifier struct {
	mu         sync.Mutex
	young, old map[string]*PublicKey
}

// Verify checks a signature. It accepts what VerifyBLS accepts, and its errors are the same.
func (v *Verifier) Verify(pk, msg, sig []byte) error {
	k, err := v.key(pk)
	if err != nil {
		return err
	}
	return k.Verify(msg, sig)
}

// key returns a key that was checked.
func (v *Verifier) key(pk []byte) (*PublicKey, error) {
	v.mu.Lock()
	k, young := v.young[string(pk)]
	if !young {
		k = v.old[string(pk)]
	}
	v.mu.Unlock()
	if k == nil {
		var err error
		if k, err = ParsePublicKey(pk); err != nil {
			return nil, err
		}
	}
	if !young {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.young == nil || len(v.young) >= maxKeys {
			v.young, v.old = map[string]*PublicKey{}, v.young
		}
		v.young[string(pk)] = k
	}
	return k, nil
}
