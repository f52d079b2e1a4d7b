package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"portico/identity/history"
	"portico/identity/stable"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
)

// Bounds of anchors and devices.
const (
	// slotBytes is what an anchor takes of stable memory; its record begins with its length.
	slotBytes   = 4096
	slotRoom    = slotBytes - 2
	maxDevices  = 10
	maxVariable = 2500 // bytes of all fields of varying length together

	maxAlias        = 64
	maxPubKey       = 300
	maxCredentialID = 350
	maxDeviceOrigin = 50
	aaguidBytes     = 16
	maxNameBytes    = 128
)

// anchor is an identity as it is stored.
type anchor struct {
	Devices   []usedDevice     `candid:"devices"`
	Metadata  *[]metadataEntry `candid:"metadata"`
	Name      *string          `candid:"name"`
	CreatedAt *uint64          `candid:"created_at"`
	Accounts  uint32           `candid:"accounts"` // stored ones, at all origins

	number uint64
	before []usedDevice // as they are stored and indexed
	used   bool         // a device's last use is not stored yet
}

// Errors of changes to an anchor. The texts are those that clients of the first version
// of the interface see.
var (
	errNoAnchor = errors.New("there is no such anchor")
	errTaken    = errors.New("Passkey with this public key or credential id is already used") //lint:ignore ST1005 clients show it
	errNoDevice = errors.New("the anchor has no device with this public key")
)

// find is the index of the device with a key, or negative.
func (a *anchor) find(pubkey []byte) int {
	for i := range a.Devices {
		if bytes.Equal(a.Devices[i].PubKey, pubkey) {
			return i
		}
	}
	return -1
}

// owner is the index of the device that a caller proved to have the key of, or negative.
func (a *anchor) owner(caller principal.ID) int {
	for i := range a.Devices {
		if principal.SelfAuthenticating(a.Devices[i].PubKey) == caller {
			return i
		}
	}
	return -1
}

// add adds a device.
func (a *anchor) add(d device) error {
	if a.find(d.PubKey) >= 0 {
		return fmt.Errorf("the anchor has a device with this key already: %w", errTaken)
	}
	if err := d.check(); err != nil {
		return err
	}
	a.Devices = append(a.Devices, d.used(nil))
	return a.check()
}

// change replaces what is known of a device, which keeps its key, and tells what that was.
func (a *anchor) change(caller principal.ID, pubkey []byte, d device) (before device, err error) {
	i, err := a.mutable(caller, pubkey)
	if err != nil {
		return device{}, err
	}
	if !bytes.Equal(pubkey, d.PubKey) {
		return device{}, errors.New("a device's key cannot be updated, replace the device")
	}
	if err := d.check(); err != nil {
		return device{}, err
	}
	before = a.Devices[i].plain()
	a.Devices[i] = d.used(a.Devices[i].LastUsage)
	return before, a.check()
}

// replace puts a device in the place of another.
func (a *anchor) replace(caller principal.ID, pubkey []byte, d device) error {
	if err := a.remove(caller, pubkey); err != nil {
		return err
	}
	return a.add(d)
}

// remove removes a device. No bound is checked, so that every anchor can be put in order.
func (a *anchor) remove(caller principal.ID, pubkey []byte) error {
	i, err := a.mutable(caller, pubkey)
	if err != nil {
		return err
	}
	a.Devices = append(a.Devices[:i:i], a.Devices[i+1:]...)
	return nil
}

// mutable finds a device and checks that the caller may change it: one that is
// protected only with its own key.
func (a *anchor) mutable(caller principal.ID, pubkey []byte) (int, error) {
	i := a.find(pubkey)
	if i < 0 {
		return i, errNoDevice
	}
	if id := principal.SelfAuthenticating(pubkey); a.Devices[i].Protection.Protected && caller != id {
		return i, fmt.Errorf("the device is protected: only %s can change it, not %s", id, caller)
	}
	return i, nil
}

// check decides whether an anchor keeps its bounds.
func (a *anchor) check() error {
	if len(a.Devices) > maxDevices {
		return fmt.Errorf("an anchor has at most %d devices", maxDevices)
	}
	if n := a.variable(); n > maxVariable {
		return fmt.Errorf("the devices and metadata have %d bytes in all, at most %d fit", n, maxVariable)
	}
	phrases := 0
	for i, d := range a.Devices {
		if d.KeyType.SeedPhrase {
			phrases++
		}
		for _, o := range a.Devices[:i] {
			if d.CredentialID != nil && o.CredentialID != nil && bytes.Equal(*d.CredentialID, *o.CredentialID) {
				return errTaken
			}
		}
	}
	if phrases > 1 {
		return errors.New("there is a recovery phrase already, and only one is allowed")
	}
	return nil
}

func (a *anchor) variable() int {
	n := metadataBytes(a.Metadata)
	for _, d := range a.Devices {
		n += len(d.PubKey) + len(d.Alias) + metadataBytes(d.Metadata)
		if d.CredentialID != nil {
			n += len(*d.CredentialID)
		}
		if d.Origin != nil {
			n += len(*d.Origin)
		}
	}
	return n
}

// metadataBytes counts names and values, and a few bytes for each so that entries
// without either have their price.
func metadataBytes(m *[]metadataEntry) int {
	if m == nil {
		return 0
	}
	n := 0
	for _, e := range *m {
		n += 4 + len(e.Key) + metadataBytes(e.Value.Map)
		if e.Value.String != nil {
			n += len(*e.Value.String)
		}
		if e.Value.Bytes != nil {
			n += len(*e.Value.Bytes)
		}
	}
	return n
}

// check decides whether a device may be stored.
func (d *device) check() error {
	if len(d.PubKey) > maxPubKey {
		return fmt.Errorf("a public key has at most %d bytes, not %d", maxPubKey, len(d.PubKey))
	}
	if err := checkKey(d.PubKey); err != nil {
		return err
	}
	switch {
	case len(d.Alias) > maxAlias:
		return fmt.Errorf("an alias has at most %d bytes, not %d", maxAlias, len(d.Alias))
	case d.CredentialID != nil && (len(*d.CredentialID) == 0 || len(*d.CredentialID) > maxCredentialID):
		return fmt.Errorf("a credential id has at least one byte and at most %d, not %d", maxCredentialID, len(*d.CredentialID))
	case d.Origin != nil && len(*d.Origin) > maxDeviceOrigin:
		return fmt.Errorf("a device's origin has at most %d bytes, not %d", maxDeviceOrigin, len(*d.Origin))
	case d.AAGUID != nil && len(*d.AAGUID) != aaguidBytes:
		return fmt.Errorf("an AAGUID has %d bytes, not %d", aaguidBytes, len(*d.AAGUID))
	case d.KeyType.SeedPhrase && d.CredentialID != nil:
		return errors.New("a recovery phrase has no credential id")
	case d.Protection.Protected && !d.KeyType.SeedPhrase:
		return errors.New("only a recovery phrase can be protected")
	}
	if d.Metadata != nil {
		for _, e := range *d.Metadata {
			if reserved(e.Key) {
				return reservedName(e.Key)
			}
		}
	}
	return nil
}

func reservedName(key string) error { return fmt.Errorf("the metadata's name %q is reserved", key) }

// reserved reports whether a name of metadata means a field of a device.
func reserved(key string) bool {
	switch key {
	case "pubkey", "alias", "credential_id", "purpose", "key_type", "protection", "origin", "last_usage_timestamp", "metadata", "usage", "authenticator_attachment":
		return true
	}
	return false
}

// anchor reads an anchor.
func (s *store) anchor(number uint64) (*anchor, error) {
	lo, _ := s.numbers()
	if number < lo || number-lo >= s.anchors {
		return nil, errNoAnchor
	}
	off := (number - lo) * slotBytes
	var size [2]byte
	if err := s.regions.Read(anchorRegion, off, size[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint16(size[:])
	if n > slotRoom {
		return nil, fmt.Errorf("the record of anchor %d says it has %d bytes", number, n)
	}
	b := make([]byte, n)
	if err := s.regions.Read(anchorRegion, off+2, b); err != nil {
		return nil, err
	}
	a := &anchor{}
	if err := marshal.Decode(b, a); err != nil {
		return nil, fmt.Errorf("the record of anchor %d: %w", number, err)
	}
	a.number, a.before = number, append([]usedDevice(nil), a.Devices...)
	return a, nil
}

// errSpace is an anchor that does not fit its slot.
type errSpace struct{ required int }

func (e errSpace) Error() string {
	return fmt.Sprintf("the anchor's record has %d bytes, at most %d fit", e.required, slotRoom)
}

// keep stores an anchor and brings the index up to date with its devices. It fails
// before it changes anything if a key or credential belongs to another device, or if
// the record is too large.
func (s *store) keep(a *anchor) error {
	b, err := marshal.Encode(*a)
	if err != nil {
		return err
	}
	if len(b) > slotRoom {
		return errSpace{len(b)}
	}
	gone, come := s.namesOf(a.before, a.Devices), s.namesOf(a.Devices, a.before)
	for _, k := range come {
		if _, taken, err := s.index.Get(k); err != nil {
			return err
		} else if taken {
			return errTaken
		}
	}
	for _, k := range gone {
		whole(s.index.Delete(k))
	}
	for _, k := range come {
		whole(s.index.Put(k, a.number))
	}
	a.before = append([]usedDevice(nil), a.Devices...)
	lo, _ := s.numbers()
	record := binary.LittleEndian.AppendUint16(make([]byte, 0, 2+len(b)), uint16(len(b)))
	whole(s.regions.Write(anchorRegion, (a.number-lo)*slotBytes, append(record, b...)))
	return nil
}

// namesOf are the names in the index of some devices that other devices do not have.
func (s *store) namesOf(devices, without []usedDevice) []stable.Name {
	var out []stable.Name
	for _, d := range devices {
		sameKey, sameCredential := false, d.CredentialID == nil
		for _, o := range without {
			sameKey = sameKey || bytes.Equal(d.PubKey, o.PubKey)
			sameCredential = sameCredential || o.CredentialID != nil && bytes.Equal(*d.CredentialID, *o.CredentialID)
		}
		if !sameKey {
			out = append(out, s.index.Name(principalName, principal.SelfAuthenticating(d.PubKey).Bytes()))
		}
		if !sameCredential {
			out = append(out, s.index.Name(credentialName, *d.CredentialID))
		}
	}
	return out
}

// register makes a new anchor with one device. The numbers are consecutive.
func (s *store) register(caller principal.ID, d device, named *string, now uint64) (*anchor, error) {
	lo, hi := s.numbers()
	if lo+s.anchors >= hi {
		return nil, stable.ErrFull
	}
	a := &anchor{number: lo + s.anchors, Name: named, CreatedAt: &now}
	if err := a.add(d); err != nil {
		return nil, err
	}
	op := history.Operation{Register: &history.Registered{Device: d.history()}}
	if err := s.commit(a, caller, op, now); err != nil {
		return nil, err
	}
	s.anchors++
	return a, nil
}
