package front

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// issuer makes certificates.
type issuer struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	next int64
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{key: key, cert: cert, next: 2}
}

func (i *issuer) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(i.cert)
	return p
}

// issue makes a certificate, PEM.
func (i *issuer) issue(t *testing.T, public any, names ...string) []byte {
	t.Helper()
	i.next++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(i.next), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, i.cert, public, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// authority is a certificate authority that speaks as much of RFC 8555 as it takes to
// get a certificate. It validates by TLS-ALPN-01 (RFC 8737), at one address for all names.
type authority struct {
	*issuer
	t      *testing.T
	server *httptest.Server
	front  string // the address of the front whose names it validates

	mu    sync.Mutex
	names []string // that were ordered
	valid bool
	cert  []byte
}

func newAuthority(t *testing.T) *authority {
	a := &authority{issuer: newIssuer(t), t: t}
	a.server = httptest.NewServer(a)
	t.Cleanup(a.server.Close)
	return a
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var jws struct{ Payload string }
	_ = json.NewDecoder(r.Body).Decode(&jws) // GET and HEAD have none
	payload, err := base64.RawURLEncoding.DecodeString(jws.Payload)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Replay-Nonce", "nonce")
	url := a.server.URL
	reply := func(status int, location, text string, args ...any) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", url+location)
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, strings.ReplaceAll(text, "URL", url), args...)
	}
	order := func(status int) {
		state := map[bool]string{false: "pending", true: "ready"}[a.valid]
		if a.cert != nil {
			state = "valid"
		}
		reply(status, "/order", `{"status":%q,"authorizations":["URL/authz"],"finalize":"URL/finalize","certificate":"URL/cert"}`, state)
	}
	switch r.URL.Path {
	case "/":
		reply(200, "", `{"newNonce":"URL/nonce","newAccount":"URL/account","newOrder":"URL/neworder"}`)
	case "/nonce":
	case "/account":
		reply(201, "/me", `{"status":"valid"}`)
	case "/neworder":
		var o struct{ Identifiers []struct{ Value string } }
		if err := json.Unmarshal(payload, &o); err != nil || len(o.Identifiers) != 1 {
			a.t.Errorf("order %s: %v", payload, err)
			return
		}
		a.names, a.valid, a.cert = append(a.names, o.Identifiers[0].Value), false, nil
		order(201)
	case "/order":
		order(200)
	case "/authz":
		state := map[bool]string{false: "pending", true: "valid"}[a.valid]
		reply(200, "/authz", `{"status":%q,"identifier":{"type":"dns","value":%q},"challenges":[{"type":"tls-alpn-01","url":"URL/challenge","token":"t","status":%q}]}`,
			state, a.names[len(a.names)-1], state)
	case "/challenge":
		a.valid = a.validate(a.names[len(a.names)-1])
		reply(200, "/challenge", `{"type":"tls-alpn-01","url":"URL/challenge","token":"t","status":"valid"}`)
	case "/finalize":
		a.finalize(payload)
		order(200)
	case "/cert":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(a.cert)
	default:
		reply(404, "", `{}`)
	}
}

func (a *authority) validate(name string) bool {
	c, err := tls.Dial("tcp", a.front, &tls.Config{ServerName: name, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
	if err != nil {
		a.t.Errorf("the challenge for %s: %v", name, err)
		return false
	}
	defer c.Close()
	return slices.Equal(c.ConnectionState().PeerCertificates[0].DNSNames, []string{name})
}

func (a *authority) finalize(payload []byte) {
	var f struct{ CSR string }
	if err := json.Unmarshal(payload, &f); err != nil || !a.valid {
		a.t.Errorf("finalize, valid %v: %v", a.valid, err)
		return
	}
	der, err := base64.RawURLEncoding.DecodeString(f.CSR)
	if err != nil {
		a.t.Error(err)
		return
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		a.t.Error(err)
		return
	}
	a.cert = a.issue(a.t, csr.PublicKey, csr.DNSNames...)
}
