package main

import (
	"portico/identity/history"
	"portico/lightclient/principal"
)

// Types of the first version of the interface, of accounts, delegations and HTTP, see
// identity.did.

type (
	device struct {
		PubKey       []byte           `candid:"pubkey"`
		Alias        string           `candid:"alias"`
		CredentialID *[]byte          `candid:"credential_id"`
		AAGUID       *[]byte          `candid:"aaguid"`
		Purpose      purpose          `candid:"purpose"`
		KeyType      keyType          `candid:"key_type"`
		Protection   protection       `candid:"protection"`
		Origin       *string          `candid:"origin"`
		Metadata     *[]metadataEntry `candid:"metadata"`
	}

	// usedDevice is a device with when it was last used, which nobody can write.
	usedDevice struct {
		PubKey       []byte           `candid:"pubkey"`
		Alias        string           `candid:"alias"`
		CredentialID *[]byte          `candid:"credential_id"`
		AAGUID       *[]byte          `candid:"aaguid"`
		Purpose      purpose          `candid:"purpose"`
		KeyType      keyType          `candid:"key_type"`
		Protection   protection       `candid:"protection"`
		Origin       *string          `candid:"origin"`
		LastUsage    *uint64          `candid:"last_usage"`
		Metadata     *[]metadataEntry `candid:"metadata"`
	}

	purpose    = history.Purpose
	keyType    = history.KeyType
	protection = history.Protection

	metadataEntry struct {
		Key   string        `candid:"0"`
		Value metadataValue `candid:"1"`
	}

	metadataValue struct {
		Map    *[]metadataEntry `candid:"map,variant"`
		String *string          `candid:"string,variant"`
		Bytes  *[]byte          `candid:"bytes,variant"`
	}
)

func (d device) used(at *uint64) usedDevice {
	return usedDevice{d.PubKey, d.Alias, d.CredentialID, d.AAGUID, d.Purpose, d.KeyType, d.Protection, d.Origin, at, d.Metadata}
}

func (d usedDevice) plain() device {
	return device{d.PubKey, d.Alias, d.CredentialID, d.AAGUID, d.Purpose, d.KeyType, d.Protection, d.Origin, d.Metadata}
}

type (
	challenge struct {
		PNG string `candid:"png_base64"`
		Key string `candid:"challenge_key"`
	}

	challengeResult struct {
		Key   string `candid:"key"`
		Chars string `candid:"chars"`
	}

	registered struct {
		Number uint64 `candid:"user_number"`
	}

	registerResponse struct {
		Registered   *registered `candid:"registered,variant"`
		Full         bool        `candid:"canister_full,variant"`
		BadChallenge bool        `candid:"bad_challenge,variant"`
	}

	addedTentatively struct {
		Code    string `candid:"verification_code"`
		Timeout uint64 `candid:"device_registration_timeout"`
	}

	addTentativeResponse struct {
		Added   *addedTentatively `candid:"added_tentatively,variant"`
		ModeOff bool              `candid:"device_registration_mode_off,variant"`
		Another bool              `candid:"another_device_tentatively_added,variant"`
		Used    bool              `candid:"passkey_with_this_public_key_is_already_used,variant"`
	}

	retries struct {
		Left uint8 `candid:"retries_left"`
	}

	verifyTentativeResponse struct {
		Verified bool     `candid:"verified,variant"`
		Wrong    *retries `candid:"wrong_code,variant"`
		ModeOff  bool     `candid:"device_registration_mode_off,variant"`
		Nothing  bool     `candid:"no_device_to_verify,variant"`
	}

	registrationInfo struct {
		Device     *device       `candid:"tentative_device"`
		Session    *principal.ID `candid:"tentative_session"`
		Expiration uint64        `candid:"expiration"`
	}

	anchorInfo struct {
		Devices      []usedDevice      `candid:"devices"`
		Registration *registrationInfo `candid:"device_registration"`
		Name         *string           `candid:"name"`
		CreatedAt    *uint64           `candid:"created_at"`
	}

	credential struct {
		ID     []byte `candid:"credential_id"`
		PubKey []byte `candid:"pubkey"`
	}

	anchorCredentials struct {
		Credentials []credential `candid:"credentials"`
		Recovery    []credential `candid:"recovery_credentials"`
		Phrases     [][]byte     `candid:"recovery_phrases"`
	}

	keyWithAnchor struct {
		PubKey []byte `candid:"pubkey"`
		Anchor uint64 `candid:"anchor_number"`
	}
)

type (
	delegation struct {
		PubKey      []byte          `candid:"pubkey"`
		Expiration  uint64          `candid:"expiration"`
		Targets     *[]principal.ID `candid:"targets"`
		Permissions *string         `candid:"permissions"`
	}

	signedDelegation struct {
		Delegation delegation `candid:"delegation"`
		Signature  []byte     `candid:"signature"`
	}

	getDelegationResponse struct {
		Signed *signedDelegation `candid:"signed_delegation,variant"`
		None   bool              `candid:"no_such_delegation,variant"`
	}

	permissions struct {
		Queries bool `candid:"queries,variant"`
		All     bool `candid:"all,variant"`
	}

	preparedDelegation struct {
		UserKey    []byte  `candid:"user_key"`
		Expiration uint64  `candid:"expiration"`
		Account    *uint64 `candid:"account_number"`
	}

	accountInfo struct {
		Number   *uint64 `candid:"account_number"`
		Origin   string  `candid:"origin"`
		LastUsed *uint64 `candid:"last_used"`
		Name     *string `candid:"name"`
	}

	accountUpdate struct {
		Name *string `candid:"name"`
	}

	delegationError struct {
		Internal     *string       `candid:"InternalCanisterError,variant"`
		Unauthorized *principal.ID `candid:"Unauthorized,variant"`
		None         bool          `candid:"NoSuchDelegation,variant"`
	}

	changeAccountError struct {
		Internal     *string       `candid:"InternalCanisterError,variant"`
		Limit        bool          `candid:"AccountLimitReached,variant"`
		Unauthorized *principal.ID `candid:"Unauthorized,variant"`
		NameTooLong  bool          `candid:"NameTooLong,variant"`
	}

	noSuchOrigin struct {
		Anchor uint64 `candid:"anchor_number"`
	}

	noSuchAccount struct {
		Anchor uint64 `candid:"anchor_number"`
		Origin string `candid:"origin"`
	}

	getDefaultError struct {
		Internal     *string       `candid:"InternalCanisterError,variant"`
		Unauthorized *principal.ID `candid:"Unauthorized,variant"`
		NoAnchor     bool          `candid:"NoSuchAnchor,variant"`
		NoOrigin     *noSuchOrigin `candid:"NoSuchOrigin,variant"`
	}

	setDefaultError struct {
		Internal     *string        `candid:"InternalCanisterError,variant"`
		Unauthorized *principal.ID  `candid:"Unauthorized,variant"`
		NoAnchor     bool           `candid:"NoSuchAnchor,variant"`
		NoOrigin     *noSuchOrigin  `candid:"NoSuchOrigin,variant"`
		NoAccount    *noSuchAccount `candid:"NoSuchAccount,variant"`
	}
)

type (
	headerField struct {
		Name  string `candid:"0"`
		Value string `candid:"1"`
	}

	httpRequest struct {
		Method             string        `candid:"method"`
		URL                string        `candid:"url"`
		Headers            []headerField `candid:"headers"`
		Body               []byte        `candid:"body"`
		CertificateVersion *uint16       `candid:"certificate_version"`
	}

	httpResponse struct {
		Status  uint16        `candid:"status_code"`
		Headers []headerField `candid:"headers"`
		Body    []byte        `candid:"body"`
		Upgrade *bool         `candid:"upgrade"`
	}
)
