package signature

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/certificate"
	"portico/lightclient/hashtree"
)

// cloudEngine is the type of subnets whose canisters cannot sign for users.
const cloudEngine = "cloud_engine"

// verifyCanister checks a canister signature (interface specification, "Canister
// signatures"): a certificate shows the canister's certified data, which is the
// root of a tree that has the message below the key's seed.
func (v *Verifier) verifyCanister(key *PublicKey, msg, sig []byte) error {
	s, err := decodeCanisterSig(sig)
	if err != nil {
		return err
	}
	cert, err := v.checkCertificate(key, s.certificate)
	if err != nil {
		return err
	}
	certified, status := hashtree.Lookup(cert.Tree, []byte("canister"), key.Signer.Bytes(), []byte("certified_data"))
	if status != hashtree.Found {
		return fmt.Errorf("the certificate does not show the certified data of canister %s", key.Signer)
	}
	root := s.tree.Hash()
	if !bytes.Equal(certified, root[:]) {
		return fmt.Errorf("the tree's root hash is not the certified data of canister %s", key.Signer)
	}
	seed, digest := sha256.Sum256(key.Seed), sha256.Sum256(msg)
	value, status := hashtree.Lookup(s.tree, []byte("sig"), seed[:], digest[:])
	if status != hashtree.Found || len(value) != 0 {
		return fmt.Errorf("the tree does not show that canister %s signed this message with this seed", key.Signer)
	}
	return nil
}

// checkCertificate verifies a certificate as of its own time: signatures of
// canisters have no age, delegations of users live much longer than certificates
// are fresh, and their expiry is checked where they are used.
func (v *Verifier) checkCertificate(key *PublicKey, encoded []byte) (*certificate.Certificate, error) {
	if v.certificates == nil {
		return nil, errors.New("canister signatures are not accepted here")
	}
	issued, err := certificateTime(encoded)
	if err != nil {
		return nil, err
	}
	cert, err := v.certificates.Canister(encoded, key.Signer, issued)
	if err != nil {
		return nil, err
	}
	return cert, checkSubnetType(cert)
}

func certificateTime(encoded []byte) (time.Time, error) {
	cert, err := certificate.Parse(encoded)
	if err != nil {
		return time.Time{}, err
	}
	t, err := cert.Time()
	if err != nil {
		return time.Time{}, fmt.Errorf("certificate: %w", err)
	}
	return t, nil
}

// checkSubnetType looks into the delegation of a certificate, which was verified
// with it. The root subnet's certificates have none.
func checkSubnetType(cert *certificate.Certificate) error {
	if cert.Delegation == nil {
		return nil
	}
	parent, err := certificate.Parse(cert.Delegation.Certificate)
	if err != nil {
		return fmt.Errorf("delegation: %w", err)
	}
	subnet := cert.Delegation.Subnet
	kind, status := hashtree.Lookup(parent.Tree, []byte("subnet"), subnet.Bytes(), []byte("type"))
	switch {
	case status != hashtree.Found:
		return fmt.Errorf("the delegation does not show the type of subnet %s", subnet)
	case string(kind) == cloudEngine:
		return fmt.Errorf("subnet %s is of type %s, whose canisters cannot sign for users", subnet, cloudEngine)
	}
	return nil
}

type canisterSig struct {
	certificate []byte
	tree        hashtree.Tree
}

func decodeCanisterSig(sig []byte) (canisterSig, error) {
	d := cbor.NewDecoder(sig)
	d.SkipSelfDescribe()
	n, err := d.Map()
	if err != nil {
		return canisterSig{}, err
	}
	var s canisterSig
	for i := 0; d.More(i, n); i++ {
		key, err := d.Text()
		if err != nil {
			return canisterSig{}, err
		}
		switch {
		case key == "certificate" && s.certificate == nil:
			s.certificate, err = d.Bytes()
		case key == "tree" && s.tree == nil:
			s.tree, err = hashtree.DecodeFrom(d)
		default:
			err = fmt.Errorf("unexpected or repeated field %q", key)
		}
		if err != nil {
			return canisterSig{}, fmt.Errorf("canister signature: %w", err)
		}
	}
	if s.certificate == nil || s.tree == nil {
		return canisterSig{}, errors.New("canister signature lacks certificate or tree")
	}
	return s, d.End()
}
