package main

import (
	"errors"
	"fmt"

	"portico/lightclient/principal"
	"portico/node/cdk"
)

// The second version of the interface: what goes wrong is an answer where the interface
// has a word for it, and traps where it has none.

// seedBy asks the network for the seed of a captcha, on behalf of a message.
func seedBy(m *cdk.Message) func() (captchaSeed, error) {
	return func() (seed captchaSeed, err error) {
		b, err := randomness(m)
		if err != nil {
			return seed, err
		}
		if copy(seed[:], b) != len(seed) {
			return seed, fmt.Errorf("there are %d bytes of randomness, not %d", len(b), len(seed))
		}
		return seed, nil
	}
}

//go:wasmexport canister_update_identity_registration_start
func registrationStart() {
	update(func(m *cdk.Message) (any, error) { return state.startFlow(m.Caller(), seedBy(m), now()) })
}

//go:wasmexport canister_update_check_captcha
func checkCaptcha() {
	var arg checkCaptchaArg
	update(func(m *cdk.Message) (any, error) {
		return state.solveCaptcha(m.Caller(), arg.Solution, seedBy(m), now())
	}, &arg)
}

//go:wasmexport canister_update_identity_registration_finish
func registrationFinish() {
	var arg finishArg
	update(func(m *cdk.Message) (any, error) { return state.finishFlow(m.Caller(), arg, now()) }, &arg)
}

//go:wasmexport canister_query_identity_authn_info
func authnInfo() {
	var number uint64
	type answer struct {
		Ok  *identityAuthnInfo `candid:"Ok,variant"`
		Err bool               `candid:"Err,variant"`
	}
	query(func(principal.ID) (any, error) {
		a, err := state.anchor(number)
		if errors.Is(err, errNoAnchor) {
			return answer{Err: true}, nil
		}
		if err != nil {
			return nil, err
		}
		var info identityAuthnInfo
		for _, d := range a.Devices {
			if d.Purpose.Recovery {
				info.Recovery = append(info.Recovery, d.method())
			} else {
				info.Methods = append(info.Methods, d.method())
			}
		}
		return answer{Ok: &info}, nil
	}, &number)
}

//go:wasmexport canister_update_identity_info
func getIdentityInfo() {
	var number uint64
	update(func(m *cdk.Message) (any, error) {
		a, err := state.use(m.Caller(), number, now())
		if err != nil {
			return failed[identityInfo](identityInfoError{Unauthorized: refused(err), Internal: other(err)}), nil
		}
		info := identityInfo{Metadata: newMetadata(a.Metadata), Name: a.Name, CreatedAt: a.CreatedAt}
		for _, d := range a.Devices {
			info.Methods = append(info.Methods, d.data())
		}
		if x := state.pairings.get(number, now()); x != nil {
			info.Registration = &registrationInfo2{Session: x.session, Expiration: x.expires}
			if x.device != nil {
				d := x.device.used(nil)
				data := d.data()
				info.Registration.Method = &data
			}
		}
		return ok[identityInfo, identityInfoError](info), nil
	}, &number)
}

// refused is who was refused, or nil if err is something else; other is what else err
// is, or nil.
func refused(err error) *principal.ID {
	var u unauthorized
	if errors.As(err, &u) {
		return &u.caller
	}
	return nil
}

func other(err error) *string {
	if refused(err) != nil {
		return nil
	}
	return textOf(err)
}

func tooLarge(err error) *space {
	var e errSpace
	if errors.As(err, &e) {
		return &space{slotRoom, uint64(e.required)}
	}
	return nil
}

//go:wasmexport canister_update_identity_metadata_replace
func metadataReplace() {
	var number uint64
	var entries []metadataEntry2
	update(func(m *cdk.Message) (any, error) {
		a, err := state.open(m.Caller(), number, now())
		if err != nil {
			return unfinished(metadataReplaceError{Unauthorized: refused(err), Internal: other(err)}), nil
		}
		old := oldMetadata(entries)
		a.Metadata = &old
		if n := a.variable(); n > maxVariable {
			return unfinished(metadataReplaceError{Space: &space{maxVariable, uint64(n)}}), nil
		}
		if err := state.commit(a, m.Caller(), newMetadataNames(old), now()); err != nil {
			if s := tooLarge(err); s != nil {
				return unfinished(metadataReplaceError{Space: s}), nil
			}
			return nil, err
		}
		return finished[metadataReplaceError](), nil
	}, &number, &entries)
}

//go:wasmexport canister_update_identity_properties_replace
func propertiesReplace() {
	var number uint64
	var p properties
	update(func(m *cdk.Message) (any, error) {
		a, err := state.open(m.Caller(), number, now())
		if err != nil {
			return unfinished(propertiesReplaceError{Unauthorized: refused(err), Internal: other(err)}), nil
		}
		if p.Name != nil && len(*p.Name) > maxNameBytes {
			return unfinished(propertiesReplaceError{NameTooLong: &limitInfo{maxNameBytes}}), nil
		}
		op := renamed(a.Name, p.Name)
		a.Name = p.Name
		if err := state.commit(a, m.Caller(), op, now()); err != nil {
			if s := tooLarge(err); s != nil {
				return unfinished(propertiesReplaceError{Space: s}), nil
			}
			return nil, err
		}
		return finished[propertiesReplaceError](), nil
	}, &number, &p)
}

//go:wasmexport canister_update_authn_method_add
func methodAdd() {
	var number uint64
	var m authnMethodData
	update(func(msg *cdk.Message) (any, error) {
		a, err := state.open(msg.Caller(), number, now())
		if err != nil {
			return nil, err
		}
		d, err := m.device()
		if err != nil {
			return unfinished(methodAddError{textOf(err)}), nil
		}
		if err := a.add(d); err != nil {
			return nil, err
		}
		return finished[methodAddError](), state.commit(a, msg.Caller(), addedDevice(d), now())
	}, &number, &m)
}

//go:wasmexport canister_update_authn_method_replace
func methodReplace() {
	var number uint64
	var key []byte
	var m authnMethodData
	update(func(msg *cdk.Message) (any, error) {
		a, err := state.open(msg.Caller(), number, now())
		if err != nil {
			return nil, err
		}
		d, err := m.device()
		if err != nil {
			return unfinished(methodReplaceError{Invalid: textOf(err)}), nil
		}
		err = a.replace(msg.Caller(), key, d)
		if err == nil {
			err = state.commit(a, msg.Caller(), replacedDevice(key, d), now())
		}
		switch {
		case errors.Is(err, errNoDevice):
			return unfinished(methodReplaceError{NotFound: true}), nil
		case errors.Is(err, errTaken):
			return unfinished(methodReplaceError{Used: true}), nil
		}
		return finished[methodReplaceError](), err
	}, &number, &key, &m)
}

// changeMethod changes the device with a key by change; notFound tells that there is none.
func changeMethod(msg *cdk.Message, number uint64, key []byte, change func(d *device) error) (notFound bool, err error) {
	a, err := state.open(msg.Caller(), number, now())
	if err != nil {
		return false, err
	}
	i := a.find(key)
	if i < 0 {
		return true, nil
	}
	d := a.Devices[i].plain()
	if err := change(&d); err != nil {
		return false, err
	}
	before, err := a.change(msg.Caller(), key, d)
	if err != nil {
		return false, err
	}
	return false, state.commit(a, msg.Caller(), updatedDevice(before, d), now())
}

// invalidMetadata is metadata that a device cannot have.
type invalidMetadata struct{ error }

//go:wasmexport canister_update_authn_method_metadata_replace
func methodMetadataReplace() {
	var number uint64
	var key []byte
	var entries []metadataEntry2
	update(func(msg *cdk.Message) (any, error) {
		missing, err := changeMethod(msg, number, key, func(d *device) error {
			if err := d.setMetadata(entries); err != nil {
				return invalidMetadata{err}
			}
			return nil
		})
		var invalid invalidMetadata
		switch {
		case missing:
			return unfinished(methodMetadataError{NotFound: true}), nil
		case errors.As(err, &invalid):
			return unfinished(methodMetadataError{Invalid: textOf(err)}), nil
		}
		return finished[methodMetadataError](), err
	}, &number, &key, &entries)
}

//go:wasmexport canister_update_authn_method_security_settings_replace
func methodSecurityReplace() {
	var number uint64
	var key []byte
	var settings securitySettings
	update(func(msg *cdk.Message) (any, error) {
		missing, err := changeMethod(msg, number, key, func(d *device) error {
			d.Purpose = purpose{Recovery: settings.Purpose.Recovery, Authentication: settings.Purpose.Authentication}
			d.Protection = protection{Protected: settings.Protection.Protected, Unprotected: settings.Protection.Unprotected}
			return nil
		})
		if missing {
			return unfinished(methodSecurityError{NotFound: true}), nil
		}
		return finished[methodSecurityError](), err
	}, &number, &key, &settings)
}

//go:wasmexport canister_update_authn_method_remove
func methodRemove() {
	var number uint64
	var key []byte
	update(func(msg *cdk.Message) (any, error) {
		a, err := state.open(msg.Caller(), number, now())
		if err != nil {
			return nil, err
		}
		if err := a.remove(msg.Caller(), key); errors.Is(err, errNoDevice) {
			return outcome{Err: true}, nil
		} else if err != nil {
			return nil, err
		}
		return outcome{Ok: true}, state.commit(a, msg.Caller(), removedDevice(key), now())
	}, &number, &key)
}
