package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"portico/identity/stable"
	"portico/lightclient/principal"
)

func TestAChallengeIsGoodForOneRegistrationWithinFiveMinutes(t *testing.T) {
	c := install(t)
	anna, ben := newPasskey(t, "anna"), newPasskey(t, "ben")
	register := func(p passkey, named, key string) registerResponse {
		var r registerResponse
		c.do(p.id, "register", args{p.device(named), challengeResult{key, "a"}, (*principal.ID)(nil)}, &r)
		return r
	}
	var first, second challenge
	c.do(anna.id, "create_challenge", nil, &first)
	c.do(anna.id, "create_challenge", nil, &second)
	if r := register(anna, "anna", "no such key"); !r.BadChallenge {
		t.Errorf("an invented challenge: %+v", r)
	}
	if r := register(anna, "anna", first.Key); r.Registered == nil {
		t.Errorf("a right challenge: %+v", r)
	}
	if r := register(ben, "ben", first.Key); !r.BadChallenge {
		t.Errorf("a replayed challenge: %+v", r)
	}
	c.pass(5 * time.Minute)
	if r := register(ben, "ben", second.Key); !r.BadChallenge {
		t.Errorf("an expired challenge: %+v", r)
	}
}

func TestARegistrationNeedsTheDevicesSignature(t *testing.T) {
	c := install(t)
	anna, mallory := newPasskey(t, "anna"), newPasskey(t, "mallory")
	var ch challenge
	c.do(mallory.id, "create_challenge", nil, &ch)
	solution := challengeResult{ch.Key, "a"}
	c.refuses(c.try(mallory.id, "register", args{anna.device("anna"), solution, (*principal.ID)(nil)}), "could not be authenticated")
	c.refuses(c.try(mallory.id, "register", args{anna.device("anna"), solution, &anna.id}), "could not be authenticated")
	nobody := principal.Anonymous()
	c.refuses(c.try(nobody, "register", args{anna.device("anna"), solution, &nobody}), "could not be authenticated")
	var r registerResponse
	c.do(anna.id, "register", args{anna.device("anna"), solution, (*principal.ID)(nil)}, &r)
	if r.Registered == nil {
		t.Errorf("a refused registration used the challenge up: %+v", r)
	}
}

func TestRegistrationsAreLimited(t *testing.T) {
	c := install(t, &initArgs{RateLimit: &rateLimit{10 * second, 2}})
	anna := newPasskey(t, "anna")
	for range 2 {
		c.do(anna.id, "create_challenge", nil)
	}
	c.refuses(c.try(anna.id, "create_challenge", nil), "rate limit reached")
	var r result[nextStepResult, startError]
	c.do(anna.id, "identity_registration_start", nil, &r)
	if r.Err == nil || !r.Err.RateLimit {
		t.Errorf("the second version: %+v", r)
	}
	c.pass(10 * time.Second)
	r = result[nextStepResult, startError]{}
	c.do(anna.id, "identity_registration_start", nil, &r)
	if r.Ok == nil || !r.Ok.Next.Finish {
		t.Errorf("after ten seconds: %+v", r)
	}
	r = result[nextStepResult, startError]{}
	c.do(anna.id, "identity_registration_start", nil, &r)
	if r.Err == nil || !r.Err.InProgress {
		t.Errorf("twice at once: %+v", r)
	}
}

func TestUnsolvedChallengesAreBounded(t *testing.T) {
	c := install(t, &initArgs{Captcha: &captchaConfig{3, captchaTrigger{Static: &staticCaptcha{Disabled: true}}}})
	anna := newPasskey(t, "anna")
	for range 3 {
		c.do(anna.id, "create_challenge", nil)
	}
	c.refuses(c.try(anna.id, "create_challenge", nil), "too many inflight captchas")
	c.pass(5 * time.Minute)
	c.do(anna.id, "create_challenge", nil)
}

// enroll registers by the second version of the interface: temporary signs.
func (c *canister) enroll(temporary passkey, m authnMethodData) result[finishResult, finishError] {
	c.t.Helper()
	var started result[nextStepResult, startError]
	c.do(temporary.id, "identity_registration_start", nil, &started)
	if started.Ok == nil {
		c.t.Fatalf("%+v", started.Err)
	}
	var r result[finishResult, finishError]
	c.do(temporary.id, "identity_registration_finish", args{finishArg{Method: m}}, &r)
	return r
}

func TestTheKeyOfARegistrationActsForTheAnchorForTenMinutes(t *testing.T) {
	c := install(t)
	temporary, anna, session := newPasskey(t, "temporary"), newPasskey(t, "anna"), newPasskey(t, "session")
	r := c.enroll(temporary, anna.method("anna"))
	if r.Ok == nil {
		t.Fatalf("%+v", r.Err)
	}
	n := r.Ok.Number
	r = result[finishResult, finishError]{}
	c.do(temporary.id, "identity_registration_finish", args{finishArg{Method: newPasskey(t, "second").method("second")}}, &r)
	if r.Err == nil || !r.Err.NoFlow {
		t.Errorf("one start is good for two registrations: %+v", r)
	}
	byTemporary, _ := c.logIn(temporary.id, n, "https://dapp.com", session.der, nil)
	byPasskey, _ := c.logIn(anna.id, n, "https://dapp.com", session.der, nil)
	if !bytes.Equal(byTemporary, byPasskey) {
		t.Error("the temporary key is another principal")
	}
	other := c.newAnchor(newPasskey(t, "ben"), "ben")
	c.refuses(c.ask(temporary.id, "get_principal", args{other, "https://dapp.com"}), "could not be authenticated")
	c.pass(10 * time.Minute)
	c.refuses(c.ask(temporary.id, "get_principal", args{n, "https://dapp.com"}), "could not be authenticated")
	c.query(anna.id, "get_principal", args{n, "https://dapp.com"}, new(principal.ID))
}

func TestATemporaryKeyEndsWithItsDevice(t *testing.T) {
	c := install(t)
	temporary, anna := newPasskey(t, "temporary"), newPasskey(t, "anna")
	n := c.enroll(temporary, anna.method("anna")).Ok.Number
	c.do(anna.id, "remove", args{n, anna.der})
	again := c.newAnchor(anna, "anna")
	for _, number := range []uint64{n, again} {
		c.refuses(c.ask(temporary.id, "get_principal", args{number, "https://dapp.com"}), "could not be authenticated")
	}
}

func TestNoRegistrationPaysForAllKeysThatExpiredBeforeIt(t *testing.T) {
	keys := temporaryKeys{keys: map[who]temporaryKey{}}
	key := func(i int) principal.ID { return principal.SelfAuthenticating([]byte(fmt.Sprint(i))) }
	for i := range maxTemporary + 10 {
		keys.add(key(i), uint64(i), nil, 0)
	}
	if _, ok := keys.get(key(9), 0); ok || len(keys.keys) != maxTemporary {
		t.Errorf("%d keys are kept", len(keys.keys))
	}
	for i := range 10 {
		keys.add(key(-1-i), 7, nil, temporaryLife)
		if want := maxTemporary - 1 - i; len(keys.keys) != want {
			t.Fatalf("%d keys are left, want %d: one comes and two go", len(keys.keys), want)
		}
	}
	if _, ok := keys.get(key(5_000), temporaryLife); ok {
		t.Error("a key that expired and has not gone yet is good")
	}
	if k, ok := keys.get(key(-1), temporaryLife); !ok || k.anchor != 7 {
		t.Error("a new key is not good")
	}
}

func TestRegistrationStepsOutOfOrderAreRefused(t *testing.T) {
	c := install(t)
	temporary, anna := newPasskey(t, "temporary"), newPasskey(t, "anna")
	var finish result[finishResult, finishError]
	c.do(temporary.id, "identity_registration_finish", args{finishArg{Method: anna.method("anna")}}, &finish)
	if finish.Err == nil || !finish.Err.NoFlow {
		t.Errorf("finished without a start: %+v", finish)
	}
	var check result[nextStepResult, checkCaptchaError]
	c.do(temporary.id, "check_captcha", args{checkCaptchaArg{"a"}}, &check)
	if check.Err == nil || !check.Err.NoFlow {
		t.Errorf("a captcha without a start: %+v", check)
	}
	var start result[nextStepResult, startError]
	c.do(principal.Anonymous(), "identity_registration_start", nil, &start)
	if start.Err == nil || !start.Err.InvalidCaller {
		t.Errorf("nobody started: %+v", start)
	}
	c.do(temporary.id, "identity_registration_start", nil, &start)
	check = result[nextStepResult, checkCaptchaError]{}
	c.do(temporary.id, "check_captcha", args{checkCaptchaArg{"a"}}, &check)
	if check.Err == nil || check.Err.Unexpected == nil || !check.Err.Unexpected.Next.Finish {
		t.Errorf("a captcha that nobody asked for: %+v", check)
	}
	c.pass(5 * time.Minute)
	finish = result[finishResult, finishError]{}
	c.do(temporary.id, "identity_registration_finish", args{finishArg{Method: anna.method("anna")}}, &finish)
	if finish.Err == nil || !finish.Err.NoFlow {
		t.Errorf("finished after five minutes: %+v", finish)
	}
}

func TestAnothersCredentialAndKeyAreRefused(t *testing.T) {
	c := install(t)
	anna, mallory := newPasskey(t, "anna"), newPasskey(t, "mallory")
	c.newAnchor(anna, "anna")
	for named, m := range map[string]authnMethodData{
		"another's credential id": mallory.method("anna"),
		"another's key":           anna.method("mallory"),
	} {
		r := c.enroll(newPasskey(t, named), m)
		if r.Err == nil || r.Err.Invalid == nil || !strings.Contains(*r.Err.Invalid, "already used") {
			t.Errorf("%s: %+v", named, r)
		}
	}
	n := c.newAnchor(mallory, "mallory")
	c.refuses(c.try(mallory.id, "add", args{n, anna.device("x")}), "already used")
	c.refuses(c.try(mallory.id, "add", args{n, newPasskey(t, "x").device("anna")}), "already used")
	c.refuses(c.try(mallory.id, "add", args{n, mallory.device("x")}), "already")
	c.refuses(c.try(mallory.id, "add", args{n, newPasskey(t, "x").device("mallory")}), "already used")
	var s stats
	c.query(principal.ID{}, "stats", nil, &s)
	if s.Registered != 2 {
		t.Errorf("%d anchors, want 2: a refused registration took a number", s.Registered)
	}
}

func TestMalformedKeysAreRefusedAtRegistration(t *testing.T) {
	c := install(t)
	ecPoint := append([]byte{4}, make([]byte, 64)...)
	cose := func(b ...byte) []byte { return spki(algorithmCOSE, b) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	es256 := join([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, make([]byte, 32), []byte{0x22, 0x58, 32}, make([]byte, 32))
	rsa := func(bits int) []byte {
		n := bits / 8
		return join([]byte{0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59, byte(n >> 8), byte(n)}, bytes.Repeat([]byte{1}, n), []byte{0x21, 0x43, 1, 0, 1})
	}
	i := 0
	for named, x := range map[string]struct {
		key  []byte
		good bool
	}{
		"P-256":                       {spki(algorithmP256, ecPoint), true},
		"secp256k1":                   {spki(algorithmSecp256k1, ecPoint), true},
		"COSE ES256":                  {cose(es256...), true},
		"COSE RSA of 2,048 bits":      {cose(rsa(2048)...), true},
		"COSE RSA of 1,024 bits":      {cose(rsa(1024)...), false},
		"a compressed point":          {spki(algorithmP256, append([]byte{2}, make([]byte, 32)...)), false},
		"RSA without COSE":            {spki("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00", make([]byte, 200)), false},
		"COSE that is no map":         {cose(0x83, 1, 2, 3), false},
		"COSE that ends early":        {cose(es256[:40]...), false},
		"COSE with more after it":     {cose(append(bytes.Clone(es256), 0)...), false},
		"COSE ES384":                  {cose(bytes.Replace(es256, []byte{3, 0x26}, []byte{3, 0x38, 34}, 1)...), false},
		"COSE on P-384":               {cose(bytes.Replace(es256, []byte{0x20, 1}, []byte{0x20, 2}, 1)...), false},
		"COSE with a parameter twice": {cose(bytes.Replace(es256, []byte{0xa5, 1, 2}, []byte{0xa6, 1, 2, 1, 2}, 1)...), false},
		"a length of a long form":     {append([]byte{0x30, 0x81, 42}, newPasskey(t, "x").der[2:]...), false},
		"nothing":                     {nil, false},
	} {
		i++
		m := authnMethodData{Method: authnMethod{PubKey: &publicKeyAuthn{x.key}}, Security: securitySettings{protection2{Unprotected: true}, purpose2{Authentication: true}}}
		r := c.enroll(newPasskey(t, fmt.Sprint("temporary ", i)), m)
		if good := r.Ok != nil; good != x.good || !good && r.Err.Invalid == nil {
			t.Errorf("%s: %+v %+v", named, r.Ok, r.Err)
		}
	}
}

// spki is DER of a public key.
func spki(algorithm string, key []byte) []byte {
	bits := der(tagBitString, append([]byte{0}, key...))
	return der(tagSequence, append(der(tagSequence, []byte(algorithm)), bits...))
}

func der(tag byte, content []byte) []byte {
	switch n := len(content); {
	case n < 128:
		return append([]byte{tag, byte(n)}, content...)
	case n < 256:
		return append([]byte{tag, 0x81, byte(n)}, content...)
	default:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, content...)
	}
}

// smallMedium is a stable memory that does not grow beyond a limit.
type smallMedium struct {
	stable.Buffer
	limit int64
}

func (m *smallMedium) WriteAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > m.limit {
		return 0, errors.New("stable memory does not grow")
	}
	return m.Buffer.WriteAt(p, off)
}

// An answer keeps what was written before it; a trap does not. Outside of a canister, a trap panics.
func TestARegistrationThatCouldNotBeWrittenWholeTraps(t *testing.T) {
	for _, chunks := range []int64{0, 1} { // none fits; the index alone does
		s := newStore(&smallMedium{limit: 64<<10 + chunks*stable.ChunkBytes}, principal.Canister(1))
		if err := s.begin(); err != nil {
			t.Fatal(err)
		}
		s.config = defaultConfig()
		anna := newPasskey(t, "anna")
		if r, err := s.startFlow(anna.id, nil, 1); err != nil || r.Ok == nil {
			t.Fatalf("%+v, %v", r, err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("with room for %d chunks there is an answer", chunks)
				}
			}()
			s.finishFlow(anna.id, finishArg{Method: anna.method("anna")}, 1) //nolint:errcheck // it does not return
		}()
	}
}
