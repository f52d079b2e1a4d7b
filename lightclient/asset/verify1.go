package asset

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"portico/lightclient/certificate"
	"portico/lightclient/digest"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/lightclient/reason"
)

// verifyBody is version 1: the tree has the hash of the body for its path.
func (v *Verifier) verifyBody(c *Certification, path string, resp *Response, out *Verified) error {
	if v.AllowVersion1 == nil {
		return refuse(ReasonVersion, "version 1 is not accepted here")
	}
	// Nothing but the body is certified, and a redirect leads away from it.
	if resp.Status >= 300 && resp.Status < 400 {
		return refuse(ReasonStatus, "version 1 does not certify it, so a redirect ("+strconv.Itoa(int(resp.Status))+") is refused")
	}
	certified, err := certifiedBody(c.Tree, path)
	if err != nil {
		return err
	}
	if err := v.checkBody(certified, resp); err != nil {
		return err
	}
	if err := v.AllowVersion1(out.Report.Canister); err != nil {
		return refuseFor(ReasonDowngrade, err)
	}
	out.Report.Scope = ScopeBody
	for _, h := range resp.Headers {
		if strings.EqualFold(h.Name, "cache-control") { // would let a forged answer outlive the certificate
			out.Report.DroppedHeaders = append(out.Report.DroppedHeaders, lower(h.Name))
			continue
		}
		out.Headers = append(out.Headers, h)
	}
	return nil
}

// certifiedBody looks the path up, or the index page if the path is provably not there.
func certifiedBody(t hashtree.Tree, path string) ([]byte, error) {
	h, s := hashtree.Lookup(t, []byte(labelAssets), []byte(path))
	switch s {
	case hashtree.Found:
		return h, nil
	case hashtree.Absent:
	default:
		return nil, refuse(ReasonPath, "the tree neither shows "+path+" nor proves that it is absent")
	}
	h, s = hashtree.Lookup(t, []byte(labelAssets), []byte(indexPath))
	if s != hashtree.Found {
		return nil, refuse(ReasonPath, "the tree shows neither "+path+" nor "+indexPath)
	}
	return h, nil
}

// checkBody accepts the hash of the body as it was sent or as it is decoded:
// canisters of this version certify the one or the other.
func (v *Verifier) checkBody(certified []byte, resp *Response) error {
	sent := resp.bodyHash()
	if bytes.Equal(certified, sent[:]) {
		return nil
	}
	for _, encoding := range headerValues(resp.Headers, "content-encoding") {
		if v.Decode == nil || encoding != "gzip" && encoding != "deflate" {
			return refuse(ReasonBody, "it has the encoding "+encoding+", which cannot be decoded here")
		}
		decoded, err := v.Decode(encoding, resp.Body)
		if err != nil {
			return &Error{Reason: ReasonBody, Detail: "it is not valid " + encoding, Err: err}
		}
		if h := digest.Sum256(decoded); bytes.Equal(certified, h[:]) {
			return nil
		}
	}
	return refuse(ReasonBody, "its SHA-256 is "+reason.Hex(sent[:])+", certified is "+reason.Hex(certified))
}

// VersionsSection is the name of the metadata in which a canister lists the
// versions it offers, such as "1,2".
const VersionsSection = "supported_certificate_versions"

// VersionsPath is where the state tree has the list.
func VersionsPath(canister principal.ID) hashtree.Path {
	return treePath("canister", canister.Raw(), "metadata", VersionsSection)
}

// OffersOnlyVersion1 decides about a downgrade by the verified certificate of a
// read_state request for VersionsPath. It returns nil if the canister provably
// has no such list, or one without any version above 1.
func OffersOnlyVersion1(cert *certificate.Certificate, canister principal.ID) error {
	list, s := hashtree.Lookup(cert.Tree, VersionsPath(canister)...)
	switch s {
	case hashtree.Absent:
		return nil
	case hashtree.Found:
	default:
		return errors.New("the certificate does not tell whether the canister has the metadata " + VersionsSection)
	}
	for _, item := range strings.Split(string(list), ",") {
		if strings.TrimSpace(item) != "1" {
			return errors.New("the canister offers the versions " + reason.Quote(string(list)))
		}
	}
	return nil
}
