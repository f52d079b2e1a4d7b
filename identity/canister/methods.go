package main

import (
	"errors"

	"portico/identity/history"
	"portico/lightclient/principal"
	"portico/node/cdk"
)

// The first version of the interface. What goes wrong traps.

//go:wasmexport canister_update_create_challenge
func createChallenge() {
	update(func(m *cdk.Message) (any, error) { return state.challenge(seedBy(m), now()) })
}

//go:wasmexport canister_update_register
func register() {
	var d device
	var solution challengeResult
	var temporary *principal.ID
	update(func(m *cdk.Message) (any, error) {
		return state.registerFirst(m.Caller(), d, solution, temporary, now())
	}, &d, &solution, &temporary)
}

// changeAnchor serves a method that changes the anchor number for a caller who has one
// of its keys, and answers nothing.
func changeAnchor(number *uint64, do func(a *anchor, caller principal.ID) (history.Operation, error), args ...any) {
	update(func(m *cdk.Message) (any, error) {
		a, err := state.open(m.Caller(), *number, now())
		if err != nil {
			return nil, err
		}
		op, err := do(a, m.Caller())
		if err != nil {
			return nil, err
		}
		return nil, state.commit(a, m.Caller(), op, now())
	}, append([]any{number}, args...)...)
}

//go:wasmexport canister_update_add
func add() {
	var number uint64
	var d device
	changeAnchor(&number, func(a *anchor, _ principal.ID) (history.Operation, error) { return addedDevice(d), a.add(d) }, &d)
}

//go:wasmexport canister_update_update
func updateDevice() {
	var number uint64
	var key []byte
	var d device
	changeAnchor(&number, func(a *anchor, caller principal.ID) (history.Operation, error) {
		before, err := a.change(caller, key, d)
		return updatedDevice(before, d), err
	}, &key, &d)
}

//go:wasmexport canister_update_replace
func replace() {
	var number uint64
	var key []byte
	var d device
	changeAnchor(&number, func(a *anchor, caller principal.ID) (history.Operation, error) {
		return replacedDevice(key, d), a.replace(caller, key, d)
	}, &key, &d)
}

//go:wasmexport canister_update_remove
func remove() {
	var number uint64
	var key []byte
	changeAnchor(&number, func(a *anchor, caller principal.ID) (history.Operation, error) {
		return removedDevice(key), a.remove(caller, key)
	}, &key)
}

//go:wasmexport canister_query_lookup
func lookup() {
	var number uint64
	query(func(principal.ID) (any, error) {
		out := []device{}
		a, err := state.anchor(number)
		if errors.Is(err, errNoAnchor) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		for _, d := range a.Devices {
			plain := d.plain()
			plain.Alias, plain.Metadata = "", nil
			out = append(out, plain)
		}
		return out, nil
	}, &number)
}

//go:wasmexport canister_query_get_anchor_credentials
func getAnchorCredentials() {
	var number uint64
	query(func(principal.ID) (any, error) {
		var out anchorCredentials
		a, err := state.anchor(number)
		if errors.Is(err, errNoAnchor) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		for _, d := range a.Devices {
			switch {
			case d.KeyType.SeedPhrase:
				out.Phrases = append(out.Phrases, d.PubKey)
			case d.CredentialID == nil:
			case d.Purpose.Recovery:
				out.Recovery = append(out.Recovery, credential{*d.CredentialID, d.PubKey})
			default:
				out.Credentials = append(out.Credentials, credential{*d.CredentialID, d.PubKey})
			}
		}
		return out, nil
	}, &number)
}

//go:wasmexport canister_update_get_anchor_info
func getAnchorInfo() {
	var number uint64
	update(func(m *cdk.Message) (any, error) {
		a, err := state.use(m.Caller(), number, now())
		if err != nil {
			return nil, err
		}
		info := anchorInfo{Devices: a.Devices, Name: a.Name, CreatedAt: a.CreatedAt}
		if x := state.pairings.get(number, now()); x != nil {
			info.Registration = &registrationInfo{x.device, x.session, x.expires}
		}
		return info, nil
	}, &number)
}

//go:wasmexport canister_query_get_principal
func getPrincipal() {
	var number uint64
	var origin string
	query(func(caller principal.ID) (any, error) {
		if _, _, err := state.authenticate(caller, number, now()); err != nil {
			return nil, err
		}
		origin, err := frontend(origin)
		if err != nil {
			return nil, err
		}
		return principal.SelfAuthenticating(state.userKey(state.anchorSeed(number, origin))), nil
	}, &number, &origin)
}

//go:wasmexport canister_update_enter_device_registration_mode
func enterMode() {
	var number uint64
	update(func(m *cdk.Message) (any, error) {
		if _, err := state.use(m.Caller(), number, now()); err != nil {
			return nil, err
		}
		return state.pairings.enter(number, nil, now())
	}, &number)
}

//go:wasmexport canister_update_exit_device_registration_mode
func exitMode() {
	var number uint64
	update(func(m *cdk.Message) (any, error) {
		if _, err := state.use(m.Caller(), number, now()); err != nil {
			return nil, err
		}
		state.pairings.close(number)
		return nil, nil
	}, &number)
}

//go:wasmexport canister_update_add_tentative_device
func addTentative() {
	var number uint64
	var d device
	update(func(m *cdk.Message) (any, error) {
		random, err := state.codeFor(m, number)
		if errors.Is(err, errModeOff) {
			return addTentativeResponse{ModeOff: true}, nil
		}
		if err != nil {
			return nil, err
		}
		x, err := state.tentative(number, d, random, now())
		switch {
		case errors.Is(err, errModeOff):
			return addTentativeResponse{ModeOff: true}, nil
		case errors.Is(err, errAnother):
			return addTentativeResponse{Another: true}, nil
		case errors.Is(err, errTaken):
			return addTentativeResponse{Used: true}, nil
		case err != nil:
			return nil, err
		}
		return addTentativeResponse{Added: &addedTentatively{x.code, x.expires}}, nil
	}, &number, &d)
}

//go:wasmexport canister_update_verify_tentative_device
func verifyTentative() {
	var number uint64
	var code string
	update(func(m *cdk.Message) (any, error) {
		err := state.verify(m.Caller(), number, code, now())
		var wrong wrongCode
		switch {
		case errors.Is(err, errModeOff):
			return verifyTentativeResponse{ModeOff: true}, nil
		case errors.Is(err, errNothing):
			return verifyTentativeResponse{Nothing: true}, nil
		case errors.As(err, &wrong):
			return verifyTentativeResponse{Wrong: &retries{uint8(wrong.left)}}, nil
		case err != nil:
			return nil, err
		}
		return verifyTentativeResponse{Verified: true}, nil
	}, &number, &code)
}

//go:wasmexport canister_update_prepare_delegation
func prepareDelegation() {
	var number uint64
	var origin string
	var session []byte
	var ttl *uint64
	update(func(m *cdk.Message) (any, error) {
		origin, err := frontend(origin)
		if err != nil {
			return nil, err
		}
		if _, err := state.use(m.Caller(), number, now()); err != nil {
			return nil, err
		}
		d, err := state.delegate(number, state.anchorSeed(number, origin), session, ttl, nil, now())
		if err != nil {
			return nil, err
		}
		certify()
		return several{d.UserKey, d.Expiration}, nil
	}, &number, &origin, &session, &ttl)
}

//go:wasmexport canister_query_get_delegation
func getDelegation() {
	var number, expires uint64
	var origin string
	var session []byte
	query(func(caller principal.ID) (any, error) {
		origin, err := frontend(origin)
		if err != nil {
			return nil, err
		}
		if _, _, err := state.authenticate(caller, number, now()); err != nil {
			return nil, err
		}
		d := state.delegated(state.anchorSeed(number, origin), newDelegation(session, expires, nil), dataCertificate())
		return getDelegationResponse{Signed: d, None: d == nil}, nil
	}, &number, &origin, &session, &expires)
}

//go:wasmexport canister_query_lookup_device_key
func lookupDeviceKey() {
	var id []byte
	query(func(principal.ID) (any, error) {
		number, found, err := state.index.Get(state.index.Name(credentialName, id))
		if err != nil || !found {
			return (*keyWithAnchor)(nil), err
		}
		a, err := state.anchor(number)
		if err != nil {
			return nil, err
		}
		for _, d := range a.Devices {
			if d.CredentialID != nil && string(*d.CredentialID) == string(id) {
				return &keyWithAnchor{d.PubKey, number}, nil
			}
		}
		return (*keyWithAnchor)(nil), nil
	}, &id)
}

//go:wasmexport canister_update_lookup_caller_identity_by_recovery_phrase
func lookupByPhrase() {
	update(func(m *cdk.Message) (any, error) {
		number, found, err := state.index.Get(state.index.Name(principalName, m.Caller().Bytes()))
		if err != nil || !found {
			return (*uint64)(nil), err
		}
		a, err := state.anchor(number)
		if err != nil {
			return nil, err
		}
		if i := a.owner(m.Caller()); i < 0 || !a.Devices[i].KeyType.SeedPhrase {
			return (*uint64)(nil), nil
		}
		return &number, nil
	})
}

//go:wasmexport canister_update_init_salt
func initSalt() {
	cdk.Update(func(m *cdk.Message) error {
		if err := salt(m); err != nil {
			cdk.Trap(err.Error())
		}
		return state.flush()
	})
}

//go:wasmexport canister_query_stats
func statistics() {
	query(func(principal.ID) (any, error) { return state.stats(), nil })
}

//go:wasmexport canister_query_config
func config() {
	query(func(principal.ID) (any, error) { return state.config, nil })
}

//go:wasmexport canister_query_whoami
func whoAmI() {
	query(func(caller principal.ID) (any, error) { return caller, nil })
}

//go:wasmexport canister_query_http_request
func httpGet() {
	var req httpRequest
	cdk.Query(func(m *cdk.Message) error {
		return serve(m, func(principal.ID) (any, error) { return state.http(&req, dataCertificate()), nil }, &req)
	})
}
