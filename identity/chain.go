package identity

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"portico/lightclient/envelope"
	"portico/lightclient/principal"
)

// MaxLogInBytes bounds the JSON of a log-in. Internet Identity's chains take about 6 kB.
const MaxLogInBytes = 128 << 10

// A Chain is a user's key and the delegations that lead from it to a session key.
type Chain struct {
	PublicKey   []byte // DER; the user's principal is derived from it
	Delegations []envelope.SignedDelegation
}

// A LogIn is what a page sends: a chain, and a signature by its last key over
// Message(Challenge, origin).
type LogIn struct {
	Challenge []byte
	Chain     Chain
	Signature []byte
}

// ParseLogIn reads the JSON of a log-in:
//
//	{"challenge": hex, "chain": {…}, "signature": hex}
//
// with the chain as ParseChain takes it. Errors are *Refusal with the check Form.
func ParseLogIn(b []byte) (*LogIn, error) {
	l, err := parseLogIn(b)
	if err != nil {
		return nil, &Refusal{Form, err}
	}
	return l, nil
}

func parseLogIn(b []byte) (*LogIn, error) {
	if len(b) > MaxLogInBytes {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", len(b), MaxLogInBytes)
	}
	f, err := openObject("log-in", b, "challenge", "chain", "signature")
	if err != nil {
		return nil, err
	}
	l := &LogIn{}
	if l.Challenge, err = f.blob("challenge"); err != nil {
		return nil, err
	}
	if l.Signature, err = f.blob("signature"); err != nil {
		return nil, err
	}
	chain, err := parseChain(f.raw["chain"])
	if err != nil {
		return nil, err
	}
	l.Chain = *chain
	return l, nil
}

// ParseChain reads a chain as DelegationChain.toJSON of the npm package @icp-sdk/core
// writes it, and signers that follow it:
//
//	{"publicKey": hex, "delegations": [{"signature": hex, "delegation":
//	  {"pubkey": hex, "expiration": hex, "targets": [hex, …], "permissions": text}}, …]}
//
// with the expiration in nanoseconds since 1970, and targets and permissions only where
// they are given. Fields that it does not know are refused: a delegation's signature
// would not cover them. Nothing is verified. Errors are *Refusal with the check Form.
func ParseChain(b []byte) (*Chain, error) {
	if len(b) > MaxLogInBytes {
		return nil, &Refusal{Form, fmt.Errorf("chain of %d bytes, at most %d are allowed", len(b), MaxLogInBytes)}
	}
	c, err := parseChain(b)
	if err != nil {
		return nil, &Refusal{Form, err}
	}
	return c, nil
}

func parseChain(b []byte) (*Chain, error) {
	f, err := openObject("chain", b, "publicKey", "delegations")
	if err != nil {
		return nil, err
	}
	c := &Chain{}
	if c.PublicKey, err = f.blob("publicKey"); err != nil {
		return nil, err
	}
	list, err := array(f.raw["delegations"], "delegations", envelope.MaxDelegations)
	if err != nil {
		return nil, err
	}
	for i, raw := range list {
		d, err := parseDelegation(fmt.Sprintf("delegations[%d]", i), raw)
		if err != nil {
			return nil, err
		}
		c.Delegations = append(c.Delegations, d)
	}
	return c, nil
}

func parseDelegation(where string, b []byte) (s envelope.SignedDelegation, err error) {
	outer, err := openObject(where, b, "delegation", "signature")
	if err != nil {
		return s, err
	}
	if s.Signature, err = outer.blob("signature"); err != nil {
		return s, err
	}
	f, err := openObject(where+".delegation", outer.raw["delegation"], "pubkey", "expiration", "?targets", "?permissions")
	if err != nil {
		return s, err
	}
	d := &s.Delegation
	if d.PublicKey, err = f.blob("pubkey"); err != nil {
		return s, err
	}
	text, err := f.text("expiration")
	if err != nil {
		return s, err
	}
	if d.Expiration, err = strconv.ParseUint(text, 16, 64); err != nil {
		return s, fmt.Errorf("%s.expiration: %q is not a number of 64 bits in hexadecimal", f.where, clip(text))
	}
	if _, ok := f.raw["permissions"]; ok {
		if d.Permissions, err = f.text("permissions"); err != nil {
			return s, err
		}
		if d.Permissions != envelope.PermissionAll && d.Permissions != envelope.PermissionQueries {
			return s, fmt.Errorf("%s.permissions: %q is neither %q nor %q", f.where, clip(d.Permissions), envelope.PermissionQueries, envelope.PermissionAll)
		}
	}
	if raw, ok := f.raw["targets"]; ok {
		d.Targets, err = parseTargets(f.where+".targets", raw)
	}
	return s, err
}

func parseTargets(where string, b []byte) ([]principal.ID, error) {
	list, err := array(b, where, envelope.MaxTargets)
	if err != nil {
		return nil, err
	}
	targets := make([]principal.ID, len(list))
	for i, raw := range list {
		id, err := blob(fmt.Sprintf("%s[%d]", where, i), raw)
		if err != nil {
			return nil, err
		}
		if targets[i], err = principal.FromBytes(id); err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", where, i, err)
		}
	}
	return targets, nil
}

// An object is a JSON object with exactly the fields that it may have. Unlike with a
// struct of encoding/json, names are exact.
type object struct {
	where string
	raw   map[string]json.RawMessage
}

// openObject reads an object; fields whose names begin with a question mark may be missing.
func openObject(where string, b []byte, fields ...string) (object, error) {
	o := object{where: where}
	if err := json.Unmarshal(b, &o.raw); err != nil || o.raw == nil {
		return o, fmt.Errorf("%s is not a JSON object", where)
	}
	known := map[string]bool{}
	for _, name := range fields {
		known[strings.TrimPrefix(name, "?")] = true
		if _, ok := o.raw[name]; !ok && !strings.HasPrefix(name, "?") {
			return o, fmt.Errorf("%s.%s is missing", where, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.raw)) {
		if !known[name] {
			return o, fmt.Errorf("%s.%s is no field of it", where, clip(name))
		}
	}
	return o, nil
}

func (o object) blob(name string) ([]byte, error) { return blob(o.where+"."+name, o.raw[name]) }

func (o object) text(name string) (string, error) { return text(o.where+"."+name, o.raw[name]) }

func text(where string, b []byte) (string, error) {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil || s == nil {
		return "", fmt.Errorf("%s is not a text", where)
	}
	return *s, nil
}

func blob(where string, b []byte) ([]byte, error) {
	s, err := text(where, b)
	if err != nil {
		return nil, err
	}
	out, err := hex.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%s is not hexadecimal: %w", where, err)
	}
	return out, nil
}

func array(b []byte, where string, limit int) ([]json.RawMessage, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(b, &list); err != nil || list == nil {
		return nil, errors.New(where + " is not an array")
	}
	if len(list) > limit {
		return nil, fmt.Errorf("%s has %d elements, at most %d are allowed", where, len(list), limit)
	}
	return list, nil
}

// clip shortens what a stranger wrote to what an error message should repeat.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// JSON writes the chain as DelegationChain.fromJSON of @icp-sdk/core reads it.
func (c *Chain) JSON() []byte {
	type delegation struct {
		Expiration  string    `json:"expiration"`
		PublicKey   string    `json:"pubkey"`
		Targets     *[]string `json:"targets,omitempty"`
		Permissions string    `json:"permissions,omitempty"`
	}
	type signed struct {
		Delegation delegation `json:"delegation"`
		Signature  string     `json:"signature"`
	}
	out := struct {
		Delegations []signed `json:"delegations"`
		PublicKey   string   `json:"publicKey"`
	}{make([]signed, len(c.Delegations)), hex.EncodeToString(c.PublicKey)}
	for i := range c.Delegations {
		d := &c.Delegations[i].Delegation
		o := &out.Delegations[i]
		o.Signature = hex.EncodeToString(c.Delegations[i].Signature)
		o.Delegation = delegation{Expiration: strconv.FormatUint(d.Expiration, 16), PublicKey: hex.EncodeToString(d.PublicKey), Permissions: d.Permissions}
		if d.Targets != nil {
			targets := make([]string, len(d.Targets))
			for j, id := range d.Targets {
				targets[j] = strings.ToUpper(hex.EncodeToString(id.Bytes()))
			}
			o.Delegation.Targets = &targets
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic("identity: " + err.Error()) // there are only texts
	}
	return b
}
