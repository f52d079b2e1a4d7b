package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"portico/identity/history"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
)

// What happens to anchors is told to the archive, if there is one: entries wait in a ring
// of slots in stable memory until the archive has fetched them and said so. While as many
// wait as the configuration allows, anchors cannot be changed: no change is ever missing
// in the archive.
const (
	// maxBuffered is how many slots there are.
	maxBuffered = 10_000
	// entrySlotBytes is the size of a slot, which begins with the length of the entry, the
	// anchor and the time.
	entrySlotBytes  = 4096
	entrySlotHeader = 2 + 8 + 8
	// maxFetchBytes bounds what is fetched at once, below what a response may have.
	maxFetchBytes = 1 << 20
)

var (
	errBuffered  = errors.New("cannot archive operation, archive entries buffer limit reached")
	errNoArchive = errors.New("no archive is deployed")
)

// commit stores an anchor like keep, and tells the archive what was done to it. Either
// both happen or neither.
func (s *store) commit(a *anchor, caller principal.ID, op history.Operation, now uint64) error {
	if err := s.room(); err != nil {
		return err
	}
	if err := s.keep(a); err != nil {
		return err
	}
	return s.record(a.number, caller, op, now)
}

// archiving reports whether there is somebody to tell.
func (s *store) archiving() bool { return s.archive.Canister != nil && s.config.Archive != nil }

// room decides whether one more entry may wait.
func (s *store) room() error {
	if s.archiving() && s.recorded-s.acknowledged >= min(s.config.Archive.BufferLimit, maxBuffered) {
		return errBuffered
	}
	return nil
}

// record has an entry wait for the archive. Who changes something asks first whether
// there is room.
func (s *store) record(number uint64, caller principal.ID, op history.Operation, now uint64) error {
	if !s.archiving() {
		return nil
	}
	entry, err := marshal.Encode(history.Entry{Anchor: number, Operation: op, Timestamp: now, Caller: caller, Sequence: s.recorded})
	if err != nil {
		return err
	}
	if len(entry) > entrySlotBytes-entrySlotHeader {
		return fmt.Errorf("an entry for the archive has %d bytes, at most %d fit", len(entry), entrySlotBytes-entrySlotHeader)
	}
	b := binary.LittleEndian.AppendUint16(make([]byte, 0, entrySlotHeader+len(entry)), uint16(len(entry)))
	b = binary.LittleEndian.AppendUint64(b, number)
	b = append(binary.LittleEndian.AppendUint64(b, now), entry...)
	whole(s.regions.Write(entryRegion, s.recorded%maxBuffered*entrySlotBytes, b))
	s.recorded++
	return nil
}

// fetch is the entries that wait, oldest first, as many as go at once.
func (s *store) fetch(caller principal.ID) ([]history.Buffered, error) {
	if err := s.checkArchive(caller); err != nil {
		return nil, err
	}
	var out []history.Buffered
	size := 0
	for seq := s.acknowledged; seq < s.recorded && len(out) < int(s.config.Archive.FetchLimit) && size < maxFetchBytes; seq++ {
		at := seq % maxBuffered * entrySlotBytes
		var head [entrySlotHeader]byte
		if err := s.regions.Read(entryRegion, at, head[:]); err != nil {
			return nil, err
		}
		n := binary.LittleEndian.Uint16(head[:])
		if int(n) > entrySlotBytes-entrySlotHeader {
			return nil, fmt.Errorf("entry %d says it has %d bytes", seq, n)
		}
		entry := make([]byte, n)
		if err := s.regions.Read(entryRegion, at+entrySlotHeader, entry); err != nil {
			return nil, err
		}
		size += len(entry)
		out = append(out, history.Buffered{
			Anchor: binary.LittleEndian.Uint64(head[2:]), Timestamp: binary.LittleEndian.Uint64(head[10:]), Sequence: seq, Entry: entry,
		})
	}
	return out, nil
}

// acknowledge forgets the entries up to a sequence number, which the archive has.
func (s *store) acknowledge(caller principal.ID, sequence uint64) error {
	if err := s.checkArchive(caller); err != nil {
		return err
	}
	if sequence >= s.recorded {
		return fmt.Errorf("entry %d was never made, the last one is %d", sequence, int64(s.recorded)-1)
	}
	s.acknowledged = max(s.acknowledged, sequence+1)
	return nil
}

func (s *store) checkArchive(caller principal.ID) error {
	switch {
	case !s.archiving():
		return errNoArchive
	case *s.archive.Canister != caller:
		return fmt.Errorf("only the archive %s may have the entries, not %s", s.archive.Canister, caller)
	}
	return nil
}

// What the archive is told of devices.

func (d *device) history() history.Device {
	return history.Device{PubKey: d.PubKey, CredentialID: d.CredentialID, Purpose: d.Purpose, KeyType: d.KeyType, Protection: d.Protection}
}

func addedDevice(d device) history.Operation {
	return history.Operation{AddDevice: &history.Added{Device: d.history()}}
}

func replacedDevice(key []byte, d device) history.Operation {
	return history.Operation{ReplaceDevice: &history.Replaced{Old: key, New: d.history()}}
}

func removedDevice(key []byte) history.Operation {
	return history.Operation{RemoveDevice: &history.Removed{Key: key}}
}

// updatedDevice tells what is different between two devices of one key.
func updatedDevice(before, after device) history.Operation {
	u := history.Updated{Key: after.PubKey}
	if before.Alias != after.Alias {
		hidden := history.Redacted()
		u.Changes.Alias = &hidden
	}
	if c := after.CredentialID; c != nil && (before.CredentialID == nil || !bytes.Equal(*before.CredentialID, *c)) {
		u.Changes.CredentialID = c
	}
	if before.Purpose != after.Purpose {
		u.Changes.Purpose = &after.Purpose
	}
	if before.KeyType != after.KeyType {
		u.Changes.KeyType = &after.KeyType
	}
	if before.Protection != after.Protection {
		u.Changes.Protection = &after.Protection
	}
	return history.Operation{UpdateDevice: &u}
}

// renamed tells that an identity's name became another.
func renamed(before, after *string) history.Operation {
	return history.Operation{AddName: before == nil && after != nil, UpdateName: before != nil && after != nil, RemoveName: after == nil}
}

func newMetadataNames(entries []metadataEntry) history.Operation {
	m := history.Metadata{}
	for _, e := range entries {
		m.Names = append(m.Names, e.Key)
	}
	return history.Operation{ReplaceMetadata: &m}
}
