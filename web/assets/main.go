// Command assets is the asset canister: files that are uploaded in batches of chunks
// and served over HTTP, every answer certified (HTTP gateway protocol specification,
// response verification version 2; version 1 for clients that ask for it).
//
// Its interface, assets.did, is the one that uploading tools know. Contents lie in
// stable memory from the moment they are uploaded, so that neither serving nor
// upgrading needs them in the heap. The rest of the state is small and is written
// there before an upgrade. Every change traps if it fails, which undoes it whole.
package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"portico/lightclient/candid"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
	"portico/node/cdk"
)

// state is the canister: exported functions have no receiver to find it by.
var state *store

//go:wasmexport canister_init
func initialize() {
	cdk.Init(func(m *cdk.Message) error {
		state = newStore(cdk.Stable{})
		if err := state.writeHeader(0, 0); err != nil {
			return err
		}
		args, err := installArguments(m)
		if err != nil {
			return err
		}
		state.permissions.grant(m.Caller(), mayCommit)
		if args.Init != nil && args.Init.SetPermissions != nil {
			state.permissions.set(args.Init.SetPermissions)
		}
		return ready()
	})
}

//go:wasmexport canister_pre_upgrade
func preUpgrade() { cdk.PreUpgrade(func(*cdk.Message) error { return state.save() }) }

//go:wasmexport canister_post_upgrade
func postUpgrade() {
	cdk.PostUpgrade(func(m *cdk.Message) error {
		var err error
		if state, err = load(cdk.Stable{}); err != nil {
			return err
		}
		args, err := installArguments(m)
		if err != nil {
			return err
		}
		if args.Upgrade != nil && args.Upgrade.SetPermissions != nil {
			state.permissions.set(args.Upgrade.SetPermissions)
		}
		return ready()
	})
}

func installArguments(m *cdk.Message) (canisterArgs, error) {
	var args *canisterArgs
	if len(m.Arg()) == 0 {
		return canisterArgs{}, nil
	}
	if err := m.Args(&args); err != nil || args == nil {
		return canisterArgs{}, err
	}
	return *args, nil
}

// ready certifies what there is, and prepares what every query needs and would
// otherwise work out each time, since a query's memory is thrown away.
func ready() error {
	certify()
	if _, err := marshal.Encode(httpResponse{}); err != nil {
		return err
	}
	var req httpRequest
	b, err := marshal.Encode(req)
	if err != nil {
		return err
	}
	return marshal.Decode(b, &req)
}

// certify makes the state of the message the one that queries prove.
func certify() {
	state.setEnv(environment())
	root := state.root()
	cdk.SetCertifiedData(root[:])
}

// environment is the cookie ic_env: the root key and the public variables, for pages
// that are to find their backend.
func environment() string {
	parts := []string{"ic_root_key=" + hex.EncodeToString(cdk.RootKey())}
	for _, v := range cdk.Environment() {
		if strings.HasPrefix(v.Name, "PUBLIC_") {
			parts = append(parts, v.Name+"="+v.Value)
		}
	}
	return escape(strings.Join(parts, "&"))
}

// escape percent-encodes everything that has a meaning in cookies and URLs.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// query serves a query method.
func query[A any](serve func(arg A) (any, error)) {
	cdk.Query(func(m *cdk.Message) error {
		var arg A
		if err := m.Args(&arg); err != nil {
			return err
		}
		result, err := serve(arg)
		if err != nil {
			return err
		}
		return m.Reply(result)
	})
}

// change serves an update method that changes the state, for callers who pass guard.
// A failure traps: what was done until then must not stay.
func change[A any](guard func(*cdk.Message) error, do func(m *cdk.Message, arg A) (any, error)) {
	cdk.Update(func(m *cdk.Message) error {
		if err := guard(m); err != nil {
			return err
		}
		var arg A
		if err := m.Args(&arg); err != nil {
			return err
		}
		result, err := do(m, arg)
		if err != nil {
			cdk.Trap(err.Error())
		}
		if result == nil {
			return nil
		}
		return m.Reply(result)
	})
}

// changeAssets is change for what alters assets: it certifies the outcome.
func changeAssets[A any](do func(arg A, now uint64) error) {
	changeContents(
		func(*A) ([]*setContent, error) { return nil, nil },
		func(arg *A, _ map[*setContent]*digest, now uint64) error { return do(*arg, now) },
	)
}

// changeContents is changeAssets for what sets contents, too: they are hashed before
// anything changes, in as many messages as it takes.
func changeContents[A any](contents func(arg *A) ([]*setContent, error), do func(arg *A, d map[*setContent]*digest, now uint64) error) {
	change(allowed(mayCommit), func(m *cdk.Message, arg A) (any, error) {
		ops, err := contents(&arg)
		if err != nil {
			return nil, err
		}
		digests, err := state.digests(ops, func() error { return pause(m) })
		if err != nil {
			return nil, err
		}
		now := uint64(cdk.Time())
		if err := do(&arg, digests, now); err != nil {
			return nil, err
		}
		state.lastUpdate, state.stateHash = now, stateHash{}
		certify()
		return nil, nil
	})
}

// pause goes on in another message, with instructions of its own.
func pause(m *cdk.Message) error {
	_, err := m.Call(cdk.Call{Canister: cdk.Self(), Method: "api_version", Arg: []byte("DIDL\x00\x00")})
	return err
}

func allowed(what permission) func(*cdk.Message) error {
	return func(m *cdk.Message) error {
		if !state.permissions.can(m.Caller(), what) {
			//lint:ignore ST1005 clients know the text
			return fmt.Errorf("Caller does not have %s permission", what)
		}
		return nil
	}
}

func managers(m *cdk.Message) error {
	if cdk.IsController(m.Caller()) || state.permissions.can(m.Caller(), mayManagePermissions) {
		return nil
	}
	//lint:ignore ST1005 clients know the text
	return errors.New("Caller does not have ManagePermissions permission and is not a controller.")
}

func controllers(m *cdk.Message) error {
	if cdk.IsController(m.Caller()) {
		return nil
	}
	//lint:ignore ST1005 clients know the text
	return errors.New("Caller is not a controller.")
}

func anybody(*cdk.Message) error { return nil }

// managersUnlessSelf lets everybody give up a permission of their own.
func managersUnlessSelf(m *cdk.Message, of principal.ID) error {
	if m.Caller() == of {
		return nil
	}
	return managers(m)
}

func everybody(*cdk.Message) error { return nil }

func dataCertificate() []byte {
	c, _ := cdk.DataCertificate()
	return c
}

func callback() candid.Func {
	return candid.Func{Service: cdk.Self(), Method: "http_request_streaming_callback"}
}

func main() {}
