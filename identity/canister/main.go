// Command canister is the identity canister: people register passkeys with it and get a
// different principal at every origin, for which it signs delegations to session keys
// (Internet Identity specification).
//
// Its interface, identity.did, is the one that front ends and dapps know. It believes
// nobody but the system: a caller is who their signature says, and may act for an anchor
// if that is the principal of one of the anchor's keys. Anchors are in stable memory and
// nowhere else, so that calls and upgrades cost the same however many there are. Every
// change traps if it fails, which undoes it whole.
package main

import (
	"errors"
	"fmt"

	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
	"portico/node/cdk"
)

// state is the canister: exported functions have no receiver to find it by.
var state *store

//go:wasmexport canister_init
func initialize() {
	cdk.Init(func(m *cdk.Message) error {
		state = newStore(cdk.Stable{}, cdk.Self())
		if err := state.begin(); err != nil {
			return err
		}
		state.config = defaultConfig()
		return ready(m)
	})
}

//go:wasmexport canister_post_upgrade
func postUpgrade() {
	cdk.PostUpgrade(func(m *cdk.Message) error {
		var err error
		if state, err = load(cdk.Stable{}, cdk.Self()); err != nil {
			return err
		}
		return ready(m)
	})
}

// ready takes over what the canister is installed with and certifies what it serves.
func ready(m *cdk.Message) error {
	var args *initArgs
	if len(m.Arg()) > 0 {
		if err := m.Args(&args); err != nil {
			return err
		}
	}
	if args == nil {
		args = &initArgs{}
	}
	if err := state.configure(args); err != nil {
		return err
	}
	pages, err := newPages(cdk.RootKey(), state.backend())
	if err != nil {
		return err
	}
	if err := state.site.build(*state.config.RelatedOrigins, pages); err != nil {
		return err
	}
	certify()
	return warm()
}

// warm finds out how the values of queries are encoded, which every query would
// otherwise do again, since its memory is thrown away.
func warm() error {
	var key []byte
	var number *uint64
	var p *permissions
	var response []byte
	for _, values := range [][]any{
		{uint64(0), "", key, uint64(0)},
		{uint64(0), "", number, key, uint64(0), p},
		{getDelegationResponse{None: true}},
		{failed[signedDelegation](delegationError{None: true})},
		{anchorCredentials{}},
		{(*keyWithAnchor)(nil)},
		{anchor{}},
		{httpRequest{}},
		{httpResponse{}},
		{accountsHere{}},
		{failed[icrc3Signature](getIcrc3Error{None: true})},
		{failed[[]accountInfo](identityInfoError{Internal: new(string)})},
	} {
		var err error
		if response, err = marshal.Encode(values...); err != nil {
			return err
		}
	}
	if len(response) == 0 {
		return errors.New("an answer has no encoding")
	}
	a := anchor{}
	b, err := marshal.Encode(a)
	if err != nil {
		return err
	}
	return marshal.Decode(b, &a)
}

// certify makes the state of the message the one that queries prove.
func certify() {
	root := state.root()
	cdk.SetCertifiedData(root[:])
}

func now() uint64 { return uint64(cdk.Time()) }

// query serves a query method: the arguments are decoded into args, then answer answers.
func query(answer func(caller principal.ID) (any, error), args ...any) {
	cdk.Query(func(m *cdk.Message) error {
		if err := state.elsewhere(); err != nil {
			return err
		}
		return serve(m, answer, args...)
	})
}

// serve decodes the arguments of a query and replies with what answer says.
func serve(m *cdk.Message, answer func(caller principal.ID) (any, error), args ...any) error {
	if err := m.Args(args...); err != nil {
		return err
	}
	v, err := answer(m.Caller())
	if err != nil {
		return err
	}
	return m.Reply(v)
}

// several is an answer of more than one value.
type several []any

// update serves an update method. The salt is set first if it is not. A failure traps:
// what was done until then must not stay.
func update(do func(m *cdk.Message) (any, error), args ...any) {
	cdk.Update(func(m *cdk.Message) error {
		if err := state.elsewhere(); err != nil {
			return err
		}
		if err := m.Args(args...); err != nil {
			return err
		}
		if err := salt(m); err != nil && !errors.Is(err, errSalted) {
			return err
		}
		v, err := do(m)
		if err != nil {
			cdk.Trap(err.Error())
		}
		if err := state.flush(); err != nil {
			cdk.Trap(err.Error())
		}
		switch v := v.(type) {
		case nil:
			return nil
		case several:
			return m.Reply(v...)
		default:
			return m.Reply(v)
		}
	})
}

// salt sets the salt from the network's randomness, unless it is set.
func salt(m *cdk.Message) error {
	if state.salted != 0 {
		return errSalted
	}
	b, err := randomness(m)
	if err != nil {
		return err
	}
	return state.setSalt(b)
}

// randomness is 32 bytes that nobody could know before.
func randomness(m *cdk.Message) ([]byte, error) {
	resp, err := m.Call(cdk.Call{Method: "raw_rand", Arg: []byte("DIDL\x00\x00")})
	if err != nil {
		return nil, fmt.Errorf("asking for randomness: %w", err)
	}
	var b []byte
	err = marshal.Decode(resp.Arg, &b)
	return b, err
}

func dataCertificate() []byte {
	c, _ := cdk.DataCertificate()
	return c
}

func main() {}
