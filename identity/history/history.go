// Package history is what the identity canister tells its archive: operations on anchors,
// as Candid. It is the part of both canisters' interfaces that they must agree on
// (identity/archive/archive.did). Everybody may read the archive. So names of devices and
// of people are left out, and nothing is told of accounts at all: when one is made, its
// principal shows up at a dapp a moment later, and two of them would give away that they
// are one person's.
package history

import "portico/lightclient/principal"

// Entry is one operation.
type Entry struct {
	Anchor    uint64       `candid:"anchor"`
	Operation Operation    `candid:"operation"`
	Timestamp uint64       `candid:"timestamp"` // nanoseconds since 1970
	Caller    principal.ID `candid:"caller"`
	Sequence  uint64       `candid:"sequence_number"` // from 0 on, without gaps
}

// Buffered is an entry on its way to the archive, which does not read it.
type Buffered struct {
	Anchor    uint64 `candid:"anchor_number"`
	Timestamp uint64 `candid:"timestamp"`
	Sequence  uint64 `candid:"sequence_number"`
	Entry     []byte `candid:"entry"` // an Entry, Candid
}

// Init is what an archive is installed and upgraded with.
type Init struct {
	Identity   principal.ID `candid:"ii_canister"`
	MaxEntries uint16       `candid:"max_entries_per_call"`
	Interval   uint64       `candid:"polling_interval_ns"`
	MaxErrors  uint16       `candid:"error_buffer_limit"` // how many failed calls it remembers
}

// Operation is a change of an anchor. Exactly one field is set.
type Operation struct {
	Register        *Registered `candid:"register_anchor,variant"`
	AddDevice       *Added      `candid:"add_device,variant"`
	UpdateDevice    *Updated    `candid:"update_device,variant"`
	ReplaceDevice   *Replaced   `candid:"replace_device,variant"`
	RemoveDevice    *Removed    `candid:"remove_device,variant"`
	ReplaceMetadata *Metadata   `candid:"identity_metadata_replace,variant"`
	AddName         bool        `candid:"add_name,variant"`
	UpdateName      bool        `candid:"update_name,variant"`
	RemoveName      bool        `candid:"remove_name,variant"`
}

type (
	// Registered is a new anchor with its first device.
	Registered struct {
		Device Device `candid:"device"`
	}

	// Added is a device that was added.
	Added struct {
		Device Device `candid:"device"`
	}

	// Updated is what changed of the device with a key. What is nil stayed.
	Updated struct {
		Key     []byte `candid:"device"`
		Changes Update `candid:"new_values"`
	}

	// Replaced is a device in the place of the one with a key.
	Replaced struct {
		Old []byte `candid:"old_device"`
		New Device `candid:"new_device"`
	}

	// Removed is the key of a device that is gone.
	Removed struct {
		Key []byte `candid:"device"`
	}

	// Metadata is the names of an anchor's new metadata.
	Metadata struct {
		Names []string `candid:"metadata_keys"`
	}

	// Device is a device without its name.
	Device struct {
		PubKey       []byte     `candid:"pubkey"`
		CredentialID *[]byte    `candid:"credential_id"`
		Purpose      Purpose    `candid:"purpose"`
		KeyType      KeyType    `candid:"key_type"`
		Protection   Protection `candid:"protection"`
	}

	// Update is what is new of a device.
	Update struct {
		Alias        *Private    `candid:"alias"`
		CredentialID *[]byte     `candid:"credential_id"`
		Purpose      *Purpose    `candid:"purpose"`
		KeyType      *KeyType    `candid:"key_type"`
		Protection   *Protection `candid:"protection"`
	}

	// Private stands for something that is not told.
	Private struct {
		Redacted bool `candid:"redacted,variant"`
	}

	// Purpose is what a device is for.
	Purpose struct {
		Recovery       bool `candid:"recovery,variant"`
		Authentication bool `candid:"authentication,variant"`
	}

	// KeyType is what a device is.
	KeyType struct {
		Unknown       bool `candid:"unknown,variant"`
		Platform      bool `candid:"platform,variant"`
		CrossPlatform bool `candid:"cross_platform,variant"`
		SeedPhrase    bool `candid:"seed_phrase,variant"`
		BrowserKey    bool `candid:"browser_storage_key,variant"`
	}

	// Protection is whether others than itself may change a device.
	Protection struct {
		Protected   bool `candid:"protected,variant"`
		Unprotected bool `candid:"unprotected,variant"`
	}
)

// Redacted is what stands in the place of names.
func Redacted() Private { return Private{Redacted: true} }
