package main

import "fmt"

// Metadata of the second version of the interface that means fields of a device.
const (
	aliasKey      = "alias"
	originKey     = "origin"
	usageKey      = "usage"
	attachmentKey = "authenticator_attachment"

	usagePhrase        = "recovery_phrase"
	usageBrowser       = "browser_storage_key"
	attachmentPlatform = "platform"
	attachmentCross    = "cross_platform"
)

// device is the method as a device. The error is for whoever sent invalid metadata.
func (m *authnMethodData) device() (device, error) {
	d := device{
		Purpose:    purpose{Recovery: m.Security.Purpose.Recovery, Authentication: m.Security.Purpose.Authentication},
		Protection: protection{Protected: m.Security.Protection.Protected, Unprotected: m.Security.Protection.Unprotected},
	}
	switch {
	case m.Method.WebAuthn != nil:
		w := m.Method.WebAuthn
		d.PubKey, d.CredentialID, d.AAGUID = w.PubKey, &w.CredentialID, w.AAGUID
	default:
		d.PubKey = m.Method.PubKey.PubKey
	}
	return d, d.setMetadata(m.Metadata)
}

// setMetadata takes over metadata, fields included.
func (d *device) setMetadata(entries []metadataEntry2) error {
	d.Alias, d.Origin, d.Metadata = "", nil, nil
	var usage, attachment string
	var rest []metadataEntry
	for _, e := range entries {
		var into *string
		switch e.Key {
		case aliasKey:
			into = &d.Alias
		case originKey:
			d.Origin = new(string)
			into = d.Origin
		case usageKey:
			into = &usage
		case attachmentKey:
			into = &attachment
		default:
			if reserved(e.Key) {
				return reservedName(e.Key)
			}
			rest = append(rest, metadataEntry{e.Key, e.Value.first()})
			continue
		}
		if e.Value.String == nil {
			return fmt.Errorf("the metadata %q must be a String", e.Key)
		}
		*into = *e.Value.String
	}
	if rest != nil {
		d.Metadata = &rest
	}
	d.KeyType = keyType{}
	switch {
	case usage == usagePhrase:
		d.KeyType.SeedPhrase = true
	case usage == usageBrowser:
		d.KeyType.BrowserKey = true
	case usage != "":
		return fmt.Errorf("the metadata %q is %q, not %q or %q", usageKey, usage, usagePhrase, usageBrowser)
	case attachment == attachmentPlatform:
		d.KeyType.Platform = true
	case attachment == attachmentCross:
		d.KeyType.CrossPlatform = true
	case attachment != "":
		return fmt.Errorf("the metadata %q is %q, not %q or %q", attachmentKey, attachment, attachmentPlatform, attachmentCross)
	default:
		d.KeyType.Unknown = true
	}
	return nil
}

// method is the device without what only its owner may know.
func (d *usedDevice) method() authnMethod {
	if d.CredentialID != nil {
		return authnMethod{WebAuthn: &webAuthn{*d.CredentialID, d.PubKey, d.AAGUID}}
	}
	return authnMethod{PubKey: &publicKeyAuthn{d.PubKey}}
}

// data is the device as the second version of the interface has it.
func (d *usedDevice) data() authnMethodData {
	m := authnMethodData{
		Method: d.method(), LastUsed: d.LastUsage,
		Security: securitySettings{
			Protection: protection2{Protected: d.Protection.Protected, Unprotected: d.Protection.Unprotected},
			Purpose:    purpose2{Recovery: d.Purpose.Recovery, Authentication: d.Purpose.Authentication},
		},
	}
	say := func(key, value string) {
		m.Metadata = append(m.Metadata, metadataEntry2{key, metadataValue2{String: &value}})
	}
	say(aliasKey, d.Alias)
	if d.Origin != nil {
		say(originKey, *d.Origin)
	}
	switch {
	case d.KeyType.SeedPhrase:
		say(usageKey, usagePhrase)
	case d.KeyType.BrowserKey:
		say(usageKey, usageBrowser)
	case d.KeyType.Platform:
		say(attachmentKey, attachmentPlatform)
	case d.KeyType.CrossPlatform:
		say(attachmentKey, attachmentCross)
	}
	m.Metadata = append(m.Metadata, newMetadata(d.Metadata)...)
	return m
}

// first, oldMetadata and newMetadata turn metadata of one version into the other's.
func (v metadataValue2) first() metadataValue {
	if v.Map == nil {
		return metadataValue{String: v.String, Bytes: v.Bytes}
	}
	m := oldMetadata(*v.Map)
	return metadataValue{Map: &m}
}

func oldMetadata(entries []metadataEntry2) []metadataEntry {
	out := make([]metadataEntry, len(entries))
	for i, e := range entries {
		out[i] = metadataEntry{e.Key, e.Value.first()}
	}
	return out
}

func newMetadata(entries *[]metadataEntry) []metadataEntry2 {
	if entries == nil {
		return nil
	}
	out := make([]metadataEntry2, len(*entries))
	for i, e := range *entries {
		v := metadataValue2{String: e.Value.String, Bytes: e.Value.Bytes}
		if e.Value.Map != nil {
			m := newMetadata(e.Value.Map)
			v.Map = &m
		}
		out[i] = metadataEntry2{e.Key, v}
	}
	return out
}
