package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"portico/identity/stable"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
)

// accountsHere are the accounts of an anchor at one origin that are stored: those that
// were added, and the primary one once it has a name.
type accountsHere struct {
	Origin   string          `candid:"origin"`
	Accounts []storedAccount `candid:"accounts"`
	Default  *uint64         `candid:"default"` // nil: the primary one

	chain uint32
	key   stable.Name
}

type storedAccount struct {
	Number   uint64  `candid:"number"`
	Name     string  `candid:"name"`
	LastUsed *uint64 `candid:"last_used"`
	Primary  bool    `candid:"primary"` // its principal is the anchor's
}

const (
	maxAccounts    = 500 // of an anchor, at all origins
	maxAccountName = 128
)

var (
	errNoAccount    = errors.New("the anchor has no such account at this origin")
	errManyAccounts = fmt.Errorf("an anchor has at most %d accounts", maxAccounts)
)

// accountsAt reads an anchor's accounts at an origin as frontend returns it.
func (s *store) accountsAt(number uint64, origin string) (*accountsHere, error) {
	h := &accountsHere{Origin: origin}
	h.key = s.index.Name(accountsName, binary.BigEndian.AppendUint64(nil, number), []byte(origin))
	chain, found, err := s.index.Get(h.key)
	if err != nil || !found {
		return h, err
	}
	b, err := s.blocks.Get(uint32(chain))
	if err != nil {
		return nil, err
	}
	key := h.key
	if err := marshal.Decode(b, h); err != nil {
		return nil, fmt.Errorf("the accounts of anchor %d: %w", number, err)
	}
	h.chain, h.key = uint32(chain), key
	return h, nil
}

func (s *store) keepAccounts(h *accountsHere) error {
	b, err := marshal.Encode(*h)
	if err != nil {
		return err
	}
	chain, err := s.blocks.Put(h.chain, b)
	whole(err)
	if chain != h.chain {
		h.chain = chain
		whole(s.index.Put(h.key, uint64(chain)))
	}
	return nil
}

// find is the stored account with a number, or the one that is the primary one if
// number is nil; nil if that is not stored.
func (h *accountsHere) find(number *uint64) *storedAccount {
	for i := range h.Accounts {
		if x := &h.Accounts[i]; number == nil && x.Primary || number != nil && x.Number == *number {
			return x
		}
	}
	return nil
}

// seedOf is the seed of an account's principal. Nil is the primary account, which every
// anchor has at every origin; a name and a number do not change its principal.
func (s *store) seedOf(anchor uint64, h *accountsHere, number *uint64) ([32]byte, error) {
	x := h.find(number)
	switch {
	case number != nil && x == nil:
		return [32]byte{}, errNoAccount
	case number == nil || x.Primary:
		return s.anchorSeed(anchor, h.Origin), nil
	}
	return s.accountSeed(x.Number, h.Origin), nil
}

// list are all accounts, the primary one first.
func (h *accountsHere) list(origin string) []accountInfo {
	var out []accountInfo
	if x := h.find(nil); x == nil {
		out = append(out, accountInfo{Origin: origin})
	} else {
		out = append(out, x.info(origin))
	}
	for i := range h.Accounts {
		if x := &h.Accounts[i]; !x.Primary {
			out = append(out, x.info(origin))
		}
	}
	return out
}

func (x *storedAccount) info(origin string) accountInfo {
	number, named := x.Number, x.Name
	return accountInfo{Number: &number, Origin: origin, LastUsed: x.LastUsed, Name: &named}
}

// standard is the account that is offered first.
func (h *accountsHere) standard(origin string) accountInfo {
	if h.Default != nil {
		if x := h.find(h.Default); x != nil {
			return x.info(origin)
		}
	}
	return h.list(origin)[0]
}

// addAccount stores an account of an anchor, and counts it.
func (s *store) addAccount(a *anchor, h *accountsHere, named string, primary bool) (*storedAccount, error) {
	if a.Accounts >= maxAccounts {
		return nil, errManyAccounts
	}
	s.accounts++
	a.Accounts++
	h.Accounts = append(h.Accounts, storedAccount{Number: s.accounts, Name: named, Primary: primary})
	if err := s.keepAccounts(h); err != nil {
		return nil, err
	}
	return &h.Accounts[len(h.Accounts)-1], s.keep(a)
}

// rename gives an account a name. The primary one is stored with its first.
func (s *store) rename(a *anchor, h *accountsHere, number *uint64, named string) (*storedAccount, error) {
	x := h.find(number)
	switch {
	case x == nil && number == nil:
		return s.addAccount(a, h, named, true)
	case x == nil:
		return nil, errNoAccount
	}
	x.Name = named
	return x, s.keepAccounts(h)
}

// useAccount notes when a stored account was used.
func (s *store) useAccount(h *accountsHere, number *uint64, now uint64) error {
	x := h.find(number)
	if x == nil || x.LastUsed != nil && now-*x.LastUsed < usageGrain {
		return nil
	}
	x.LastUsed = &now
	return s.keepAccounts(h)
}

// wantedAccount is the account that somebody wants to be: the one of a number, nil being
// the primary one, or the standard one, whichever that is.
type wantedAccount struct {
	number   *uint64
	standard bool
}

// delegateAccount has sign sign for an account of an anchor, for a caller who has a key
// of the anchor, and notes both uses. It tells which account that was.
func (s *store) delegateAccount(caller principal.ID, number uint64, origin string, account wantedAccount, sign func(seed [32]byte) (preparedDelegation, error), now uint64) (preparedDelegation, error) {
	origin, err := frontend(origin)
	if err != nil {
		return preparedDelegation{}, err
	}
	if _, err := s.use(caller, number, now); err != nil {
		return preparedDelegation{}, err
	}
	h, err := s.accountsAt(number, origin)
	if err != nil {
		return preparedDelegation{}, err
	}
	as := account.number
	if account.standard {
		as = h.standard(origin).Number
	}
	seed, err := s.seedOf(number, h, as)
	if err != nil {
		return preparedDelegation{}, err
	}
	d, err := sign(seed)
	if err != nil {
		return preparedDelegation{}, err
	}
	d.Account = as
	return d, s.useAccount(h, as, now)
}
