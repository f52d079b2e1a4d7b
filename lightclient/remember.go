package lightclient

import (
	"bytes"
	"errors"
	"time"

	"portico/lightclient/cbor"
	"portico/lightclient/certificate"
	"portico/lightclient/principal"
	"portico/lightclient/reason"
)

// rememberedForm is the first item of what Remembered returns; a client that writes
// another form has another number.
const rememberedForm = 1

const (
	// maxRemembered bounds how many things of a kind Remembered returns. A site's worker
	// meets one or two subnets.
	maxRemembered = 64
	// maxRememberedBytes bounds what Remember reads, in bytes.
	maxRememberedBytes = 4 << 20
)

// Remembered returns what the client has verified and will need again, for a client
// that is to start where this one ended: delegations, the keys of nodes, and which
// canisters offer version 1 alone. It is CBOR, a few kilobytes for a subnet; as long as
// nothing new is verified, the bytes stay the same.
func (c *Client) Remembered() []byte {
	b := cbor.AppendUint(cbor.AppendArray(nil, 5), rememberedForm)
	b = cbor.AppendBytes(b, c.verifier.RootKey)
	var delegations, keys, version1 []string
	for _, d := range c.verifier.Delegations() {
		item := cbor.AppendBytes(cbor.AppendArray(nil, 3), d.Delegation.Subnet.Bytes())
		delegations = append(delegations, string(appendTime(cbor.AppendBytes(item, d.Delegation.Certificate), d.At)))
	}
	c.mu.Lock()
	for canister, k := range c.nodeKeys {
		var pairs []string
		for node, key := range k.keys {
			pairs = append(pairs, string(cbor.AppendBytes(cbor.AppendBytes(nil, []byte(node)), key)))
		}
		item := appendTime(cbor.AppendBytes(cbor.AppendArray(nil, 3), canister.Bytes()), k.fetched)
		keys = append(keys, string(appendSorted(cbor.AppendMap(item, len(pairs)), pairs)))
	}
	for canister, proven := range c.version1 {
		version1 = append(version1, string(appendTime(cbor.AppendBytes(cbor.AppendArray(nil, 2), canister.Bytes()), proven)))
	}
	c.mu.Unlock()
	for _, items := range [][]string{delegations, keys, version1} {
		items = items[:min(len(items), maxRemembered)]
		b = appendSorted(cbor.AppendArray(b, len(items)), items)
	}
	return b
}

// ExpectedKeys returns the keys that the next answers are likely to be signed by, 96
// bytes each, for whoever prepares to verify them.
func (c *Client) ExpectedKeys() [][]byte { return c.verifier.Keys() }

// appendSorted appends the items in their order, so that the same things give the same
// bytes. There are few of them.
func appendSorted(b []byte, items []string) []byte {
	for i := range items {
		for j := i; j > 0 && items[j-1] > items[j]; j-- {
			items[j-1], items[j] = items[j], items[j-1]
		}
	}
	for _, item := range items {
		b = append(b, item...)
	}
	return b
}

// Remember takes over what Remembered returned for a client of the same root key. It
// believes the bytes: whoever can write to where they were kept can make this client
// believe other keys, so they belong where only the client's own origin can write, and
// what that means is said in README.md. What is too old by the times in it, or from the
// future, is left out, and node keys live no longer for having been stored. An error
// means that nothing was taken over from a malformed part on.
func (c *Client) Remember(b []byte) error {
	if len(b) > maxRememberedBytes {
		return errors.New("what is remembered is too long")
	}
	d := cbor.NewDecoder(b)
	if err := c.remember(d); err != nil {
		return reason.Wrap("what is remembered cannot be read", err)
	}
	return nil
}

func (c *Client) remember(d *cbor.Decoder) error {
	if err := tuple(d, 5); err != nil {
		return err
	}
	form, err := d.Uint()
	if err != nil {
		return err
	}
	key, err := d.Bytes()
	switch {
	case err != nil:
		return err
	case form != rememberedForm:
		return errors.New("it has another form")
	case !bytes.Equal(key, c.verifier.RootKey):
		return errors.New("it was verified by another root key")
	}
	now := c.now()
	if err := eachItem(d, func() error { return c.rememberDelegation(d, now) }); err != nil {
		return err
	}
	if err := eachItem(d, func() error { return c.rememberKeys(d, now) }); err != nil {
		return err
	}
	if err := eachItem(d, func() error { return c.rememberVersion1(d, now) }); err != nil {
		return err
	}
	return d.End()
}

func (c *Client) rememberDelegation(d *cbor.Decoder, now time.Time) error {
	if err := tuple(d, 3); err != nil {
		return err
	}
	subnet, err := readPrincipal(d)
	if err != nil {
		return err
	}
	cert, err := d.Bytes()
	if err != nil {
		return err
	}
	at, err := readTime(d)
	if err == nil {
		c.verifier.Remember(certificate.Checked{Delegation: certificate.Delegation{Subnet: subnet, Certificate: cert}, At: at}, now)
	}
	return err
}

func (c *Client) rememberKeys(d *cbor.Decoder, now time.Time) error {
	if err := tuple(d, 3); err != nil {
		return err
	}
	canister, err := readPrincipal(d)
	if err != nil {
		return err
	}
	fetched, err := readTime(d)
	if err != nil {
		return err
	}
	k := &nodeKeys{fetched: fetched, keys: map[string][]byte{}}
	n, err := d.Map()
	for i := 0; err == nil && d.More(i, n); i++ {
		var node, key []byte
		if node, err = d.Bytes(); err != nil {
			return err
		}
		if key, err = d.Bytes(); err != nil {
			return err
		}
		if len(key) != ed25519KeyLen {
			return errors.New("the key of a node does not have 32 bytes")
		}
		k.keys[string(node)] = bytes.Clone(key)
	}
	if err == nil && recent(fetched, now) {
		c.mu.Lock()
		makeRoom(c.nodeKeys)
		c.nodeKeys[canister] = k
		c.mu.Unlock()
	}
	return err
}

func (c *Client) rememberVersion1(d *cbor.Decoder, now time.Time) error {
	if err := tuple(d, 2); err != nil {
		return err
	}
	canister, err := readPrincipal(d)
	if err != nil {
		return err
	}
	proven, err := readTime(d)
	if err == nil && recent(proven, now) {
		c.mu.Lock()
		makeRoom(c.version1)
		c.version1[canister] = proven
		c.mu.Unlock()
	}
	return err
}

// recent reports whether what was read then counts now.
func recent(then, now time.Time) bool {
	age := now.Sub(then)
	return age >= 0 && age < keysLifetime
}

func appendTime(b []byte, t time.Time) []byte { return cbor.AppendUint(b, uint64(t.UnixNano())) }

func readTime(d *cbor.Decoder) (time.Time, error) {
	n, err := d.Uint()
	return time.Unix(0, int64(n)), err
}

func readPrincipal(d *cbor.Decoder) (principal.ID, error) {
	b, err := d.Bytes()
	if err != nil {
		return principal.ID{}, err
	}
	return principal.FromBytes(b)
}

// tuple reads the head of an array of n items.
func tuple(d *cbor.Decoder, n int) error {
	got, err := d.Array()
	if err == nil && got != n {
		err = errors.New("an array has another length")
	}
	return err
}

func eachItem(d *cbor.Decoder, read func() error) error {
	n, err := d.Array()
	for i := 0; err == nil && d.More(i, n); i++ {
		err = read()
	}
	return err
}
