package consensus

import (
	"portico/lightclient/cbor"
	"portico/node/artifact"
)

// DecodeKind decodes an artifact of which only the kind is known.
func DecodeKind(k artifact.Kind, encoded []byte) (Artifact, error) {
	d := cbor.NewDecoder(encoded)
	a, err := decode(d, k)
	if err == nil {
		err = d.End()
	}
	return a, err
}

// Levels is the number of heights of which the pool keeps anything.
func (p *Pool) Levels() int { return len(p.levels) }
