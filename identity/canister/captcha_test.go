package main

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"strings"
	"testing"
	"time"

	"portico/identity/stable"
	"portico/lightclient/principal"
)

// read is what a person reads on a captcha.
func (s captchaSeed) read() string {
	var b strings.Builder
	for _, g := range letters(s.random()) {
		b.WriteByte(g.letter)
	}
	return b.String()
}

// lastCaptcha is the seed that raw_rand gave last.
func (c *canister) lastCaptcha() captchaSeed { return captchaSeed(randomNumber(c.random)) }

func withCaptchas() *initArgs {
	return &initArgs{Captcha: &captchaConfig{100, captchaTrigger{Static: &staticCaptcha{Enabled: true}}}}
}

func checkPNG(t *testing.T, encoded string) {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if size := img.Bounds().Size(); size.X != captchaWidth || size.Y != captchaHeight {
		t.Errorf("the image is of size %s", size)
	}
}

func TestEveryCaptchaIsSolvedByWhatIsDrawnAlone(t *testing.T) {
	seen := map[string]bool{}
	for i := range 50 {
		s := captchaSeed{byte(i)}
		image, err := s.draw()
		if err != nil {
			t.Fatal(err)
		}
		checkPNG(t, image)
		seen[image] = true
		word := s.read()
		if !s.solved(word) || !s.solved(strings.ToLower(word)) {
			t.Errorf("%q does not solve it", word)
		}
		for _, wrong := range []string{"", word[:4], word + "A", word[1:] + word[:1] + "\x00", "ÄÖÜ"} {
			if s.solved(wrong) {
				t.Errorf("%q solves %q", wrong, word)
			}
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d different images of 50", len(seen))
	}
}

func TestARegistrationWithCaptchaNeedsItsSolution(t *testing.T) {
	c := install(t, withCaptchas())
	temporary, anna := newPasskey(t, "temporary"), newPasskey(t, "anna")
	var start result[nextStepResult, startError]
	c.do(temporary.id, "identity_registration_start", nil, &start)
	if start.Ok == nil || start.Ok.Next.CheckCaptcha == nil {
		t.Fatalf("%+v %+v", start.Ok, start.Err)
	}
	first := c.lastCaptcha()
	checkPNG(t, start.Ok.Next.CheckCaptcha.PNG)
	var finish result[finishResult, finishError]
	c.do(temporary.id, "identity_registration_finish", args{finishArg{Method: anna.method("anna")}}, &finish)
	if finish.Err == nil || finish.Err.Unexpected == nil || finish.Err.Unexpected.Next.CheckCaptcha == nil || finish.Err.Unexpected.Next.CheckCaptcha.PNG != start.Ok.Next.CheckCaptcha.PNG {
		t.Errorf("finished without a solution: %+v", finish)
	}
	var check result[nextStepResult, checkCaptchaError]
	c.do(temporary.id, "check_captcha", args{checkCaptchaArg{"AAAAA"}}, &check)
	if check.Err == nil || check.Err.Wrong == nil || check.Err.Wrong.PNG == start.Ok.Next.CheckCaptcha.PNG {
		t.Errorf("a wrong solution: %+v", check)
	}
	check = result[nextStepResult, checkCaptchaError]{}
	c.do(temporary.id, "check_captcha", args{checkCaptchaArg{first.read()}}, &check)
	if check.Err == nil || check.Err.Wrong == nil {
		t.Errorf("the solution of the captcha before: %+v", check)
	}
	check = result[nextStepResult, checkCaptchaError]{}
	c.do(anna.id, "check_captcha", args{checkCaptchaArg{c.lastCaptcha().read()}}, &check)
	if check.Err == nil || !check.Err.NoFlow {
		t.Errorf("another's captcha: %+v", check)
	}
	check = result[nextStepResult, checkCaptchaError]{}
	c.do(temporary.id, "check_captcha", args{checkCaptchaArg{strings.ToLower(c.lastCaptcha().read())}}, &check)
	if check.Ok == nil || !check.Ok.Next.Finish {
		t.Fatalf("the right solution: %+v", check)
	}
	finish = result[finishResult, finishError]{}
	c.do(temporary.id, "identity_registration_finish", args{finishArg{Method: anna.method("anna")}}, &finish)
	if finish.Ok == nil {
		t.Errorf("%+v", finish.Err)
	}
}

func TestAChallengeWithCaptchaIsGoodForOneSolution(t *testing.T) {
	c := install(t, withCaptchas())
	anna := newPasskey(t, "anna")
	register := func(right bool) registerResponse {
		var ch challenge
		c.do(anna.id, "create_challenge", nil, &ch)
		checkPNG(t, ch.PNG)
		var r registerResponse
		word := c.lastCaptcha().read()
		if !right {
			c.do(anna.id, "register", args{anna.device("anna"), challengeResult{ch.Key, "AAAAA"}, (*principal.ID)(nil)}, &r)
			if !r.BadChallenge {
				t.Errorf("a wrong solution: %+v", r)
			}
			r = registerResponse{}
		}
		c.do(anna.id, "register", args{anna.device("anna"), challengeResult{ch.Key, word}, (*principal.ID)(nil)}, &r)
		return r
	}
	if r := register(false); !r.BadChallenge {
		t.Errorf("a second try: %+v", r)
	}
	if r := register(true); r.Registered == nil {
		t.Errorf("the right solution: %+v", r)
	}
}

// The figures are those of an attack: one registration a minute for an hour, then one a
// second.
func TestCaptchasBeginWhenRegistrationsAreMoreFrequentThanUsual(t *testing.T) {
	m := &stable.Buffer{}
	s := newStore(m, principal.Canister(7))
	s.config = defaultConfig()
	s.config.Captcha.Trigger = captchaTrigger{Dynamic: &dynamicCaptcha{Threshold: 50, Current: 160, Reference: 3_200}}
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	at := uint64(1_700_000_000) * second
	if s.captchaRequired(at) {
		t.Error("the first registration of all takes a captcha")
	}
	if !s.captchaRequired(at) {
		t.Error("nothing is usual yet, and the second takes none")
	}
	for range 60 {
		at += minute
		s.captchaRequired(at)
	}
	if at += minute; s.captchaRequired(at) {
		t.Error("a registration as usual takes a captcha")
	}
	captchas := 0
	for range 20 {
		if at += second; s.captchaRequired(at) {
			captchas++
		}
	}
	if captchas < 15 {
		t.Errorf("%d captchas for 20 registrations in 20 seconds", captchas)
	}
	if err := errorsOf(s.storeConfig(), s.flush()); err != nil {
		t.Fatal(err)
	}
	again, err := load(m, principal.Canister(7))
	if err != nil {
		t.Fatal(err)
	}
	if again.rates != s.rates {
		t.Error("an upgrade forgets how frequent registrations were")
	}
	if at += 3_200 * second; again.captchaRequired(at) {
		t.Error("an attack long ago still counts")
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestCaptchasThatCannotBeConfiguredAreRefused(t *testing.T) {
	c := install(t)
	for words, x := range map[string]captchaConfig{
		"at most 10000 captchas":  {10_001, captchaTrigger{Static: &staticCaptcha{Enabled: true}}},
		"the last 0 seconds":      {1, captchaTrigger{Dynamic: &dynamicCaptcha{1, 0, 10}}},
		"the last 10 seconds":     {1, captchaTrigger{Dynamic: &dynamicCaptcha{1, 10, 9}}},
		"of 31622400 at most":     {1, captchaTrigger{Dynamic: &dynamicCaptcha{1, 10, 1 << 60}}},
		"with the last 999999999": {1, captchaTrigger{Dynamic: &dynamicCaptcha{1, 10, 999_999_999}}},
	} {
		c.refuses(c.upgrade(&initArgs{Captcha: &x}), words)
	}
	if err := c.upgrade(&initArgs{Captcha: &captchaConfig{1, captchaTrigger{Dynamic: &dynamicCaptcha{20, 600, 86_400}}}}); err != nil {
		t.Error(err)
	}
	c.newAnchor(newPasskey(t, "anna"), "anna")
	temporary := newPasskey(t, "temporary")
	var start result[nextStepResult, startError]
	c.pass(time.Second)
	c.do(temporary.id, "identity_registration_start", nil, &start)
	if start.Ok == nil || start.Ok.Next.CheckCaptcha == nil {
		t.Errorf("the second of two registrations at once takes no captcha: %+v", start)
	}
}
