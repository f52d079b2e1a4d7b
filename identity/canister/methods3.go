package main

import (
	"errors"

	"portico/lightclient/principal"
	"portico/node/cdk"
)

// Registration mode and accounts.

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
		random, err := randomness(m)
		if err != nil {
			return nil, err
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
		random, err := randomness(m)
		if err != nil {
			return nil, err
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

// here reads an anchor that the caller has a key of and its accounts at an origin.
func here(caller principal.ID, number uint64, origin string) (*anchor, *accountsHere, error) {
	origin, err := frontend(origin)
	if err != nil {
		return nil, nil, err
	}
	a, _, err := state.authenticate(caller, number, now())
	if err != nil {
		return nil, nil, err
	}
	h, err := state.accountsAt(number, origin)
	return a, h, err
}

//go:wasmexport canister_query_get_accounts
func getAccounts() {
	var number uint64
	var origin string
	query(func(caller principal.ID) (any, error) {
		_, h, err := here(caller, number, origin)
		if err != nil {
			return failed[[]accountInfo](identityInfoError{Unauthorized: refused(err), Internal: other(err)}), nil
		}
		return ok[[]accountInfo, identityInfoError](h.list(origin)), nil
	}, &number, &origin)
}

// changedAccount answers a change of an account.
func changedAccount(x *storedAccount, origin string, err error) (any, error) {
	switch {
	case err == nil:
		return ok[accountInfo, changeAccountError](x.info(origin)), nil
	case errors.Is(err, errManyAccounts):
		return failed[accountInfo](changeAccountError{Limit: true}), nil
	case errors.Is(err, errNoAccount):
		return failed[accountInfo](changeAccountError{Internal: textOf(err)}), nil
	}
	return nil, err
}

//go:wasmexport canister_update_create_account
func createAccount() {
	var number uint64
	var origin, named string
	update(func(m *cdk.Message) (any, error) {
		a, h, err := here(m.Caller(), number, origin)
		if err != nil {
			return failed[accountInfo](changeAccountError{Unauthorized: refused(err), Internal: other(err)}), nil
		}
		if len(named) > maxAccountName {
			return failed[accountInfo](changeAccountError{NameTooLong: true}), nil
		}
		x, err := state.addAccount(a, h, named, false)
		return changedAccount(x, origin, err)
	}, &number, &origin, &named)
}

//go:wasmexport canister_update_update_account
func updateAccount() {
	var number uint64
	var origin string
	var account *uint64
	var change accountUpdate
	update(func(m *cdk.Message) (any, error) {
		a, h, err := here(m.Caller(), number, origin)
		if err != nil {
			return failed[accountInfo](changeAccountError{Unauthorized: refused(err), Internal: other(err)}), nil
		}
		switch {
		case change.Name == nil:
			text := "No name was provided."
			return failed[accountInfo](changeAccountError{Internal: &text}), nil
		case len(*change.Name) > maxAccountName:
			return failed[accountInfo](changeAccountError{NameTooLong: true}), nil
		}
		x, err := state.rename(a, h, account, *change.Name)
		return changedAccount(x, origin, err)
	}, &number, &origin, &account, &change)
}

//go:wasmexport canister_update_prepare_account_delegation
func prepareAccountDelegation() {
	var number uint64
	var origin string
	var account, ttl *uint64
	var session []byte
	var p *permissions
	update(func(m *cdk.Message) (any, error) {
		d, err := state.delegateAccount(m.Caller(), number, origin, account, func(seed [32]byte) (preparedDelegation, error) {
			return state.delegate(number, seed, session, ttl, p, now())
		}, now())
		if err != nil {
			return failed[preparedDelegation](accountError(m.Caller(), err)), nil
		}
		certify()
		return ok[preparedDelegation, delegationError](d), nil
	}, &number, &origin, &account, &session, &ttl, &p)
}

// accountError says why there is no delegation for an account. One that is not the
// anchor's is refused like an anchor that is not the caller's.
func accountError(caller principal.ID, err error) delegationError {
	if errors.Is(err, errNoAccount) {
		err = unauthorized{caller}
	}
	return delegationError{Unauthorized: refused(err), Internal: other(err)}
}

//go:wasmexport canister_query_get_account_delegation
func getAccountDelegation() {
	var number, expires uint64
	var origin string
	var account *uint64
	var session []byte
	var p *permissions
	query(func(caller principal.ID) (any, error) {
		_, h, err := here(caller, number, origin)
		if err != nil {
			return failed[signedDelegation](accountError(caller, err)), nil
		}
		seed, err := state.seedOf(number, h, account)
		if err != nil {
			return failed[signedDelegation](accountError(caller, err)), nil
		}
		d := state.delegated(seed, newDelegation(session, expires, p), dataCertificate())
		if d == nil {
			return failed[signedDelegation](delegationError{None: true}), nil
		}
		return ok[signedDelegation, delegationError](*d), nil
	}, &number, &origin, &account, &session, &expires, &p)
}

//go:wasmexport canister_query_get_default_account
func getDefaultAccount() {
	var number uint64
	var origin string
	query(func(caller principal.ID) (any, error) {
		_, h, err := here(caller, number, origin)
		if err != nil {
			return failed[accountInfo](getDefaultError{Unauthorized: refused(err), Internal: other(err)}), nil
		}
		return ok[accountInfo, getDefaultError](h.standard(origin)), nil
	}, &number, &origin)
}

//go:wasmexport canister_update_set_default_account
func setDefaultAccount() {
	var number uint64
	var origin string
	var account *uint64
	update(func(m *cdk.Message) (any, error) {
		_, h, err := here(m.Caller(), number, origin)
		if err != nil {
			return failed[accountInfo](setDefaultError{Unauthorized: refused(err), Internal: other(err)}), nil
		}
		if account != nil && h.find(account) == nil {
			return failed[accountInfo](setDefaultError{NoAccount: &noSuchAccount{number, origin}}), nil
		}
		if h.Default = account; h.chain != 0 {
			if err := state.keepAccounts(h); err != nil {
				return nil, err
			}
		}
		return ok[accountInfo, setDefaultError](h.standard(origin)), nil
	}, &number, &origin, &account)
}
