// Command archive is the canister that keeps what happened to the anchors of the identity
// canister, which creates it. It fetches entries from there at intervals, keeps them in
// the order of their numbers, and says which it has, so that they can be forgotten there:
// no entry is lost if either of the two is stopped in between, and none is kept twice.
//
// Its interface, archive.did, is the one of the Internet Identity archive without
// write_entry: entries come by fetching alone. Everybody may read it. Entries are in
// stable memory and nowhere else, found by their number and by anchor.
package main

import (
	"errors"
	"fmt"
	"time"

	"portico/identity/history"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
	"portico/node/cdk"
)

// state is the canister: exported functions have no receiver to find it by.
var state *archive

// archive is the canister's state. What is not in the log or the configuration may be
// lost: it is for whoever looks after the canister.
type archive struct {
	log      *log
	config   config
	fetching bool
	fetched  *fetchInfo
	errors   []callError
}

// config is what is stored beside the log.
type config struct {
	Init     history.Init `candid:"init"`
	Upgraded uint64       `candid:"last_upgrade_timestamp"`
}

//go:wasmexport canister_init
func initialize() {
	cdk.Init(func(m *cdk.Message) error {
		log, err := newLog(cdk.Stable{})
		if err != nil {
			return err
		}
		return begin(m, log)
	})
}

//go:wasmexport canister_post_upgrade
func postUpgrade() {
	cdk.PostUpgrade(func(m *cdk.Message) error {
		log, err := openLog(cdk.Stable{})
		if err != nil {
			return err
		}
		return begin(m, log)
	})
}

// begin takes over what the canister is installed with and starts to fetch.
func begin(m *cdk.Message, l *log) error {
	state = &archive{log: l, config: config{Upgraded: uint64(cdk.Time())}}
	if err := m.Args(&state.config.Init); err != nil {
		return err
	}
	init := &state.config.Init
	if init.Interval == 0 || init.MaxEntries == 0 {
		return errors.New("the polling interval and the number of entries for a call must not be zero")
	}
	b, err := marshal.Encode(state.config)
	if err != nil {
		return err
	}
	if err := l.regions.SetConfig(b); err != nil {
		return err
	}
	cdk.Every(time.Duration(init.Interval), func(m *cdk.Message) error {
		if state.fetching {
			return nil
		}
		state.fetching = true
		defer func() { state.fetching = false }()
		state.fetch(m)
		return nil
	})
	return nil
}

const (
	// maxBatches is how many times one timer fetches, as long as there is something.
	maxBatches = 100
	// maxMessage bounds what is remembered of the reason that a call failed.
	maxMessage = 1000
)

// fetch fetches entries, keeps them and says so, until there are none.
func (a *archive) fetch(m *cdk.Message) {
	for range maxBatches {
		var batch []history.Buffered
		if !a.call(m, "fetch_entries", nil, &batch) {
			return
		}
		if len(batch) > 0 {
			if err := a.log.add(batch); err != nil {
				cdk.Trap(err.Error())
			}
			if !a.call(m, "acknowledge_entries", []any{batch[len(batch)-1].Sequence}) {
				return
			}
		}
		a.fetched = &fetchInfo{uint64(cdk.Time()), uint16(len(batch))}
		if len(batch) == 0 {
			return
		}
	}
}

// call calls the identity canister; what goes wrong is remembered.
func (a *archive) call(m *cdk.Message, method string, args []any, results ...any) bool {
	at := uint64(cdk.Time())
	arg, err := marshal.Encode(args...)
	if err == nil {
		var resp cdk.Response
		if resp, err = m.Call(cdk.Call{Canister: a.config.Init.Identity, Method: method, Arg: arg}); err == nil {
			err = marshal.Decode(resp.Arg, results...)
		}
	}
	if err == nil {
		return true
	}
	e := callError{Time: at, Canister: a.config.Init.Identity, Method: method, Argument: arg, Message: err.Error()}
	var rejected *cdk.RejectError
	if errors.As(err, &rejected) {
		e.Code, e.Message = int32(rejected.Code), rejected.Message
	}
	e.Message = e.Message[:min(len(e.Message), maxMessage)]
	a.errors = append(a.errors, e)
	a.errors = a.errors[max(0, len(a.errors)-int(a.config.Init.MaxErrors)):]
	return false
}

// limit is how many entries an answer has at most.
func (a *archive) limit(asked *uint16) int {
	n := a.config.Init.MaxEntries
	if asked != nil {
		n = min(n, *asked)
	}
	return int(n)
}

func query(answer func() (any, error), args ...any) {
	cdk.Query(func(m *cdk.Message) error {
		if err := m.Args(args...); err != nil {
			return err
		}
		v, err := answer()
		if err != nil {
			return err
		}
		return m.Reply(v)
	})
}

//go:wasmexport canister_query_get_entries
func getEntries() {
	var index *uint64
	var limit *uint16
	query(func() (any, error) {
		n := state.limit(limit)
		first := state.log.length - min(state.log.length, uint64(n))
		if index != nil {
			first = *index
		}
		found, _, err := state.log.from(first, n, (*slot).following)
		return entries{found}, err
	}, &index, &limit)
}

//go:wasmexport canister_query_get_anchor_entries
func getAnchorEntries() {
	var anchor uint64
	var c *cursor
	var limit *uint16
	query(func() (any, error) {
		first, err := state.log.start(anchor, c)
		if err != nil {
			return nil, err
		}
		found, next, err := state.log.from(first, state.limit(limit), (*slot).ofAnchor)
		if err != nil {
			return nil, err
		}
		out := anchorEntries{Entries: found}
		if next < state.log.length {
			t := token(anchor, next)
			out.Next = &t
		}
		return out, nil
	}, &anchor, &c, &limit)
}

//go:wasmexport canister_update_status
func getStatus() {
	cdk.Update(func(m *cdk.Message) error {
		arg, err := marshal.Encode(struct {
			ID principal.ID `candid:"canister_id"`
		}{cdk.Self()})
		if err != nil {
			return err
		}
		resp, err := m.Call(cdk.Call{Method: "canister_status", Arg: arg})
		if err != nil {
			return fmt.Errorf("the status of the archive: %w", err)
		}
		s := status{Init: state.config.Init, Calls: callInfo{state.fetched, state.errors}}
		if err := marshal.Decode(resp.Arg, &s.Canister); err != nil {
			return err
		}
		return m.Reply(s)
	})
}

//go:wasmexport canister_query_http_request
func httpGet() {
	var req httpRequest
	query(func() (any, error) { return state.http(&req), nil }, &req)
}

func main() {}
