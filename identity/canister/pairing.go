package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"unicode/utf8"

	"portico/lightclient/principal"
)

// pairing is an anchor in registration mode: a device, or a session that is to add one,
// may announce itself, and counts once somebody with a key of the anchor has typed the
// code that it shows.
type pairing struct {
	expires uint64
	id      string // empty for none
	code    string // of who announced themselves, until it is confirmed
	failed  int
	device  *device
	session *principal.ID
	proved  bool // the session is confirmed
}

type pairings struct {
	open map[uint64]*pairing // by anchor
	ids  map[string]uint64
}

const (
	pairingLife = 15 * minute
	maxPairings = 10_000
	// pairingTries is how many wrong codes end a registration (Internet Identity
	// specification, "The verify_tentative_device method").
	pairingTries   = 5
	pairingIDRunes = 5
)

var (
	errModeOff   = errors.New("the anchor is not in registration mode")
	errAnother   = errors.New("another device was added tentatively")
	errNothing   = errors.New("there is nothing to be confirmed")
	errPairingID = fmt.Errorf("a registration id has %d characters", pairingIDRunes)
	errOccupied  = errors.New("the registration mode is on with another id")
)

// wrongCode is a code that is not the one shown.
type wrongCode struct{ left int }

func (e wrongCode) Error() string { return fmt.Sprintf("wrong code, %d tries left", e.left) }

func (p *pairings) get(number, now uint64) *pairing {
	if x := p.open[number]; x != nil && now < x.expires {
		return x
	}
	p.close(number)
	return nil
}

func (p *pairings) close(number uint64) {
	if x := p.open[number]; x != nil {
		delete(p.ids, x.id)
		delete(p.open, number)
	}
}

// enter turns registration mode on, or leaves it on, and tells until when. An id, if
// there is one, is what another device finds the anchor by.
func (p *pairings) enter(number uint64, id *string, now uint64) (uint64, error) {
	if id != nil && (utf8.RuneCountInString(*id) != pairingIDRunes || len(*id) > 4*pairingIDRunes) {
		return 0, errPairingID
	}
	if x := p.get(number, now); x != nil {
		if id != nil && x.id != *id {
			return 0, errOccupied
		}
		return x.expires, nil
	}
	if len(p.open) >= maxPairings {
		maps.DeleteFunc(p.ids, func(_ string, n uint64) bool { return p.open[n].expires <= now })
		maps.DeleteFunc(p.open, func(_ uint64, x *pairing) bool { return x.expires <= now })
		if len(p.open) >= maxPairings {
			return 0, errors.New("too many anchors in device registration mode")
		}
	}
	x := &pairing{expires: now + pairingLife}
	if id != nil {
		if other, taken := p.ids[*id]; taken && p.get(other, now) != nil {
			return 0, errOccupied
		}
		x.id = *id
		p.ids[*id] = number
	}
	p.open[number] = x
	return x.expires, nil
}

// announce adds a device or a session tentatively. randomness makes the code.
func (p *pairings) announce(number uint64, d *device, session *principal.ID, randomness []byte, now uint64) (*pairing, error) {
	x := p.get(number, now)
	switch {
	case x == nil:
		return nil, errModeOff
	case x.device != nil || x.session != nil:
		return nil, errAnother
	case len(randomness) < 8:
		return nil, errors.New("there is too little randomness for a code")
	}
	x.device, x.session = d, session
	x.code = fmt.Sprintf("%06d", binary.BigEndian.Uint64(randomness)%1_000_000)
	return x, nil
}

// confirm checks a code. As many wrong ones as there are tries end the registration mode.
func (p *pairings) confirm(number uint64, code string, now uint64) (*pairing, error) {
	x := p.get(number, now)
	switch {
	case x == nil:
		return nil, errModeOff
	case x.code == "":
		return nil, errNothing
	case x.code != code:
		x.failed++
		if x.failed >= pairingTries {
			p.close(number)
		}
		return nil, wrongCode{pairingTries - x.failed}
	}
	x.code = ""
	return x, nil
}

// lookUp finds the anchor that entered registration mode with an id.
func (p *pairings) lookUp(id string, now uint64) *uint64 {
	number, ok := p.ids[id]
	if !ok || p.open[number] == nil || p.open[number].expires <= now {
		return nil
	}
	return &number
}

// ofSession is the anchor's pairing whose session is confirmed and the caller, or nil.
func (p *pairings) ofSession(number uint64, caller principal.ID, now uint64) *pairing {
	x := p.open[number]
	if x == nil || now >= x.expires || !x.proved || x.session == nil || *x.session != caller {
		return nil
	}
	return x
}

// tentative announces a device, whose key and credential must be new.
func (s *store) tentative(number uint64, d device, randomness []byte, now uint64) (*pairing, error) {
	if s.pairings.get(number, now) == nil {
		return nil, errModeOff
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	for _, k := range s.namesOf([]usedDevice{d.used(nil)}, nil) {
		if _, taken, err := s.index.Get(k); err != nil {
			return nil, err
		} else if taken {
			return nil, errTaken
		}
	}
	return s.pairings.announce(number, &d, nil, randomness, now)
}

// verify confirms a device or session of the anchor that the caller has a key of. It
// tells whether it was a wrong code before it changes the anchor.
func (s *store) verify(caller principal.ID, number uint64, code string, now uint64) error {
	a, _, err := s.authenticate(caller, number, now)
	if err != nil {
		return err
	}
	if err := s.room(); err != nil {
		return err
	}
	x, err := s.pairings.confirm(number, code, now)
	if err != nil {
		return err
	}
	if x.device == nil {
		x.proved = true
		return nil
	}
	s.pairings.close(number)
	if err := a.add(*x.device); err != nil {
		return err
	}
	return s.commit(a, caller, addedDevice(*x.device), now)
}

// exit ends registration mode: for a caller with a key of the anchor, or for the session
// that was confirmed, which brings the authentication method that it was for. The
// session may go on acting for the anchor for some minutes, as after a registration.
func (s *store) exit(caller principal.ID, number uint64, m *authnMethodData, now uint64) error {
	if s.pairings.ofSession(number, caller, now) == nil {
		a, err := s.use(caller, number, now)
		if err != nil {
			return err
		}
		if s.pairings.get(number, now) == nil {
			return errModeOff
		}
		if m != nil {
			if _, err := s.addMethod(a, caller, m, now); err != nil {
				return err
			}
		}
		s.pairings.close(number)
		return nil
	}
	if m == nil {
		s.pairings.close(number)
		return nil
	}
	a, err := s.anchor(number)
	if err != nil {
		return err
	}
	d, err := s.addMethod(a, caller, m, now)
	if err != nil {
		return err
	}
	s.pairings.close(number)
	s.temporary.add(caller, number, d.PubKey, now)
	return nil
}

func (s *store) addMethod(a *anchor, caller principal.ID, m *authnMethodData, now uint64) (device, error) {
	d, err := m.device()
	if err != nil {
		return d, invalidMetadata{err}
	}
	if err := a.add(d); err != nil {
		return d, err
	}
	return d, s.commit(a, caller, addedDevice(d), now)
}
