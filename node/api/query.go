package api

import (
	"net/http"

	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/node/crypto/usersig"
	"portico/node/types"
)

// serveQuery runs a query and signs its answer as this node.
func (s *server) serveQuery(w http.ResponseWriter, r *http.Request, ep endpoint, target Target) error {
	raw, release, err := s.readBody(r, s.Limits.BodyBytes)
	if err != nil {
		return err
	}
	defer release()
	leave, err := s.queries.enter()
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
	dest := destinationOf(&e.Request)
	if err := checkEffective(&e.Request, dest, target, snapshot); err != nil {
		return err
	}
	auth, err := s.Auth.Check(e, s.Now())
	if err != nil {
		return err
	}
	if err := checkQueryTarget(auth, &e.Request, dest); err != nil {
		return err
	}
	reply, reject, err := s.Replica.Query(r.Context(), Query{Request: &e.Request, ID: e.RequestID, Effective: target})
	if err != nil {
		return err
	}
	answer, err := s.signedAnswer(e.RequestID, reply, reject)
	if err != nil {
		return err
	}
	writeCBOR(w, answer)
	return nil
}

// checkQueryTarget applies the targets of delegations to queries of the management
// canister: they may name it or the canister that the query is about.
func checkQueryTarget(auth *usersig.Authenticated, r *envelope.Request, dest destination) error {
	if auth.MayReach(r.Canister) || (dest.named && auth.MayReach(dest.canister)) {
		return nil
	}
	return &usersig.TargetError{Canister: r.Canister}
}

// signedAnswer is the response to a query. The signature covers it together with
// the time and the request id (interface specification, "Request: Query call").
func (s *server) signedAnswer(id types.RequestID, reply []byte, reject *types.Reject) (*cbor.Map, error) {
	answer := &cbor.Map{}
	if reject == nil {
		answer.Set("status", cbor.Text("replied"))
		inner := &cbor.Map{}
		inner.Set("arg", cbor.Bytes(reply))
		answer.Set("reply", inner)
	} else {
		answer.Set("status", cbor.Text("rejected"))
		rejectFields(answer, reject)
	}
	timestamp := cbor.NatOf(uint64(s.Now()))
	signed := &cbor.Map{}
	for i, key := range answer.Keys {
		signed.Set(key, answer.Values[i])
	}
	signed.Set("timestamp", timestamp)
	signed.Set("request_id", cbor.Bytes(id[:]))
	hash, err := envelope.HashOfMap(signed)
	if err != nil {
		return nil, err
	}
	signature := &cbor.Map{}
	signature.Set("timestamp", timestamp)
	signature.Set("signature", cbor.Bytes(s.Signer.Sign(envelope.ResponseSignedBytes(hash))))
	signature.Set("identity", cbor.Bytes(s.Signer.NodeID().Bytes()))
	answer.Set("signatures", cbor.Array{signature})
	return answer, nil
}
