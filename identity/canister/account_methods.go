package main

import (
	"errors"

	"portico/lightclient/principal"
	"portico/node/cdk"
)

// Accounts, by which one person is several at one origin.

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
	var useDefault *bool
	update(func(m *cdk.Message) (any, error) {
		standard := account == nil && useDefault != nil && *useDefault
		d, err := state.delegateAccount(m.Caller(), number, origin, wantedAccount{account, standard}, func(seed [32]byte) (preparedDelegation, error) {
			return state.delegate(number, seed, session, ttl, p, now())
		}, now())
		// A refusal is an answer and undoes nothing: what had expired is gone from the tree.
		certify()
		if err != nil {
			return failed[preparedDelegation](accountError(m.Caller(), err)), nil
		}
		return ok[preparedDelegation, delegationError](d), nil
	}, &number, &origin, &account, &session, &ttl, &p, &useDefault)
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
