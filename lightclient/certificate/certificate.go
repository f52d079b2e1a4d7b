// Package certificate reads and verifies certificates: parts of a subnet's state
// tree, signed by the subnet, whose key the root subnet delegated to it (interface
// specification, "Certification").
//
// A Verifier believes nothing but the root key that it is given. What it returns
// is signed, recent and within the ranges of the subnet that signed it.
package certificate

import (
	"errors"
	"math"
	"strconv"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/hashtree"
	"portico/lightclient/leb128"
	"portico/lightclient/principal"
	"portico/lightclient/reason"
)

// A Certificate is a part of a state tree with the signature of its root.
type Certificate struct {
	Tree       hashtree.Tree
	Signature  []byte      // of StateRootMessage, by the subnet
	Delegation *Delegation // nil if the root subnet signed
}

// A Delegation names the subnet that signed and holds the root subnet's
// certificate of that subnet's key and canister ranges.
type Delegation struct {
	Subnet      principal.ID
	Certificate []byte // encoded; must not have a delegation itself
}

// StateRootMessage is what a subnet signs: a domain separator and the root hash.
func StateRootMessage(root hashtree.Hash) []byte {
	return append([]byte("\x0Dic-state-root"), root[:]...)
}

// Time is the time of the state, at the path /time.
func (c *Certificate) Time() (time.Time, error) {
	v, s := hashtree.Lookup(c.Tree, []byte("time"))
	if s != hashtree.Found {
		return time.Time{}, errors.New("the path /time is " + s.String())
	}
	ns, err := leb128.Canonical(v)
	if err != nil {
		return time.Time{}, reason.Wrap("the value at /time", err)
	}
	if ns > math.MaxInt64 {
		return time.Time{}, errors.New("the value at /time, " + strconv.FormatUint(ns, 10) + " ns, is beyond the year 2262")
	}
	return time.Unix(0, int64(ns)).UTC(), nil
}

// Append appends the CBOR form, with the self-describing tag.
func (c *Certificate) Append(b []byte) []byte {
	n := 2
	if c.Delegation != nil {
		n = 3
	}
	b = cbor.AppendMap(cbor.AppendSelfDescribe(b), n)
	b = hashtree.Append(cbor.AppendText(b, "tree"), c.Tree)
	b = cbor.AppendBytes(cbor.AppendText(b, "signature"), c.Signature)
	if d := c.Delegation; d != nil {
		b = cbor.AppendMap(cbor.AppendText(b, "delegation"), 2)
		b = cbor.AppendBytes(cbor.AppendText(b, "subnet_id"), d.Subnet.Bytes())
		b = cbor.AppendBytes(cbor.AppendText(b, "certificate"), d.Certificate)
	}
	return b
}

// Parse reads a certificate, with or without CBOR's self-describing tag, and
// verifies nothing. Byte strings alias b. It skips fields that it does not know.
// Errors are of type *FormatError.
func Parse(b []byte) (*Certificate, error) {
	c, err := decode(b)
	if err != nil {
		return nil, &FormatError{Err: err}
	}
	return c, nil
}

func decode(b []byte) (*Certificate, error) {
	d := cbor.NewDecoder(b)
	d.SkipSelfDescribe()
	c := &Certificate{}
	err := readMap(d, func(key string) (err error) {
		switch key {
		case "tree":
			c.Tree, err = hashtree.DecodeFrom(d)
		case "signature":
			c.Signature, err = d.Bytes()
		case "delegation":
			c.Delegation, err = decodeDelegation(d)
		default:
			err = d.Skip()
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case c.Tree == nil:
		return nil, errors.New("the tree is missing")
	case c.Signature == nil:
		return nil, errors.New("the signature is missing")
	}
	return c, d.End()
}

func decodeDelegation(d *cbor.Decoder) (*Delegation, error) {
	out := &Delegation{}
	hasSubnet := false
	err := readMap(d, func(key string) (err error) {
		switch key {
		case "subnet_id":
			hasSubnet = true
			out.Subnet, err = readPrincipal(d)
		case "certificate":
			out.Certificate, err = d.Bytes()
		default:
			err = d.Skip()
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !hasSubnet:
		return nil, errors.New("the subnet_id is missing")
	case out.Certificate == nil:
		return nil, errors.New("the certificate is missing")
	}
	return out, nil
}

// maxFields bounds the fields of a map in a certificate, known and unknown.
const maxFields = 16

// readMap calls field with every key; it must read the value. A key must not come twice.
func readMap(d *cbor.Decoder, field func(key string) error) error {
	n, err := d.Map()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := 0; d.More(i, n); i++ {
		at := d.Offset()
		key, err := d.Text()
		switch {
		case err != nil:
			return err
		case seen[key]:
			return malformed(at, "field "+reason.Quote(key)+" comes twice")
		case i == maxFields:
			return malformed(at, "more than "+strconv.Itoa(maxFields)+" fields")
		}
		seen[key] = true
		if err := field(key); err != nil {
			return reason.Wrap(key, err)
		}
	}
	return nil
}

func malformed(offset int, what string) error {
	return errors.New("offset " + strconv.Itoa(offset) + ": " + what)
}

func readPrincipal(d *cbor.Decoder) (principal.ID, error) {
	at := d.Offset()
	b, err := d.Bytes()
	if err != nil {
		return principal.ID{}, err
	}
	id, err := principal.FromBytes(b)
	if err != nil {
		return principal.ID{}, reason.Wrap("offset "+strconv.Itoa(at), err)
	}
	return id, nil
}
