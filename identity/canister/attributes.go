package main

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"portico/lightclient/candid/marshal"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/cdk"
)

// Attributes are what a person lets a dapp know, certified for it. Those that come from
// others (addresses and names, by OpenID or by e-mail) have no source here, so that asking
// for one fails. What remains is what every message of attributes says of itself: for
// which origin, in answer to which nonce, and when. Dapps send it along as sender_info,
// which replicas check against the user's key (interface specification, "Authentication").

const (
	nonceBytes = 32
	// maxAttributes and maxAttributeKey bound what is asked for and answered.
	maxAttributes   = 100
	maxAttributeKey = 512
	// attributesLife is how long attributes of the first kind are good for.
	attributesLife = 30 * minute

	implicitNonceKey  = "implicit:nonce"
	implicitOriginKey = "implicit:origin"
	implicitIssuedKey = "implicit:issued_at_timestamp_ns"
)

type (
	attributeSpec struct {
		Key       string  `candid:"key"`
		Value     *[]byte `candid:"value"`
		OmitScope bool    `candid:"omit_scope"`
	}

	prepareIcrc3Request struct {
		Number     uint64          `candid:"identity_number"`
		Origin     string          `candid:"origin"`
		Unmapped   *string         `candid:"unmapped_origin"`
		Account    *uint64         `candid:"account_number"`
		Attributes []attributeSpec `candid:"attributes"`
		Nonce      []byte          `candid:"nonce"`
	}

	preparedIcrc3 struct {
		Message []byte `candid:"message"`
	}

	getIcrc3Request struct {
		Number  uint64  `candid:"identity_number"`
		Origin  string  `candid:"origin"`
		Account *uint64 `candid:"account_number"`
		Message []byte  `candid:"message"`
	}

	icrc3Signature struct {
		Signature []byte `candid:"signature"`
	}

	prepareRequest struct {
		Number  uint64   `candid:"identity_number"`
		Origin  string   `candid:"origin"`
		Account *uint64  `candid:"account_number"`
		Keys    []string `candid:"attribute_keys"`
	}

	preparedAttributes struct {
		Issued     uint64      `candid:"issued_at_timestamp_ns"`
		Attributes []attribute `candid:"attributes"`
	}

	attribute struct {
		Key   string `candid:"0"`
		Value []byte `candid:"1"`
	}

	getRequest struct {
		Number     uint64      `candid:"identity_number"`
		Origin     string      `candid:"origin"`
		Account    *uint64     `candid:"account_number"`
		Issued     uint64      `candid:"issued_at_timestamp_ns"`
		Attributes []attribute `candid:"attributes"`
	}

	certifiedAttribute struct {
		Key       string `candid:"key"`
		Value     []byte `candid:"value"`
		Signature []byte `candid:"signature"`
	}

	certifiedAttributes struct {
		Expires    uint64               `candid:"expires_at_timestamp_ns"`
		Attributes []certifiedAttribute `candid:"certified_attributes"`
	}

	listRequest struct {
		Number uint64    `candid:"identity_number"`
		Keys   *[]string `candid:"attributes"`
	}

	problems struct {
		Problems []string `candid:"problems"`
	}

	accountMissing struct {
		Origin  *noSuchOrigin  `candid:"NoSuchOrigin,variant"`
		Account *noSuchAccount `candid:"NoSuchAccount,variant"`
	}

	attributeError struct {
		Validation   *problems       `candid:"ValidationError,variant"`
		Unauthorized *principal.ID   `candid:"AuthorizationError,variant"`
		Account      *accountMissing `candid:"GetAccountError,variant"`
	}

	prepareIcrc3Error struct {
		Validation   *problems       `candid:"ValidationError,variant"`
		Unauthorized *principal.ID   `candid:"AuthorizationError,variant"`
		Account      *accountMissing `candid:"GetAccountError,variant"`
		Mismatch     *problems       `candid:"AttributeMismatch,variant"`
	}

	getIcrc3Error struct {
		Validation   *problems       `candid:"ValidationError,variant"`
		Unauthorized *principal.ID   `candid:"AuthorizationError,variant"`
		Account      *accountMissing `candid:"GetAccountError,variant"`
		None         bool            `candid:"NoSuchSignature,variant"`
	}

	listError struct {
		Validation   *problems     `candid:"ValidationError,variant"`
		Unauthorized *principal.ID `candid:"AuthorizationError,variant"`
	}

	// icrc3Value is the generic value of ICRC-3, with the cases that are needed.
	icrc3Value struct {
		Nat  *uint64       `candid:"Nat,nat,variant"`
		Blob *[]byte       `candid:"Blob,variant"`
		Text *string       `candid:"Text,variant"`
		Map  *[]icrc3Entry `candid:"Map,variant"`
	}

	icrc3Entry struct {
		Key   string     `candid:"0"`
		Value icrc3Value `candid:"1"`
	}
)

// invalidRequest is a request for attributes that nobody could answer.
type invalidRequest struct{ problems }

func (e invalidRequest) Error() string { return strings.Join(e.Problems, "; ") }

// checkAttributeKey decides whether a key has one of the forms NAME, openid:ISSUER:NAME and
// sso:DOMAIN:NAME.
func checkAttributeKey(key string) error {
	if len(key) > maxAttributeKey {
		return fmt.Errorf("an attribute's key has at most %d bytes, not %d", maxAttributeKey, len(key))
	}
	name, scope := key, ""
	if i := strings.LastIndexByte(key, ':'); i >= 0 {
		scope, name = key[:i], key[i+1:]
	}
	switch name {
	case "email", "name", "verified_email":
	default:
		return fmt.Errorf("%q is no attribute: there are email, name and verified_email", key)
	}
	kind, source, _ := strings.Cut(scope, ":")
	if scope != "" && (source == "" || kind != "openid" && kind != "sso") {
		return fmt.Errorf("the scope of %q is none of openid:ISSUER and sso:DOMAIN", key)
	}
	return nil
}

func checkAttributeKeys(keys []string) (out []string) {
	if len(keys) > maxAttributes {
		return []string{fmt.Sprintf("at most %d attributes can be asked for, not %d", maxAttributes, len(keys))}
	}
	for _, k := range keys {
		if err := checkAttributeKey(k); err != nil {
			out = append(out, err.Error())
		}
	}
	return out
}

// seedFor is the seed of an account for a caller who has a key of the anchor. The error is
// an invalidRequest, an unauthorized, errNoAccount or says what is broken.
func (s *store) seedFor(caller principal.ID, number uint64, origin string, account *uint64) (seed [32]byte, err error) {
	if _, err := frontend(origin); err != nil {
		return seed, invalidRequest{problems{[]string{err.Error()}}}
	}
	_, h, err := here(caller, number, origin)
	if err != nil {
		return seed, err
	}
	return s.seedOf(number, h, account)
}

// attributeErrorOf is an error of seedFor as an answer, or nil for one that is none.
func attributeErrorOf(err error, number uint64, origin string) *attributeError {
	var invalid invalidRequest
	switch {
	case errors.As(err, &invalid):
		return &attributeError{Validation: &invalid.problems}
	case errors.Is(err, errNoAccount):
		return &attributeError{Account: &accountMissing{Account: &noSuchAccount{number, origin}}}
	case refused(err) != nil:
		return &attributeError{Unauthorized: refused(err)}
	}
	return nil
}

// check is what is wrong with a request, and the origin that is certified: the one that
// the dapp has, before it is rewritten for seeds.
func (r *prepareIcrc3Request) check() (certified string, wrong []string) {
	if len(r.Nonce) != nonceBytes {
		wrong = append(wrong, fmt.Sprintf("a nonce has exactly %d bytes, not %d", nonceBytes, len(r.Nonce)))
	}
	certified = r.Origin
	if r.Unmapped != nil {
		certified = *r.Unmapped
		origin, err := frontend(r.Origin)
		unmapped, errUnmapped := frontend(certified)
		if err == nil && (errUnmapped != nil || unmapped != origin) {
			wrong = append(wrong, "unmapped_origin is not rewritten to origin")
		}
	}
	var keys []string
	for _, a := range r.Attributes {
		keys = append(keys, a.Key)
	}
	return certified, append(wrong, checkAttributeKeys(keys)...)
}

// prepareIcrc3 signs the message of attributes for an account.
func (s *store) prepareIcrc3(caller principal.ID, r *prepareIcrc3Request, now uint64) (result[preparedIcrc3, prepareIcrc3Error], error) {
	origin, wrong := r.check()
	var err error
	var seed [32]byte
	if wrong != nil {
		err = invalidRequest{problems{wrong}}
	} else {
		seed, err = s.seedFor(caller, r.Number, r.Origin, r.Account)
	}
	if err != nil {
		e := attributeErrorOf(err, r.Number, r.Origin)
		if e == nil {
			return result[preparedIcrc3, prepareIcrc3Error]{}, err
		}
		return failed[preparedIcrc3](prepareIcrc3Error{Validation: e.Validation, Unauthorized: e.Unauthorized, Account: e.Account}), nil
	}
	if len(r.Attributes) > 0 {
		var missing problems
		for _, a := range r.Attributes {
			missing.Problems = append(missing.Problems, fmt.Sprintf("the identity has no attribute %s: this identity canister knows nobody's addresses or names", a.Key))
		}
		return failed[preparedIcrc3](prepareIcrc3Error{Mismatch: &missing}), nil
	}
	message, err := marshal.Encode(icrc3Value{Map: &[]icrc3Entry{
		{implicitIssuedKey, icrc3Value{Nat: &now}}, {implicitNonceKey, icrc3Value{Blob: &r.Nonce}}, {implicitOriginKey, icrc3Value{Text: &origin}},
	}})
	if err != nil {
		return result[preparedIcrc3, prepareIcrc3Error]{}, err
	}
	if err := s.signatures.sign(r.Number, seed, envelope.SenderInfoSignedBytes(message), now); err != nil {
		return result[preparedIcrc3, prepareIcrc3Error]{}, err
	}
	return ok[preparedIcrc3, prepareIcrc3Error](preparedIcrc3{message}), nil
}

// getIcrc3 is the signature of a message that was prepared.
func (s *store) getIcrc3(caller principal.ID, r *getIcrc3Request, certificate []byte) (result[icrc3Signature, getIcrc3Error], error) {
	seed, err := s.seedFor(caller, r.Number, r.Origin, r.Account)
	if err != nil {
		e := attributeErrorOf(err, r.Number, r.Origin)
		if e == nil {
			return result[icrc3Signature, getIcrc3Error]{}, err
		}
		return failed[icrc3Signature](getIcrc3Error{Validation: e.Validation, Unauthorized: e.Unauthorized, Account: e.Account}), nil
	}
	sig := s.signatureOf(seed, envelope.SenderInfoSignedBytes(r.Message), certificate)
	if sig == nil {
		return failed[icrc3Signature](getIcrc3Error{None: true}), nil
	}
	return ok[icrc3Signature, getIcrc3Error](icrc3Signature{sig}), nil
}

//go:wasmexport canister_update_prepare_icrc3_attributes
func prepareIcrc3Attributes() {
	var r prepareIcrc3Request
	update(func(m *cdk.Message) (any, error) {
		prepared, err := state.prepareIcrc3(m.Caller(), &r, now())
		certify()
		return prepared, err
	}, &r)
}

//go:wasmexport canister_query_get_icrc3_attributes
func getIcrc3Attributes() {
	var r getIcrc3Request
	query(func(caller principal.ID) (any, error) { return state.getIcrc3(caller, &r, dataCertificate()) }, &r)
}

//go:wasmexport canister_update_prepare_attributes
func prepareAttributes() {
	var r prepareRequest
	update(func(m *cdk.Message) (any, error) {
		err := checkRequest(m.Caller(), r.Number, r.Origin, r.Account, r.Keys)
		if e := attributeErrorOf(err, r.Number, r.Origin); e != nil {
			return failed[preparedAttributes](*e), nil
		}
		return ok[preparedAttributes, attributeError](preparedAttributes{Issued: now()}), err
	}, &r)
}

//go:wasmexport canister_query_get_attributes
func getAttributes() {
	var r getRequest
	query(func(caller principal.ID) (any, error) {
		var keys []string
		for _, a := range r.Attributes {
			keys = append(keys, a.Key)
		}
		err := checkRequest(caller, r.Number, r.Origin, r.Account, keys)
		if e := attributeErrorOf(err, r.Number, r.Origin); e != nil {
			return failed[certifiedAttributes](*e), nil
		}
		return ok[certifiedAttributes, attributeError](certifiedAttributes{Expires: r.Issued + min(attributesLife, math.MaxUint64-r.Issued)}), err
	}, &r)
}

// checkRequest decides whether a request for attributes of the first kind, of which there
// are none, is one that could be answered.
func checkRequest(caller principal.ID, number uint64, origin string, account *uint64, keys []string) error {
	if wrong := checkAttributeKeys(keys); wrong != nil {
		return invalidRequest{problems{wrong}}
	}
	_, err := state.seedFor(caller, number, origin, account)
	return err
}

//go:wasmexport canister_query_list_available_attributes
func listAvailableAttributes() {
	var r listRequest
	query(func(caller principal.ID) (any, error) {
		if r.Keys != nil {
			if wrong := checkAttributeKeys(*r.Keys); wrong != nil {
				return failed[[]attribute](listError{Validation: &problems{wrong}}), nil
			}
		}
		if _, _, err := state.authenticate(caller, r.Number, now()); refused(err) != nil {
			return failed[[]attribute](listError{Unauthorized: refused(err)}), nil
		} else if err != nil {
			return nil, err
		}
		return ok[[]attribute, listError](nil), nil
	}, &r)
}
