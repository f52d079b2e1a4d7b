package asset

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"portico/lightclient/bls"
	"portico/lightclient/certificate"
	"portico/lightclient/fakenet"
)

// FuzzVerify changes exchanges at will. Whatever is accepted at full scope is
// the exchange that was certified.
func FuzzVerify(f *testing.F) {
	s := newSite()
	req, resp := full(s)
	// Pairings are slow under the fuzzer, so it knows the right signatures by heart.
	right := map[string]bool{}
	s.verifier.Certificates.BLS = func(pk, msg, sig []byte) error {
		right[string(pk)+string(msg)+string(sig)] = true
		return nil
	}
	if _, err := s.verifier.Verify(canister, req, resp, certified); err != nil {
		f.Fatal(err)
	}
	s.verifier.Certificates.BLS = func(pk, msg, sig []byte) error {
		if !right[string(pk)+string(msg)+string(sig)] {
			return bls.ErrMismatch
		}
		return nil
	}
	cert, expr := headerValues(resp.Headers, CertificateHeader)[0], headerValues(resp.Headers, ExpressionHeader)[0]
	f.Add(req.Method, req.URL, req.Body, resp.Status, "text/plain", "x", resp.Body, cert, expr)
	f.Add("GET", "/a/%62?q=1&q=3", []byte{}, uint16(200), "", "", []byte{}, BodyCertificateHeaderValue(s.certificate(), s.tree.tree()), (&Expression{}).String())
	f.Fuzz(func(t *testing.T, method, url string, question []byte, status uint16, contentType, other string, body []byte, cert, expr string) {
		q := &Request{Method: method, URL: url, Body: question, Headers: req.Headers}
		r := with(with(with(with(resp, "Content-Type", contentType), "X-Other", other), CertificateHeader, cert), ExpressionHeader, expr)
		r.Status, r.Body = status, body
		v, err := s.verifier.Verify(canister, q, r, certified)
		var e *Error
		switch {
		case err != nil && !errors.As(err, &e):
			t.Fatalf("%v is a %T", err, err)
		case err != nil:
			_ = e.Error()
		case method != req.Method || string(question) != string(req.Body) || status != resp.Status || contentType != "text/plain" || string(body) != string(resp.Body):
			t.Fatalf("accepted as %+v", v.Report)
		}
	})
}

// cold forgets every certificate and keeps the keys, as a new certificate meets it.
func cold(s *site, keys *bls.Verifier) *Verifier {
	return &Verifier{Certificates: &certificate.Verifier{RootKey: s.net.RootKey(), BLS: keys.Verify}}
}

func BenchmarkVerifyNewCertificate(b *testing.B) {
	s := newSite()
	req, resp := full(s)
	keys := bls.NewVerifier()
	for b.Loop() {
		if _, err := cold(s, keys).Verify(canister, req, resp, certified); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifySameCertificate(b *testing.B) {
	s := newSite()
	req, resp := full(s)
	for b.Loop() {
		if _, err := s.verifier.Verify(canister, req, resp, certified); err != nil {
			b.Fatal(err)
		}
	}
}

func thousandPages() *Tree {
	t := &Tree{}
	for i := range 1000 {
		t.Insert(page(Exact(fmt.Sprintf("/static/%d.js", i)), "x"))
		t.InsertBody(fmt.Sprintf("/static/%d.js", i), sha256.Sum256(nil))
	}
	return t
}

func BenchmarkTreeInsertAndRootAmongThousand(b *testing.B) {
	t := thousandPages()
	t.Root()
	entry := page(Exact("/static/new.js"), "x")
	for b.Loop() {
		t.Insert(entry)
		t.Root()
		t.Delete(entry)
		t.Root()
	}
}

func BenchmarkTreeBuildThousand(b *testing.B) {
	for b.Loop() {
		thousandPages().Root()
	}
}

func BenchmarkTreeWitnessAmongThousand(b *testing.B) {
	t := thousandPages()
	entry := page(Wildcard(""), "x")
	t.Insert(entry)
	t.Root()
	size := 0
	for b.Loop() {
		w, err := t.Witness(entry, "/static/none.js")
		if err != nil {
			b.Fatal(err)
		}
		size = len(CertificateHeaderValue(nil, w, entry.Path))
	}
	b.ReportMetric(float64(size), "header-bytes")
}

func BenchmarkCertify(b *testing.B) {
	req, resp := full(&site{net: fakenet.New("bench")})
	for b.Loop() {
		Certify(Exact("/a/b"), fullExpression, req, resp)
	}
}
