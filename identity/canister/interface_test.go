package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"portico/identity/history"
	"portico/lightclient/asset"
	"portico/lightclient/bls"
	"portico/lightclient/candid"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/certificate"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
)

// signature is the Go types of a method's arguments and results.
type goSignature struct{ in, out []any }

func signaturesOf() map[string]goSignature {
	var (
		n       uint64
		key     []byte
		text    string
		number  *uint64
		id      *principal.ID
		named   *string
		method  *authnMethodData
		allowed *permissions
		yes     *bool
	)
	type authnAnswer struct {
		Ok  *identityAuthnInfo `candid:"Ok,variant"`
		Err bool               `candid:"Err,variant"`
	}
	is := func(in []any, out ...any) goSignature { return goSignature{in, out} }
	return map[string]goSignature{
		"create_challenge": is(nil, challenge{}), "register": is(args{device{}, challengeResult{}, id}, registerResponse{}),
		"add": is(args{n, device{}}), "update": is(args{n, key, device{}}), "replace": is(args{n, key, device{}}), "remove": is(args{n, key}),
		"lookup": is(args{n}, []device{}), "get_anchor_credentials": is(args{n}, anchorCredentials{}), "get_anchor_info": is(args{n}, anchorInfo{}),
		"get_principal": is(args{n, text}, principal.ID{}), "enter_device_registration_mode": is(args{n}, n), "exit_device_registration_mode": is(args{n}),
		"add_tentative_device": is(args{n, device{}}, addTentativeResponse{}), "verify_tentative_device": is(args{n, text}, verifyTentativeResponse{}),
		"identity_registration_start":  is(nil, result[nextStepResult, startError]{}),
		"check_captcha":                is(args{checkCaptchaArg{}}, result[nextStepResult, checkCaptchaError]{}),
		"identity_registration_finish": is(args{finishArg{}}, result[finishResult, finishError]{}),
		"identity_authn_info":          is(args{n}, authnAnswer{}), "identity_info": is(args{n}, result[identityInfo, identityInfoError]{}),
		"identity_metadata_replace":              is(args{n, []metadataEntry2{}}, done[metadataReplaceError]{}),
		"identity_properties_replace":            is(args{n, properties{}}, done[propertiesReplaceError]{}),
		"authn_method_add":                       is(args{n, authnMethodData{}}, done[methodAddError]{}),
		"authn_method_replace":                   is(args{n, key, authnMethodData{}}, done[methodReplaceError]{}),
		"authn_method_metadata_replace":          is(args{n, key, []metadataEntry2{}}, done[methodMetadataError]{}),
		"authn_method_security_settings_replace": is(args{n, key, securitySettings{}}, done[methodSecurityError]{}),
		"authn_method_remove":                    is(args{n, key}, outcome{}),
		"authn_method_registration_mode_enter":   is(args{n, named}, result[expirationInfo, enterError]{}),
		"authn_method_registration_mode_exit":    is(args{n, method}, done[exitError]{}),
		"authn_method_register":                  is(args{n, authnMethodData{}}, result[confirmationCode, methodRegisterError]{}),
		"authn_method_session_register":          is(args{n}, result[confirmationCode, methodRegisterError]{}),
		"authn_method_session_info":              is(args{n}, (*sessionInfo)(nil)), "authn_method_confirm": is(args{n, text}, done[confirmError]{}),
		"lookup_by_registration_mode_id": is(args{text}, number),
		"prepare_delegation":             is(args{n, text, key, number}, key, n), "get_delegation": is(args{n, text, key, n}, getDelegationResponse{}),
		"prepare_attributes":        is(args{prepareRequest{}}, result[preparedAttributes, attributeError]{}),
		"get_attributes":            is(args{getRequest{}}, result[certifiedAttributes, attributeError]{}),
		"prepare_icrc3_attributes":  is(args{prepareIcrc3Request{}}, result[preparedIcrc3, prepareIcrc3Error]{}),
		"get_icrc3_attributes":      is(args{getIcrc3Request{}}, result[icrc3Signature, getIcrc3Error]{}),
		"list_available_attributes": is(args{listRequest{}}, result[[]attribute, listError]{}),
		"deploy_archive":            is(args{key}, deployResult{}), "fetch_entries": is(nil, []history.Buffered{}), "acknowledge_entries": is(args{n}),
		"http_request": is(args{httpRequest{}}, httpResponse{}), "init_salt": is(nil), "stats": is(nil, stats{}), "config": is(nil, initArgs{}),
		"whoami": is(nil, principal.ID{}), "lookup_device_key": is(args{key}, (*keyWithAnchor)(nil)),
		"get_accounts":                              is(args{n, text}, result[[]accountInfo, identityInfoError]{}),
		"create_account":                            is(args{n, text, text}, result[accountInfo, changeAccountError]{}),
		"update_account":                            is(args{n, text, number, accountUpdate{}}, result[accountInfo, changeAccountError]{}),
		"prepare_account_delegation":                is(args{n, text, number, key, number, allowed, yes}, result[preparedDelegation, delegationError]{}),
		"get_account_delegation":                    is(args{n, text, number, key, n, allowed}, result[signedDelegation, delegationError]{}),
		"get_default_account":                       is(args{n, text}, result[accountInfo, getDefaultError]{}),
		"set_default_account":                       is(args{n, text, number}, result[accountInfo, setDefaultError]{}),
		"lookup_caller_identity_by_recovery_phrase": is(nil, number),
	}
}

func service(t *testing.T) *candid.ServiceType {
	t.Helper()
	text, err := os.ReadFile("identity.did")
	if err != nil {
		t.Fatal(err)
	}
	did, err := candid.ParseDid(string(text))
	if err != nil {
		t.Fatal(err)
	}
	s, ok := did.ServiceType()
	if !ok {
		t.Fatal("identity.did describes no service")
	}
	return s
}

func TestGoTypesFitTheInterface(t *testing.T) {
	ours := signaturesOf()
	for _, m := range service(t).Methods {
		want, _ := candid.Resolve(m.Type).(*candid.FuncType)
		sig, ok := ours[m.Name]
		if !ok {
			t.Errorf("%s has no signature here", m.Name)
			continue
		}
		delete(ours, m.Name)
		got := marshal.FuncType(sig.in, sig.out, want.Annotations)
		if !candid.Subtype(got, want) {
			t.Errorf("%s is %v here, which is no subtype of %v", m.Name, got, want)
		}
	}
	for name := range ours {
		t.Errorf("identity.did has no method %s", name)
	}
}

// TestMethodsThatAreNotBuiltSaySo finds out from the module what is exported beyond the
// interface.
func TestMethodsThatAreNotBuiltSaySo(t *testing.T) {
	c := install(t)
	wasm, err := build()
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	code, err := r.CompileModule(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	built := map[string]bool{"update cdk_timer": true}
	for _, m := range service(t).Methods {
		f, _ := candid.Resolve(m.Type).(*candid.FuncType)
		kind := "update "
		if f.Annotations&candid.Query != 0 {
			kind = "query "
		}
		built[kind+m.Name] = true
	}
	var exported []string
	for export := range code.ExportedFunctions() {
		if method, ok := strings.CutPrefix(export, "canister_"); ok && strings.Contains(method, " ") {
			exported = append(exported, method)
		}
	}
	slices.Sort(exported)
	refused := 0
	for _, method := range exported {
		if built[method] {
			delete(built, method)
			continue
		}
		kind, name, _ := strings.Cut(method, " ")
		call := func() error { return c.try(principal.Anonymous(), name, nil) }
		if kind == "query" {
			call = func() error { return c.ask(principal.Anonymous(), name, nil) }
		}
		c.refuses(call(), name+" is not built")
		refused++
	}
	for method := range built {
		t.Errorf("%s is not exported", method)
	}
	for _, name := range []string{"openid_prepare_delegation", "prepare_id_alias", "smtp_request"} {
		if !slices.ContainsFunc(exported, func(m string) bool { return strings.HasSuffix(m, " "+name) }) {
			t.Errorf("%s is not there to say that it is not built", name)
		}
	}
	if refused != 37 {
		t.Errorf("%d methods are not built: README lists 37", refused)
	}
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
}

// What the canister serves is certified, also while signatures wait in the same tree.
func TestEveryHTTPAnswerIsCertified(t *testing.T) {
	origins := []string{"https://id.ai", "http://id.ai.localhost:8000"}
	c := install(t, &initArgs{RelatedOrigins: &origins})
	anna := newPasskey(t, "anna")
	c.logIn(anna.id, c.newAnchor(anna, "anna"), "https://dapp.com", newPasskey(t, "session").der, nil)
	v := &asset.Verifier{Certificates: &certificate.Verifier{RootKey: c.net.RootKey(), BLS: bls.NewVerifier().Verify}}
	two := uint16(2)
	known := map[string]string{
		"/.well-known/webauthn":        `{"origins":["https://id.ai","http://id.ai.localhost:8000"]}`,
		"/.well-known/cli-auth-config": `{"path":"/cli"}`,
	}
	// Pages are there if they were built, and certified either way.
	for _, url := range []string{"/.well-known/webauthn", "/.well-known/cli-auth-config", "/", "/authorize", "/.well-known/nothing?x=y"} {
		var resp httpResponse
		req := httpRequest{Method: "GET", URL: url, CertificateVersion: &two, Headers: []headerField{{"Accept-Encoding", "br, gzip"}}}
		c.query(principal.Anonymous(), "http_request", args{req}, &resp)
		got := &asset.Response{Status: resp.Status, Body: resp.Body}
		for _, h := range resp.Headers {
			got.Headers = append(got.Headers, asset.Header{Name: h.Name, Value: h.Value})
			if h.Name != asset.CertificateHeader {
				continue
			}
			proof, err := asset.ParseCertification(h.Value)
			if err != nil {
				t.Fatal(err)
			}
			if _, status := hashtree.Find(proof.Tree, []byte(sigLabel)); status != hashtree.Unknown {
				t.Errorf("%s: the proof shows what was signed", url)
			}
		}
		if want := known[url]; want != "" && (resp.Status != 200 || string(resp.Body) != want) {
			t.Errorf("%s: %d %q", url, resp.Status, resp.Body)
		}
		if _, err := v.Verify(c.Self, &asset.Request{Method: "GET", URL: url}, got, c.Now.Std()); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}
