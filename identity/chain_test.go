package identity

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/lightclient/signature/testsigner"
)

// jsonOf is the log-in as a page sends it.
func jsonOf(l *LogIn) string {
	return fmt.Sprintf(`{"challenge":"%x","chain":%s,"signature":"%x"}`, l.Challenge, l.Chain.JSON(), l.Signature)
}

func TestLogInsAreReadAsTheyAreWritten(t *testing.T) {
	w := newWorld(t, nil)
	c := w.chain(func(i int, d *envelope.Delegation) {
		switch i {
		case 1:
			d.Targets, d.Permissions = []principal.ID{principal.Canister(1), {}}, envelope.PermissionQueries
		case 2:
			d.Targets, d.Expiration = []principal.ID{}, ^uint64(0)
		}
	}, w.user, testsigner.Ed25519(t), testsigner.Secp256k1(t), w.session)
	l := w.logIn(c, w.session)
	got, err := ParseLogIn([]byte(jsonOf(l)))
	must(t, err)
	if !reflect.DeepEqual(got, l) {
		t.Errorf("%+v became %+v", l, got)
	}
}

const (
	someKey  = "302a300506032b6570032100aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	oneChain = `{"delegations":[{"delegation":{"expiration":"18bc2b1a5c6e0000","pubkey":"` + someKey + `"},"signature":"00ff"}],"publicKey":"` + someKey + `"}`
)

func TestChainsAreWrittenAsThePackageOfClientsWritesThem(t *testing.T) {
	c, err := ParseChain([]byte(oneChain))
	must(t, err)
	if got := string(c.JSON()); got != oneChain {
		t.Errorf("got  %s\nwant %s", got, oneChain)
	}
	if hex.EncodeToString(c.PublicKey) != someKey || c.Delegations[0].Delegation.Expiration != 0x18bc2b1a5c6e0000 {
		t.Errorf("read as %+v", c)
	}
}

func TestJSONThatIsNoChainIsRefused(t *testing.T) {
	replace := func(old, with string) string {
		if !strings.Contains(oneChain, old) {
			t.Fatalf("%q is not in the chain", old)
		}
		return strings.Replace(oneChain, old, with, 1)
	}
	delegation := `{"expiration":"18bc2b1a5c6e0000","pubkey":"` + someKey + `"}`
	with := func(more string) string {
		return replace(`"18bc2b1a5c6e0000",`, `"18bc2b1a5c6e0000",`+more+",")
	}
	many := func(n int, item string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	one := `{"delegation":` + delegation + `,"signature":""}`
	_, err := ParseChain([]byte(`{"publicKey":"","delegations":` + many(20, one) + `}`))
	must(t, err)
	for text, want := range map[string]string{
		"":                                      "not a JSON object",
		"null":                                  "not a JSON object",
		"[]":                                    "not a JSON object",
		oneChain + "x":                          "not a JSON object",
		`{"publicKey":""}`:                      "delegations is missing",
		`{"publicKey":"","delegations":null}`:   "not an array",
		`{"publicKey":"","delegations":{}}`:     "not an array",
		`{"publicKey":"","delegations":[null]}`: "delegations[0] is not a JSON object",
		replace(`"publicKey"`, `"PublicKey"`):   "publicKey is missing",
		replace(`"signature"`, `"Signature"`):   "signature is missing",
		replace(`"pubkey"`, `"key"`):            "pubkey is missing",
		replace(`"00ff"`, `"00f"`):              "hexadecimal",
		replace(`"00ff"`, `"0x00"`):             "hexadecimal",
		replace(`"00ff"`, `[0,255]`):            "not a text",
		replace(`"00ff"`, `null`):               "not a text",
		replace(`"18bc2b1a5c6e0000"`, `1`):      "not a text",
		replace(`18bc2b1a5c6e0000`, ``):         "64 bits",
		replace(`18bc2b1a5c6e0000`, `0x18`):     "64 bits",
		replace(`18bc2b1a5c6e0000`, `-1`):       "64 bits",
		replace(`18bc2b1a5c6e0000`, `1_0`):      "64 bits",
		replace(`18bc2b1a5c6e0000`, `1`+strings.Repeat("0", 16)): "64 bits",
		with(`"senders":[]`):                                   "senders is no field",
		with(`"targets":null`):                                 "not an array",
		with(`"targets":["xyz"]`):                              "targets[0]",
		with(`"targets":[1]`):                                  "targets[0]",
		with(`"targets":["` + strings.Repeat("00", 30) + `"]`): "targets[0]",
		with(`"targets":` + many(1001, `""`)):                  "at most 1000",
		with(`"permissions":""`):                               "neither",
		with(`"permissions":"Queries"`):                        "neither",
		with(`"permissions":null`):                             "not a text",
		`{"publicKey":"","delegations":` + many(21, one) + `}`: "at most 20",
		replace(`{"delegations"`, `{"more":1,"delegations"`):   "more is no field",
		`"` + strings.Repeat("x", MaxLogInBytes) + `"`:         "at most 131072",
	} {
		_, err := ParseChain([]byte(text))
		if err == nil {
			t.Errorf("%.200s was taken for a chain", text)
			continue
		}
		wantCheck(t, err, Form, want)
	}
	for text, want := range map[string]string{
		`{}`: "challenge is missing", `{"challenge":"","chain":{},"signature":""}`: "publicKey is missing",
		`{"challenge":"","chain":` + oneChain + `}`: "signature is missing", strings.Repeat(" ", MaxLogInBytes+1): "at most 131072",
		`{"challenge":"x","chain":` + oneChain + `,"signature":""}`: "hexadecimal", `{"challenge":"","chain":` + oneChain + `,"signature":"","origin":""}`: "origin is no field",
	} {
		_, err := ParseLogIn([]byte(text))
		wantCheck(t, err, Form, want)
	}
}

// What is read as a chain is written so that it is read as the same chain, and holds no
// more than the text did.
func FuzzParseChain(f *testing.F) {
	w := newWorld(f, nil)
	good := w.chain(func(_ int, d *envelope.Delegation) {
		d.Targets, d.Permissions = []principal.ID{principal.Canister(1)}, envelope.PermissionAll
	}, w.user, testsigner.Ed25519(f), w.session)
	f.Add(good.JSON())
	f.Add([]byte(oneChain))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseChain(b)
		if err != nil {
			wantCheck(t, err, Form, "")
			return
		}
		again, err := ParseChain(c.JSON())
		must(t, err)
		if !reflect.DeepEqual(c, again) {
			t.Fatalf("%+v is read back as %+v", c, again)
		}
		held := len(c.PublicKey)
		for i := range c.Delegations {
			d := &c.Delegations[i]
			held += len(d.Signature) + len(d.Delegation.PublicKey) + len(d.Delegation.Targets)
		}
		if held > len(b) {
			t.Fatalf("%d bytes of text became %d", len(b), held)
		}
	})
}
