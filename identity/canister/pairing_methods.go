package main

import (
	"errors"

	"portico/lightclient/principal"
	"portico/node/cdk"
)

// Registration mode, by which a second device comes to an anchor.

//go:wasmexport canister_update_authn_method_registration_mode_enter
func modeEnter() {
	var number uint64
	var id *string
	update(func(m *cdk.Message) (any, error) {
		if _, err := state.use(m.Caller(), number, now()); err != nil {
			return failed[expirationInfo](enterError{Unauthorized: refused(err), Internal: other(err)}), nil
		}
		expires, err := state.pairings.enter(number, id, now())
		switch {
		case errors.Is(err, errPairingID):
			return failed[expirationInfo](enterError{InvalidID: textOf(err)}), nil
		case errors.Is(err, errOccupied):
			return failed[expirationInfo](enterError{InProgress: true}), nil
		case err != nil:
			return failed[expirationInfo](enterError{Internal: textOf(err)}), nil
		}
		return ok[expirationInfo, enterError](expirationInfo{expires}), nil
	}, &number, &id)
}

//go:wasmexport canister_update_authn_method_registration_mode_exit
func modeExit() {
	var number uint64
	var m *authnMethodData
	update(func(msg *cdk.Message) (any, error) {
		err := state.exit(msg.Caller(), number, m, now())
		var invalid invalidMetadata
		switch {
		case err == nil:
			return finished[exitError](), nil
		case errors.Is(err, errModeOff):
			return unfinished(exitError{ModeOff: true}), nil
		case errors.Is(err, errTaken):
			return unfinished(exitError{Used: true}), nil
		case errors.As(err, &invalid):
			return unfinished(exitError{Invalid: textOf(err)}), nil
		}
		return unfinished(exitError{Unauthorized: refused(err), Internal: other(err)}), nil
	}, &number, &m)
}

// codeFor is the randomness of a code for somebody who announces themselves to an anchor.
// Whoever knocks at an anchor that is not in registration mode does not have the network
// asked for it.
func (s *store) codeFor(m *cdk.Message, number uint64) ([]byte, error) {
	if s.pairings.get(number, now()) == nil {
		return nil, errModeOff
	}
	return randomness(m)
}

//go:wasmexport canister_update_authn_method_register
func methodRegister() {
	var number uint64
	var data authnMethodData
	update(func(m *cdk.Message) (any, error) {
		d, err := data.device()
		if err == nil {
			err = d.check()
		}
		if err != nil {
			return failed[confirmationCode](methodRegisterError{Invalid: textOf(err)}), nil
		}
		random, err := state.codeFor(m, number)
		if err != nil {
			return announced(nil, err)
		}
		return announced(state.tentative(number, d, random, now()))
	}, &number, &data)
}

//go:wasmexport canister_update_authn_method_session_register
func sessionRegister() {
	var number uint64
	update(func(m *cdk.Message) (any, error) {
		caller := m.Caller()
		if !caller.IsSelfAuthenticating() {
			return failed[confirmationCode](methodRegisterError{NotSelf: &caller}), nil
		}
		random, err := state.codeFor(m, number)
		if err != nil {
			return announced(nil, err)
		}
		return announced(state.pairings.announce(number, nil, &caller, random, now()))
	}, &number)
}

func announced(x *pairing, err error) (any, error) {
	switch {
	case errors.Is(err, errModeOff):
		return failed[confirmationCode](methodRegisterError{ModeOff: true}), nil
	case errors.Is(err, errAnother):
		return failed[confirmationCode](methodRegisterError{InProgress: true}), nil
	case errors.Is(err, errTaken):
		return failed[confirmationCode](methodRegisterError{Used: true}), nil
	case err != nil:
		return nil, err
	}
	return ok[confirmationCode, methodRegisterError](confirmationCode{x.code, x.expires}), nil
}

//go:wasmexport canister_query_authn_method_session_info
func getSessionInfo() {
	var number uint64
	query(func(caller principal.ID) (any, error) {
		if state.pairings.ofSession(number, caller, now()) == nil {
			return (*sessionInfo)(nil), nil
		}
		a, err := state.anchor(number)
		if err != nil {
			return nil, err
		}
		return &sessionInfo{a.Name, a.CreatedAt}, nil
	}, &number)
}

//go:wasmexport canister_update_authn_method_confirm
func methodConfirm() {
	var number uint64
	var code string
	update(func(m *cdk.Message) (any, error) {
		err := state.verify(m.Caller(), number, code, now())
		var wrong wrongCode
		switch {
		case err == nil:
			return finished[confirmError](), nil
		case errors.Is(err, errModeOff):
			return unfinished(confirmError{ModeOff: true}), nil
		case errors.Is(err, errNothing):
			return unfinished(confirmError{Nothing: true}), nil
		case errors.As(err, &wrong):
			return unfinished(confirmError{Wrong: &retries{uint8(wrong.left)}}), nil
		}
		return unfinished(confirmError{Unauthorized: refused(err), Internal: other(err)}), nil
	}, &number, &code)
}

//go:wasmexport canister_query_lookup_by_registration_mode_id
func lookupByModeID() {
	var id string
	query(func(principal.ID) (any, error) { return state.pairings.lookUp(id, now()), nil }, &id)
}
