package api

import (
	"context"
	"errors"
	"net/http"

	"portico/lightclient/cbor"
	"portico/lightclient/hashtree"
	"portico/node/types"
)

// serveCall accepts a call. Where the endpoint is synchronous it waits for the
// certificate, and answers 202 where that takes too long.
func (s *server) serveCall(w http.ResponseWriter, r *http.Request, ep endpoint, target Target) error {
	id, reject, err := s.submit(r, ep, target)
	if err != nil {
		return err
	}
	if reject != nil {
		m := &cbor.Map{}
		if ep.sync {
			m.Set("status", cbor.Text("non_replicated_rejection"))
		}
		rejectFields(m, reject)
		writeCBOR(w, m)
		return nil
	}
	if !ep.sync {
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	snapshot, err := s.await(r.Context(), id)
	if err != nil {
		return err
	}
	if snapshot == nil {
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	paths := []hashtree.Path{{[]byte(labelRequestStatus), id[:]}, {[]byte(labelTime)}}
	certificate, err := snapshot.Certificate(paths, ep.delegation(target))
	if err != nil {
		return err
	}
	m := &cbor.Map{}
	m.Set("status", cbor.Text("replied"))
	m.Set("certificate", cbor.Bytes(certificate))
	writeCBOR(w, m)
	return nil
}

// submit checks a call and hands it to the replica, unless the subnet knows it already.
func (s *server) submit(r *http.Request, ep endpoint, target Target) (id types.RequestID, reject *types.Reject, err error) {
	raw, release, err := s.readBody(r, min(s.Limits.BodyBytes, s.Limits.IngressBytes))
	if err != nil {
		return id, nil, err
	}
	defer release()
	leave, err := s.calls.enter()
	if err != nil {
		return id, nil, err
	}
	defer leave()
	e, err := decode(raw, ep)
	if err != nil {
		return id, nil, err
	}
	snapshot, err := s.Replica.Certified()
	if err != nil {
		return id, nil, err
	}
	if err := checkEffective(&e.Request, destinationOf(&e.Request), target, snapshot); err != nil {
		return id, nil, err
	}
	if _, err := s.Auth.Check(e, s.Now()); err != nil {
		return id, nil, err
	}
	id = e.RequestID
	if _, known := snapshot.Request(id); known {
		return id, nil, nil
	}
	reject, err = s.Replica.Submit(r.Context(), Ingress{Envelope: e, Raw: raw, Effective: target})
	return id, reject, err
}

// await returns the state that certifies the fate of a request, or nil if that
// takes longer than clients are made to wait.
func (s *server) await(ctx context.Context, id types.RequestID) (Snapshot, error) {
	leave, err := s.waiting.enter()
	if err != nil {
		return nil, nil //nolint:nilerr // the call was accepted all the same
	}
	defer leave()
	wait, cancel := context.WithTimeout(ctx, s.Limits.SyncWait)
	defer cancel()
	snapshot, err := s.Replica.Await(wait, id)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, nil
	}
	return snapshot, err
}
