package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"portico/lightclient/bls"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/fakenet"
	"portico/lightclient/principal"
	sigs "portico/lightclient/signature"
	"portico/node/cdk/cdktest"
	"portico/node/cdk/link"
)

var (
	build       = sync.OnceValues(func() ([]byte, error) { return link.Build(".", "identity.did") })
	machineCode = sync.OnceValue(wazero.NewCompilationCache)
)

// canister is an installed identity canister on a root subnet that certifies its data.
type canister struct {
	*cdktest.Canister
	t      *testing.T
	net    *fakenet.Network
	random uint64
	made   principal.ID // what create_canister makes
}

func install(t *testing.T, args ...any) *canister {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles a canister twice: to WebAssembly and to machine code")
	}
	wasm, err := build()
	if err != nil {
		t.Fatal(err)
	}
	c, err := cdktest.New(machineCode())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	net := fakenet.New("identity")
	c.RootKey = net.RootKey()
	c.Certify = func(data []byte) []byte {
		return net.CertifyAsRoot(c.Now.Std(), fakenet.E(data, "canister", c.Self.Raw(), "certified_data"))
	}
	if err := c.Install(wasm, encode(t, args...), principal.ID{}); err != nil {
		t.Fatal(err)
	}
	return &canister{c, t, net, 0, principal.ID{}}
}

func (c *canister) upgrade(args ...any) error {
	c.t.Helper()
	wasm, err := build()
	if err != nil {
		c.t.Fatal(err)
	}
	return c.Upgrade(wasm, encode(c.t, args...), principal.ID{})
}

func encode(t testing.TB, values ...any) []byte {
	t.Helper()
	b, err := marshal.Encode(values...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// remote is the management canister in these tests: raw_rand gives numbers in order,
// hashed, and canisters are made and installed as it is told.
func (c *canister) remote(call *cdktest.Call) ([]byte, error) {
	switch {
	case !call.Canister.IsManagement():
	case call.Method == "create_canister":
		return marshal.Encode(canisterID{c.made})
	case call.Method == "install_code":
		return marshal.Encode()
	}
	if call.Method != "raw_rand" || !call.Canister.IsManagement() {
		return nil, errors.New("a call to " + call.Canister.String() + " " + call.Method)
	}
	c.random++
	n := randomNumber(c.random)
	return marshal.Encode(n[:])
}

// firstRandom is what raw_rand gives first, and so the salt.
func firstRandom() [32]byte { return randomNumber(1) }

func randomNumber(i uint64) [32]byte { return sha256.Sum256(binary.BigEndian.AppendUint64(nil, i)) }

type args []any

// try calls an update method and decodes what it returns.
func (c *canister) try(as principal.ID, method string, in args, results ...any) error {
	c.t.Helper()
	b, err := c.Update(as, method, encode(c.t, in...), c.remote)
	if err != nil {
		return err
	}
	return marshal.Decode(b, results...)
}

func (c *canister) do(as principal.ID, method string, in args, results ...any) {
	c.t.Helper()
	if err := c.try(as, method, in, results...); err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
}

func (c *canister) ask(as principal.ID, method string, in args, results ...any) error {
	c.t.Helper()
	b, err := c.Query(as, method, encode(c.t, in...))
	if err != nil {
		return err
	}
	return marshal.Decode(b, results...)
}

func (c *canister) query(as principal.ID, method string, in args, results ...any) {
	c.t.Helper()
	if err := c.ask(as, method, in, results...); err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
}

func (c *canister) refuses(err error, words string) {
	c.t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		c.t.Errorf("got %v, want a refusal with %q", err, words)
	}
}

// passkey is the key of a device in tests.
type passkey struct {
	key envelope.Ed25519
	id  principal.ID
	der []byte
}

func newPasskey(t testing.TB, seed string) passkey {
	t.Helper()
	h := sha256.Sum256([]byte(seed))
	key, err := envelope.NewEd25519(h[:])
	if err != nil {
		t.Fatal(err)
	}
	der := key.PublicKey()
	return passkey{key, principal.SelfAuthenticating(der), der}
}

// device is the passkey as a device whose credential id is its name.
func (p passkey) device(named string) device {
	id := []byte("credential " + named)
	return device{
		PubKey: p.der, Alias: named, CredentialID: &id, Purpose: purpose{Authentication: true},
		KeyType: keyType{Platform: true}, Protection: protection{Unprotected: true},
	}
}

// phrase is the passkey as a recovery phrase.
func (p passkey) phrase(protected bool) device {
	return device{
		PubKey: p.der, Alias: "Recovery phrase", Purpose: purpose{Recovery: true}, KeyType: keyType{SeedPhrase: true},
		Protection: protection{Protected: protected, Unprotected: !protected},
	}
}

func (p passkey) method(named string) authnMethodData {
	return authnMethodData{
		Method:   authnMethod{WebAuthn: &webAuthn{CredentialID: []byte("credential " + named), PubKey: p.der}},
		Security: securitySettings{protection2{Unprotected: true}, purpose2{Authentication: true}},
		Metadata: []metadataEntry2{{"alias", metadataValue2{String: &named}}},
	}
}

// newAnchor registers a device by the first version of the interface.
func (c *canister) newAnchor(p passkey, named string) uint64 {
	c.t.Helper()
	var ch challenge
	c.do(p.id, "create_challenge", nil, &ch)
	var r registerResponse
	c.do(p.id, "register", args{p.device(named), challengeResult{ch.Key, "a"}, (*principal.ID)(nil)}, &r)
	if r.Registered == nil {
		c.t.Fatalf("not registered: %+v", r)
	}
	return r.Registered.Number
}

// logIn prepares and gets a delegation for an anchor at an origin.
func (c *canister) logIn(as principal.ID, number uint64, origin string, session []byte, ttl *uint64) (userKey []byte, d signedDelegation) {
	c.t.Helper()
	var expires uint64
	c.do(as, "prepare_delegation", args{number, origin, session, ttl}, &userKey, &expires)
	var got getDelegationResponse
	c.query(as, "get_delegation", args{number, origin, session, expires}, &got)
	if got.Signed == nil {
		c.t.Fatal("no such delegation")
	}
	return userKey, *got.Signed
}

// verify checks a delegation as replicas do.
func (c *canister) verify(userKey []byte, d signedDelegation) error {
	v := sigs.New(sigs.Config{Certificates: &certificate.Verifier{RootKey: c.net.RootKey(), BLS: bls.NewVerifier().Verify}})
	e := envelope.Delegation{PublicKey: d.Delegation.PubKey, Expiration: d.Delegation.Expiration}
	if d.Delegation.Permissions != nil {
		e.Permissions = *d.Delegation.Permissions
	}
	return v.Verify(userKey, e.SignedBytes(), d.Signature)
}

func (c *canister) pass(d time.Duration) { c.Now = c.Now.Add(d) }

func TestAnchorsAreNumberedInOrderFrom10000(t *testing.T) {
	c := install(t)
	for i, named := range []string{"anna", "ben", "cleo"} {
		if n := c.newAnchor(newPasskey(t, named), named); n != firstNumber+uint64(i) {
			t.Errorf("%s got the number %d", named, n)
		}
	}
	var s stats
	c.query(principal.ID{}, "stats", nil, &s)
	if s.Registered != 3 || s.Range.From != firstNumber {
		t.Errorf("stats: %+v", s)
	}
}

func TestNobodyIsLostInAnUpgrade(t *testing.T) {
	c := install(t)
	anna, ben := newPasskey(t, "anna"), newPasskey(t, "ben")
	a, b := c.newAnchor(anna, "anna"), c.newAnchor(ben, "ben")
	var added result[accountInfo, changeAccountError]
	c.do(anna.id, "create_account", args{a, "https://dapp.com", "work"}, &added)
	var before, after principal.ID
	c.query(anna.id, "get_principal", args{a, "https://dapp.com"}, &before)
	if err := c.upgrade((*initArgs)(nil)); err != nil {
		t.Fatal(err)
	}
	c.query(anna.id, "get_principal", args{a, "https://dapp.com"}, &after)
	if before != after {
		t.Errorf("the principal was %s, now it is %s", before, after)
	}
	var list result[[]accountInfo, identityInfoError]
	c.query(anna.id, "get_accounts", args{a, "https://dapp.com"}, &list)
	if list.Ok == nil || len(*list.Ok) != 2 || *(*list.Ok)[1].Name != "work" {
		t.Errorf("accounts: %+v", list)
	}
	var found *keyWithAnchor
	c.query(principal.ID{}, "lookup_device_key", args{[]byte("credential ben")}, &found)
	if found == nil || found.Anchor != b || !bytes.Equal(found.PubKey, ben.der) {
		t.Errorf("lookup_device_key: %+v", found)
	}
	if n := c.newAnchor(newPasskey(t, "cleo"), "cleo"); n != b+1 {
		t.Errorf("the next anchor is %d", n)
	}
}

func TestTheConfigurationIsKeptUnlessAnUpgradeChangesIt(t *testing.T) {
	origins := []string{"https://id.ai"}
	c := install(t, &initArgs{RelatedOrigins: &origins, Range: &numberRange{10_000, 10_002}})
	production := true
	if err := c.upgrade(&initArgs{Production: &production}); err != nil {
		t.Fatal(err)
	}
	var got initArgs
	c.query(principal.ID{}, "config", nil, &got)
	if got.Range.To != 10_002 || len(*got.RelatedOrigins) != 1 || !*got.Production {
		t.Errorf("config: %+v", got)
	}
	c.newAnchor(newPasskey(t, "anna"), "anna")
	c.newAnchor(newPasskey(t, "ben"), "ben")
	cleo := newPasskey(t, "cleo")
	var ch challenge
	c.do(cleo.id, "create_challenge", nil, &ch)
	var r registerResponse
	c.do(cleo.id, "register", args{cleo.device("cleo"), challengeResult{ch.Key, ""}, (*principal.ID)(nil)}, &r)
	if !r.Full {
		t.Errorf("a third anchor in a range of two: %+v", r)
	}
	c.refuses(c.upgrade(&initArgs{Range: &numberRange{10_001, 10_005}}), "must begin with 10000")
	c.refuses(c.upgrade(&initArgs{Range: &numberRange{10_000, 10_001}}), "hold them")
}
