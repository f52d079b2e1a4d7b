package asset

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portico/lightclient/bls"
	"portico/lightclient/cbor"
	"portico/lightclient/certificate"
	"portico/lightclient/fakenet"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
)

var (
	certified = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	canister  = principal.Canister(7)
)

// A site is a canister with some pages on a network of made-up keys.
type site struct {
	net      *fakenet.Network
	tree     Tree
	verifier *Verifier
}

func newSite() *site {
	s := &site{net: fakenet.New("asset")}
	s.verifier = &Verifier{Certificates: &certificate.Verifier{RootKey: s.net.RootKey(), BLS: bls.NewVerifier().Verify}}
	return s
}

func (s *site) certificate() []byte { return s.net.CertifyData(certified, canister, s.tree.Root()) }

// publish certifies a response at a path and returns it as it would be served
// for the URL.
func (s *site) publish(p Path, e *Expression, req *Request, resp *Response) *Response {
	c := Certify(p, e, req, resp)
	s.tree.Insert(c)
	return s.serve(c, e, req, resp)
}

func (s *site) serve(c Certified, e *Expression, req *Request, resp *Response) *Response {
	w, err := s.tree.Witness(c, req.URL)
	if err != nil {
		panic(err)
	}
	out := *resp
	out.Headers = append(slices.Clone(resp.Headers),
		Header{ExpressionHeader, e.String()}, Header{CertificateHeader, CertificateHeaderValue(s.certificate(), w, c.Path)})
	return &out
}

func get(url string) *Request { return &Request{Method: "GET", URL: url} }

func ok(body string, headers ...Header) *Response {
	return &Response{Status: 200, Headers: headers, Body: []byte(body)}
}

// refusal is the reason for which a response is refused, or 0.
func (s *site) refusal(t *testing.T, req *Request, resp *Response) Reason {
	t.Helper()
	_, err := s.verifier.Verify(canister, req, resp, certified.Add(time.Minute))
	if err == nil {
		return 0
	}
	var e *Error
	if !errors.As(err, &e) || e.Reason.String() == "" || e.Error() == "" {
		t.Fatalf("%v is a %T, not an *Error with a reason", err, err)
	}
	return e.Reason
}

// with returns a copy of r with one header replaced, or removed if no value is given.
func with(r *Response, name string, values ...string) *Response {
	out := *r
	out.Headers = nil
	for _, h := range r.Headers {
		if !strings.EqualFold(h.Name, name) {
			out.Headers = append(out.Headers, h)
		}
	}
	for _, v := range values {
		out.Headers = append(out.Headers, Header{name, v})
	}
	return &out
}

// full is a response with everything certified, and a request for it.
func full(s *site) (*Request, *Response) {
	req := &Request{
		Method: "POST", URL: "/a/b?q=1&other=2&q=3", Body: []byte("question"),
		Headers: []Header{{"accept", "text/html"}, {"Accept", "text/plain"}, {"Cookie", "x"}},
	}
	body := []byte("hello")
	tag := sha256.Sum256(body)
	resp := &Response{Status: 201, Body: body, Headers: []Header{
		{"Content-Type", "text/plain"}, {"ETag", `"` + hex.EncodeToString(tag[:]) + `"`}, {"X-Other", "1"}, {"set-cookie", "a"}, {"Set-Cookie", "b"},
	}}
	e := &Expression{Scope: ScopeFull, RequestHeaders: []string{"Accept"}, QueryParameters: []string{"q"}, ResponseHeaders: []string{"content-type", "Set-Cookie", "etag"}}
	return req, s.publish(Exact("/a/b"), e, req, resp)
}

func TestVerifiedResponseSaysWhatWasChecked(t *testing.T) {
	s := newSite()
	req, resp := full(s)
	v, err := s.verifier.Verify(canister, req, resp, certified.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	want := Report{
		Canister: canister, Subnet: s.net.SubnetID(), RootKey: s.net.RootKey(), Time: certified,
		Version: 2, Scope: ScopeFull, ExprPath: []string{"http_expr", "a", "b", "<$>"},
		Expression:       headerValues(resp.Headers, ExpressionHeader)[0],
		CertifiedHeaders: []string{"content-type", "etag", "set-cookie", "ic-certificateexpression"},
		DroppedHeaders:   []string{"x-other"},
	}
	if diff := cmp.Diff(want, v.Report, cmp.Comparer(func(a, b principal.ID) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	var names []string
	for _, h := range v.Headers {
		names = append(names, h.Name)
	}
	if diff := cmp.Diff([]string{"content-type", "etag", "set-cookie", "set-cookie", "ic-certificateexpression", "ic-certificate"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestEveryChangeOfAnExchangeIsRefusedForTheRightReason(t *testing.T) {
	s := newSite()
	req, resp := full(s)
	if r := s.refusal(t, req, resp); r != 0 {
		t.Fatal(r)
	}
	request := func(change func(*Request)) *Request {
		r := *req
		r.Headers = slices.Clone(req.Headers)
		change(&r)
		return &r
	}
	response := func(change func(*Response)) *Response {
		r := *resp
		r.Headers = slices.Clone(resp.Headers)
		change(&r)
		return &r
	}
	untagged := with(resp, "etag")
	for name, c := range map[string]struct {
		req  *Request
		resp *Response
		want Reason
	}{
		"method":              {request(func(r *Request) { r.Method = "GET" }), resp, ReasonRequest},
		"request body":        {request(func(r *Request) { r.Body = []byte("Question") }), resp, ReasonRequest},
		"request header":      {request(func(r *Request) { r.Headers[0].Value = "x" }), resp, ReasonRequest},
		"request header gone": {request(func(r *Request) { r.Headers = r.Headers[1:] }), resp, ReasonRequest},
		"query parameter":     {request(func(r *Request) { r.URL = "/a/b?q=1&other=2&q=4" }), resp, ReasonRequest},
		"order of parameters": {request(func(r *Request) { r.URL = "/a/b?q=3&other=2&q=1" }), resp, ReasonRequest},
		"path":                {request(func(r *Request) { r.URL = "/a/c?q=1&other=2&q=3" }), resp, ReasonPath},
		"path below":          {request(func(r *Request) { r.URL = "/a/b/?q=1&other=2&q=3" }), resp, ReasonPath},
		"path is not rooted":  {request(func(r *Request) { r.URL = "a/b?q=1&other=2&q=3" }), resp, ReasonPath},
		"path is not UTF-8":   {request(func(r *Request) { r.URL = "/a/%ff" }), resp, ReasonPath},
		"other query":         {request(func(r *Request) { r.URL = "/a/b?q=1&q=3&more=2#here" }), resp, 0},
		"uncertified header":  {request(func(r *Request) { r.Headers[2].Value = "y" }), resp, 0},
		"status":              {req, response(func(r *Response) { r.Status = 200 }), ReasonStatus},
		"unheard-of status":   {req, with(response(func(r *Response) { r.Status = 299 }), "etag"), ReasonResponse},
		"body":                {req, response(func(r *Response) { r.Body = []byte("hellp") }), ReasonBody},
		"body shorter":        {req, response(func(r *Response) { r.Body = r.Body[:4] }), ReasonBody},
		"header":              {req, with(resp, "Content-Type", "text/html"), ReasonHeaders},
		"header gone":         {req, with(resp, "Content-Type"), ReasonHeaders},
		"header added":        {req, response(func(r *Response) { r.Headers = append(r.Headers, Header{"Content-Type", "text/plain"}) }), ReasonHeaders},
		"one of two headers":  {req, with(resp, "Set-Cookie", "a"), ReasonHeaders},
		"entity tag":          {req, untagged, ReasonResponse},
		"response header":     {req, with(resp, "X-Other", "2"), 0},
		"status as a header": {req, response(func(r *Response) {
			r.Status = 200
			r.Headers = append(r.Headers, Header{":ic-cert-status", "\xc9\x01"})
		}), ReasonStatus},
		"rules":                {req, with(resp, ExpressionHeader, responseExpression.String()), ReasonExpression},
		"rules gone":           {req, with(resp, ExpressionHeader), ReasonMalformed},
		"rules twice":          {req, with(resp, ExpressionHeader, responseExpression.String(), responseExpression.String()), ReasonMalformed},
		"rules are no rules":   {req, with(resp, ExpressionHeader, "x"), ReasonMalformed},
		"too many headers":     {req, response(func(r *Response) { r.Headers = append(r.Headers, make([]Header, maxHeaders)...) }), ReasonMalformed},
		"no rules certified":   {req, with(resp, ExpressionHeader, (&Expression{}).String()), ReasonExpression},
		"certificate gone":     {req, with(resp, CertificateHeader), ReasonMissing},
		"certificate twice":    {req, response(func(r *Response) { r.Headers = append(r.Headers, r.Headers[len(r.Headers)-1]) }), ReasonMalformed},
		"certificate is empty": {req, with(resp, CertificateHeader, "certificate=::, tree=::"), ReasonMalformed},
	} {
		if got := s.refusal(t, c.req, c.resp); got != c.want {
			t.Errorf("%s: refused because %q, want %q", name, got, c.want)
		}
	}
}

func (s *site) headerWith(c *Certification, exprPath []string) string {
	b := cbor.AppendArray(nil, len(exprPath))
	for _, l := range exprPath {
		b = cbor.AppendText(b, l)
	}
	return BodyCertificateHeaderValue(c.Certificate, c.Tree) + ", version=2, expr_path=:" + base64.StdEncoding.EncodeToString(b) + ":"
}

func TestEveryChangeOfTheCertificationIsRefusedForTheRightReason(t *testing.T) {
	s := newSite()
	req, resp := full(s)
	good, err := ParseCertification(headerValues(resp.Headers, CertificateHeader)[0])
	if err != nil {
		t.Fatal(err)
	}
	labels := good.ExprPath
	var other Tree
	other.Insert(page(Exact("/a/b"), "hello"))
	cert := func(b []byte) *Certification { return &Certification{Certificate: b, Tree: good.Tree} }
	root := s.tree.Root()
	parsed, err := certificate.Parse(good.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	forged := *parsed
	forged.Signature = fakenet.NewKey("someone").Sign(certificate.StateRootMessage(parsed.Tree.Hash()))
	stolen := *parsed
	stolen.Delegation = nil
	for name, c := range map[string]struct {
		header string
		want   Reason
	}{
		"as it was":             {s.headerWith(good, labels), 0},
		"signed by the root":    {s.headerWith(cert(s.net.CertifyAsRoot(certified, fakenet.E(root[:], "canister", canister.Raw(), "certified_data"))), labels), 0},
		"forged":                {s.headerWith(cert(forged.Append(nil)), labels), ReasonSignature},
		"without delegation":    {s.headerWith(cert(stolen.Append(nil)), labels), ReasonSignature},
		"of another network":    {s.headerWith(cert(fakenet.New("other").CertifyData(certified, canister, root)), labels), ReasonSignature},
		"too old":               {s.headerWith(cert(s.net.CertifyData(certified.Add(-5*time.Minute), canister, root)), labels), ReasonTime},
		"old enough":            {s.headerWith(cert(s.net.CertifyData(certified.Add(-4*time.Minute), canister, root)), labels), 0},
		"from the future":       {s.headerWith(cert(s.net.CertifyData(certified.Add(time.Hour), canister, root)), labels), ReasonTime},
		"of another canister":   {s.headerWith(cert(s.net.CertifyData(certified, principal.Canister(8), root)), labels), ReasonTree},
		"of other data":         {s.headerWith(cert(s.net.CertifyData(certified, canister, [32]byte{})), labels), ReasonTree},
		"no certificate":        {s.headerWith(cert([]byte{0xa0}), labels), ReasonMalformed},
		"tree of another site":  {s.headerWith(&Certification{Certificate: good.Certificate, Tree: other.tree()}, labels), ReasonTree},
		"pruned tree":           {s.headerWith(&Certification{Certificate: good.Certificate, Tree: hashtree.Pruned(root)}, labels), ReasonPath},
		"no path":               {BodyCertificateHeaderValue(good.Certificate, good.Tree) + ", version=2", ReasonMalformed},
		"version 3":             {s.headerWith(good, labels) + ", x=1", 0},
		"unsupported version":   {strings.Replace(s.headerWith(good, labels), "version=2", "version=3", 1), ReasonVersion},
		"version 1":             {BodyCertificateHeaderValue(good.Certificate, good.Tree), ReasonVersion},
		"path of another URL":   {s.headerWith(good, []string{"http_expr", "a", "c", "<$>"}), ReasonPath},
		"path of another table": {s.headerWith(good, []string{"http_assets", "a", "b", "<$>"}), ReasonPath},
		"path without end":      {s.headerWith(good, []string{"http_expr", "a", "b"}), ReasonPath},
		"path with two ends":    {s.headerWith(good, []string{"http_expr", "a", "<*>", "<$>"}), ReasonPath},
		"wildcard instead":      {s.headerWith(good, []string{"http_expr", "a", "<*>"}), ReasonPath},
		"empty path":            {s.headerWith(good, nil), ReasonPath},
		"short path":            {s.headerWith(good, []string{"http_expr"}), ReasonPath},
	} {
		if got := s.refusal(t, req, with(resp, CertificateHeader, c.header)); got != c.want {
			t.Errorf("%s: refused because %q, want %q", name, got, c.want)
		}
	}
	elsewhere := principal.Canister(0x200000)
	var e *Error
	if _, err := s.verifier.Verify(elsewhere, req, resp, certified); !errors.As(err, &e) || e.Reason != ReasonRange {
		t.Errorf("canister outside the subnet's ranges: %v", err)
	}
}

func TestEverySingleByteChangeOfTheHeadersIsRefused(t *testing.T) {
	s := newSite()
	req, resp := full(s)
	for _, name := range []string{CertificateHeader, ExpressionHeader} {
		value := headerValues(resp.Headers, name)[0]
		good, _ := ParseCertification(value)
		for i := range len(value) {
			for _, flip := range []byte{1, 0x20} {
				b := []byte(value)
				b[i] ^= flip
				changed := string(b)
				if s.refusal(t, req, with(resp, name, changed)) != 0 {
					continue
				}
				// Blanks and the unused bits of base64 do not count.
				c, err := ParseCertification(changed)
				if name != CertificateHeader || err != nil || !bytes.Equal(c.Certificate, good.Certificate) || c.Tree.Hash() != good.Tree.Hash() || c.Version != 2 {
					t.Errorf("%s: byte %d changed from %q to %q is accepted", name, i, value[i], b[i])
				}
			}
		}
	}
}

func TestMostSpecificPathMustAnswer(t *testing.T) {
	s := newSite()
	e := responseExpression
	all := Certify(Wildcard(""), e, nil, ok("everything else"))
	dir := Certify(Wildcard("/d"), e, nil, ok("directory"))
	page := Certify(Exact("/d/page"), e, nil, ok("page"))
	for _, c := range []Certified{all, dir, page} {
		s.tree.Insert(c)
	}
	answer := func(c Certified, url, body string) Reason {
		w := hashtree.Witness(s.tree.tree(), []hashtree.Path{{}}) // shows everything
		resp := ok(body, Header{ExpressionHeader, e.String()}, Header{CertificateHeader, CertificateHeaderValue(s.certificate(), w, c.Path)})
		return s.refusal(t, get(url), resp)
	}
	for _, c := range []struct {
		name string
		got  Reason
		want Reason
	}{
		{"page", answer(page, "/d/page", "page"), 0},
		{"directory for the page", answer(dir, "/d/page", "directory"), ReasonPath},
		{"all for the page", answer(all, "/d/page", "everything else"), ReasonPath},
		{"directory", answer(dir, "/d/x/y", "directory"), 0},
		{"directory itself", answer(dir, "/d", "directory"), 0},
		{"all for the directory", answer(all, "/d/x/y", "everything else"), ReasonPath},
		{"all", answer(all, "/x", "everything else"), 0},
		{"page, encoded", answer(page, "/%64/p%61ge?x", "page"), 0},
		{"page for another", answer(page, "/d/pag", "page"), ReasonPath},
	} {
		if c.got != c.want {
			t.Errorf("%s: refused because %q, want %q", c.name, c.got, c.want)
		}
	}
	// A witness that hides the page does not prove that there is none.
	w := hashtree.Witness(s.tree.tree(), []hashtree.Path{treePath(dir.labels()...)})
	resp := ok("directory", Header{ExpressionHeader, e.String()}, Header{CertificateHeader, CertificateHeaderValue(s.certificate(), w, dir.Path)})
	if got := s.refusal(t, get("/d/page"), resp); got != ReasonPath {
		t.Errorf("hidden page: refused because %q", got)
	}
}

func TestEndMarksInsideAPathAreRefused(t *testing.T) {
	s := newSite()
	for _, p := range []Path{Exact("/<*>"), Exact("/<$>/a"), Wildcard("/<*>")} {
		url := "/" + strings.Join(p.segments, "/")
		if got := s.refusal(t, get(url), s.publish(p, responseExpression, get(url), ok("x"))); got != ReasonPath {
			t.Errorf("%v: refused because %q", p, got)
		}
	}
}

func TestAnswersInTheTreeMustBeEmptyLeaves(t *testing.T) {
	s := newSite()
	c := Certify(Exact("/a"), responseExpression, nil, ok("x"))
	s.tree.root = s.tree.root.insert(c.labels(), hashtree.Leaf("not empty"))
	if got := s.refusal(t, get("/a"), s.serve(c, responseExpression, get("/a"), ok("x"))); got != ReasonResponse {
		t.Errorf("a value: refused because %q", got)
	}
	s.tree.root = s.tree.root.insert(append(c.labels(), "below"), hashtree.Leaf{})
	if got := s.refusal(t, get("/a"), s.serve(c, responseExpression, get("/a"), ok("x"))); got != ReasonResponse {
		t.Errorf("labels: refused because %q", got)
	}
}

func TestOptingOutIsCertifiedItself(t *testing.T) {
	s := newSite()
	resp := s.publish(Wildcard("/api"), &Expression{}, get("/api/x"), ok("dynamic", Header{"X-Any", "1"}))
	s.tree.Insert(page(Exact("/index.html"), "x"))
	resp = s.serve(Certify(Wildcard("/api"), &Expression{}, nil, resp), &Expression{}, get("/api/x"), ok("dynamic", Header{"X-Any", "1"}))
	resp.Body, resp.Status = []byte("changed"), 500
	v, err := s.verifier.Verify(canister, get("/api/x"), resp, certified)
	if err != nil {
		t.Fatal(err)
	}
	if v.Report.Scope != ScopeNothing || len(v.Headers) != 3 {
		t.Errorf("scope %v with %d headers", v.Report.Scope, len(v.Headers))
	}
	if got := s.refusal(t, get("/elsewhere"), resp); got != ReasonPath {
		t.Errorf("elsewhere: %q", got)
	}
}

// version1 is a site that certifies bodies alone.
func version1() *site {
	s := newSite()
	s.verifier.AllowVersion1 = func(principal.ID) error { return nil }
	s.verifier.Decode = Decode
	return s
}

func (s *site) serveBody(url string, resp *Response) *Response {
	w, err := s.tree.WitnessBody(url)
	if err != nil {
		panic(err)
	}
	return with(resp, CertificateHeader, BodyCertificateHeaderValue(s.certificate(), w))
}

func TestVersion1CoversBodiesOnly(t *testing.T) {
	s := version1()
	var zipped, deflated bytes.Buffer
	z := gzip.NewWriter(&zipped)
	d, _ := flate.NewWriter(&deflated, 9)
	for _, w := range []io.WriteCloser{z, d} {
		if _, err := w.Write([]byte("page")); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
	}
	s.tree.InsertBody("/index.html", sha256.Sum256([]byte("index")))
	s.tree.InsertBody("/page", sha256.Sum256([]byte("page")))
	s.tree.InsertBody("/zipped", sha256.Sum256(zipped.Bytes()))
	encoded := func(b []byte, as string) *Response { return ok(string(b), Header{"Content-Encoding", as}) }
	redirect := ok("page")
	redirect.Status = 302
	for name, c := range map[string]struct {
		url  string
		resp *Response
		want Reason
	}{
		"page":                 {"/page?x=1", s.serveBody("/page", ok("page")), 0},
		"changed":              {"/page", s.serveBody("/page", ok("Page")), ReasonBody},
		"index for unknown":    {"/none", s.serveBody("/none", ok("index")), 0},
		"index for page":       {"/page", s.serveBody("/none", ok("index")), ReasonPath},
		"zipped page":          {"/page", s.serveBody("/page", encoded(zipped.Bytes(), "gzip")), 0},
		"deflated page":        {"/page", s.serveBody("/page", encoded(deflated.Bytes(), "deflate")), 0},
		"certified as zipped":  {"/zipped", s.serveBody("/zipped", encoded(zipped.Bytes(), "gzip")), 0},
		"broken zip":           {"/page", s.serveBody("/page", encoded(zipped.Bytes()[:9], "gzip")), ReasonBody},
		"unsupported encoding": {"/page", s.serveBody("/page", encoded(zipped.Bytes(), "br")), ReasonBody},
		"redirect":             {"/page", s.serveBody("/page", redirect), ReasonStatus},
	} {
		if got := s.refusal(t, get(c.url), c.resp); got != c.want {
			t.Errorf("%s: refused because %q, want %q", name, got, c.want)
		}
	}
	v, err := s.verifier.Verify(canister, get("/page"), s.serveBody("/page", ok("page", Header{"Cache-Control", "max-age=1"}, Header{"X", "1"})), certified)
	if err != nil || v.Report.Version != 1 || v.Report.Scope != ScopeBody || len(v.Headers) != 2 || !slices.Equal(v.Report.DroppedHeaders, []string{"cache-control"}) {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestDowngradeNeedsProofThatTheCanisterOffersNothingBetter(t *testing.T) {
	s := version1()
	s.tree.InsertBody("/page", sha256.Sum256([]byte("page")))
	resp := s.serveBody("/page", ok("page"))
	s.verifier.AllowVersion1 = func(principal.ID) error { return errors.New("it offers 2") }
	if got := s.refusal(t, get("/page"), resp); got != ReasonDowngrade {
		t.Errorf("refused because %q", got)
	}
	section := func(list string) hashtree.Tree {
		return fakenet.Tree(fakenet.E([]byte(list), "canister", canister.Raw(), "metadata", VersionsSection))
	}
	other := fakenet.Tree(fakenet.E(nil, "canister", canister.Raw(), "metadata", "candid:service"))
	for name, c := range map[string]struct {
		tree  hashtree.Tree
		allow bool
	}{
		"absent":         {other, true},
		"only 1":         {section("1"), true},
		"both":           {section("1,2"), false},
		"with blanks":    {section(" 1 , 2 "), false},
		"only 2":         {section("2"), false},
		"unclear":        {section("x"), false},
		"hidden section": {hashtree.Pruned(section("1").Hash()), false},
		"hidden content": {hashtree.Witness(section("1"), []hashtree.Path{treePath("canister", canister.Raw(), "metadata", "a")}), false},
	} {
		err := OffersOnlyVersion1(&certificate.Certificate{Tree: c.tree}, canister)
		if (err == nil) != c.allow {
			t.Errorf("%s: %v", name, err)
		}
	}
}
