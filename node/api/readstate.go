package api

import (
	"bytes"
	"net/http"
	"slices"

	"portico/lightclient/cbor"
	"portico/lightclient/hashtree"
	"portico/node/crypto/usersig"
)

// serveReadState answers with a certificate that reveals the paths asked for, and the time.
func (s *server) serveReadState(w http.ResponseWriter, r *http.Request, ep endpoint, target Target) error {
	raw, release, err := s.readBody(r, s.Limits.BodyBytes)
	if err != nil {
		return err
	}
	defer release()
	leave, err := s.readStates.enter()
	if err != nil {
		return err
	}
	defer leave()
	e, err := decode(raw, ep)
	if err != nil {
		return err
	}
	snapshot, err := s.Replica.Certified()
	if err != nil {
		return err
	}
	auth, err := s.Auth.Check(e, s.Now())
	if err != nil {
		return err
	}
	reveal, err := revealed(reader{endpoint: ep, target: target, auth: auth, snapshot: snapshot, topology: snapshot.Topology()}, e.Request.Paths)
	if err != nil {
		return err
	}
	certificate, err := snapshot.Certificate(reveal, ep.delegation(target))
	if err != nil {
		return err
	}
	m := &cbor.Map{}
	m.Set("certificate", cbor.Bytes(certificate))
	writeCBOR(w, m)
	return nil
}

// A reader is who asks, where, and of which state.
type reader struct {
	endpoint
	target   Target
	auth     *usersig.Authenticated
	snapshot Snapshot
	topology Topology
}

// revealed checks that the reader may see every path and returns those that the
// certificate has to show, in order.
func revealed(who reader, paths []hashtree.Path) ([]hashtree.Path, error) {
	if err := who.checkTarget(paths); err != nil {
		return nil, err
	}
	if err := checkOneRequest(paths); err != nil {
		return nil, err
	}
	out := []hashtree.Path{{[]byte(labelTime)}}
	for i, path := range paths {
		shown, err := who.reveal(path)
		if err != nil {
			return nil, refuse(statusOf(err), "path %d, %s: %v", i+1, pathText(path), err)
		}
		out = append(out, shown...)
	}
	comparePaths := func(a, b hashtree.Path) int { return slices.CompareFunc(a, b, bytes.Compare) }
	slices.SortFunc(out, comparePaths)
	return slices.CompactFunc(out, func(a, b hashtree.Path) bool { return comparePaths(a, b) == 0 }), nil
}

// checkTarget checks the effective id. Calls that create a canister may be sent to
// the management canister, whose id is in no range, and agents ask there for their status.
func (who reader) checkTarget(paths []hashtree.Path) error {
	if who.target.Subnet {
		return checkOwnSubnet(who.target, who.snapshot)
	}
	statusOnly := len(paths) > 0 && !slices.ContainsFunc(paths, func(p hashtree.Path) bool {
		return len(p) == 0 || string(p[0]) != labelRequestStatus
	})
	if who.target.ID.IsManagement() && statusOnly {
		return nil
	}
	return checkHosted(who.target, who.snapshot)
}

// checkOneRequest refuses paths below the statuses of several requests, or the
// canister ranges of several subnets.
func checkOneRequest(paths []hashtree.Path) error {
	for _, label := range []string{labelRequestStatus, labelCanisterRanges} {
		var first []byte
		for _, p := range paths {
			if len(p) < 2 || string(p[0]) != label {
				continue
			}
			if first != nil && !bytes.Equal(first, p[1]) {
				return refuse(http.StatusBadRequest, "the paths below /%s name several ids: one request may read one", label)
			}
			first = p[1]
		}
	}
	return nil
}
