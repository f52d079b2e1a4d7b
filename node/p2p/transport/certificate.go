package transport

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"portico/lightclient/principal"
)

// protocol is what both sides name in the TLS handshake (ALPN): a later version that
// older nodes cannot speak has another number.
const protocol = "portico-peer/1"

// serialBytes is the length of a certificate's serial number (RFC 5280: at most 20).
const serialBytes = 16

// Certificate is the X.509 certificate of a node, DER, for its registry record. It is
// signed by the node's key for that same key, its subject is the node's id as text, and
// it is valid from 1970 to the end of 9999: the registry, not a date, says how long a node
// is a peer. The same key always gives the same bytes.
func Certificate(key ed25519.PrivateKey) ([]byte, error) {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	serial := sha256.Sum256(public)
	serial[0] = serial[0]&0x3f | 0x40 // positive, and of one length
	template := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial[:serialBytes]),
		Subject:               pkix.Name{CommonName: principal.SelfAuthenticating(public).String()},
		NotBefore:             time.Unix(0, 0).UTC(),
		NotAfter:              time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	// Ed25519 signatures take no randomness.
	return x509.CreateCertificate(nil, template, template, key.Public(), key)
}

// commonTLS is what both sides of a connection hold to.
func (t *Transport) commonTLS() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{t.identity},
		MinVersion:   tls.VersionTLS13, MaxVersion: tls.VersionTLS13,
		NextProtos: []string{protocol},
		// A resumed session would not show its certificate again.
		SessionTicketsDisabled: true,
		// Connections live long: small first records would only cost.
		DynamicRecordSizingDisabled: true,
	}
}

func (t *Transport) serverTLS() *tls.Config {
	c := t.commonTLS()
	c.ClientAuth = tls.RequireAnyClientCert
	c.VerifyConnection = func(s tls.ConnectionState) error {
		der, err := presented(s)
		if err != nil {
			return err
		}
		if t.byCertificate[string(der)] == nil {
			return fmt.Errorf("the certificate of %q is no peer's", s.PeerCertificates[0].Subject.CommonName)
		}
		return nil
	}
	return c
}

func (t *Transport) clientTLS(p *peer) *tls.Config {
	c := t.commonTLS()
	c.InsecureSkipVerify = true // of names and authorities: VerifyConnection compares bytes
	c.VerifyConnection = func(s tls.ConnectionState) error {
		der, err := presented(s)
		if err != nil {
			return err
		}
		if !bytes.Equal(der, p.node.Certificate) {
			return fmt.Errorf("the certificate, of %q, is not that of the record of %s", s.PeerCertificates[0].Subject.CommonName, p.node.ID)
		}
		return nil
	}
	return c
}

// presented is the one certificate that the other side has proved to hold the key of.
func presented(s tls.ConnectionState) ([]byte, error) {
	if s.NegotiatedProtocol != protocol {
		return nil, fmt.Errorf("it speaks the protocol %q, want %q", s.NegotiatedProtocol, protocol)
	}
	if len(s.PeerCertificates) != 1 {
		return nil, fmt.Errorf("it presents %d certificates, want one", len(s.PeerCertificates))
	}
	if s.DidResume {
		return nil, errors.New("it resumes a session")
	}
	return s.PeerCertificates[0].Raw, nil
}
