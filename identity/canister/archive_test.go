package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"portico/identity/history"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
	"portico/node/canistertest"
	"portico/node/cdk/link"
)

// buildArchive is the archive's module as it is deployed: compressed, since it goes through
// a message.
var buildArchive = sync.OnceValues(func() ([]byte, error) {
	wasm, err := link.Build("../archive", "../archive/archive.did")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(wasm); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
})

// configured is the configuration of an archive of a module.
func configured(module []byte, buffer uint64, fetch uint16) *archiveConfig {
	hash := sha256.Sum256(module)
	return &archiveConfig{hash[:], buffer, fetch, 2 * second}
}

// onArchive is an answer of the archive: entries, or a page of an anchor's.
type onArchive struct {
	Entries []*history.Entry `candid:"entries"`
	Next    *[]byte          `candid:"next_token"`
}

func (r *onReplica) deploy(module []byte) principal.ID {
	r.t.Helper()
	var d deployResult
	r.do(operator, "deploy_archive", args{module}, &d)
	if d.Success == nil {
		r.t.Fatalf("not deployed: %+v %s", d, *d.Failed)
	}
	return *d.Success
}

// archived waits until the archive has so many entries.
func (r *onReplica) archived(archive principal.ID, n int) []*history.Entry {
	r.t.Helper()
	var got struct {
		Entries []*history.Entry `candid:"entries"`
	}
	for range 60 {
		b, rej := r.Query(operator, archive, "get_entries", encode(r.t, new(uint64), (*uint16)(nil)))
		if rej != nil {
			r.t.Fatal(rej)
		}
		canistertest.Decode(r.t, b, &got)
		if len(got.Entries) >= n {
			break
		}
		r.Tick(time.Second)
	}
	if len(got.Entries) != n {
		r.t.Fatalf("%d entries are archived, want %d", len(got.Entries), n)
	}
	return got.Entries
}

func TestTheArchiveFetchesWhatHappensAndKeepsItThroughUpgradesOfBoth(t *testing.T) {
	r := installOnReplica(t)
	module, err := buildArchive()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the archive's module has %d bytes", len(module))
	cost := uint64(3_000_000_000_000)
	r.upgrade(&initArgs{Archive: configured(module, 100, 2), CreationCost: &cost})
	before := newPasskey(t, "before")
	r.register(before, "before")
	archive := r.deploy(module)

	anna, phone := newPasskey(t, "anna"), newPasskey(t, "phone")
	n := r.register(anna, "anna")
	r.do(anna.id, "add", args{n, phone.device("phone")})
	renamed := phone.device("another alias")
	r.do(anna.id, "update", args{n, phone.der, renamed})
	r.do(anna.id, "create_account", args{n, "https://dapp.com", "work"})
	r.do(phone.id, "remove", args{n, anna.der})
	want := []string{"register_anchor", "add_device", "update_device", "remove_device"}
	entries := r.archived(archive, len(want))
	for i, e := range entries {
		if e == nil || operationName(t, e.Operation) != want[i] || e.Anchor != n || e.Sequence != uint64(i) {
			t.Errorf("entry %d is %+v, want %s", i, e, want[i])
		}
	}
	if entries[2].Caller != anna.id || entries[3].Caller != phone.id {
		t.Errorf("the callers are %s and %s", entries[2].Caller, entries[3].Caller)
	}
	r.upgrade(nil)
	if again := r.deploy(module); again != archive {
		t.Errorf("deployed again as %s", again)
	}
	other := append(bytes.Clone(module[:len(module)-8]), module[len(module)-8:]...)
	other[4]++ // the time in the header of gzip, which makes it another module
	r.upgrade(&initArgs{Archive: configured(other, 100, 2)})
	if again := r.deploy(other); again != archive {
		t.Errorf("the archive was upgraded as %s", again)
	}
	r.do(phone.id, "add", args{n, anna.device("anna")})
	r.archived(archive, len(want)+1)

	var page onArchive
	three := uint16(3)
	b, rej := r.Query(operator, archive, "get_anchor_entries", anchorEntriesArg(t, n, nil, &three))
	if rej != nil {
		t.Fatal(rej)
	}
	canistertest.Decode(t, b, &page)
	if len(page.Entries) != 3 || page.Next == nil {
		t.Fatalf("a page: %d entries, next %v", len(page.Entries), page.Next)
	}
	b, rej = r.Query(operator, archive, "get_anchor_entries", anchorEntriesArg(t, n, page.Next, nil))
	if rej != nil {
		t.Fatal(rej)
	}
	page = onArchive{}
	canistertest.Decode(t, b, &page)
	if len(page.Entries) != 2 || page.Next != nil || page.Entries[1].Sequence != 4 {
		t.Errorf("the next page: %+v", page)
	}
	b, rej = r.Call(operator, archive, "status", encode(t))
	if rej != nil {
		t.Fatal(rej)
	}
	var status struct {
		Init  history.Init `candid:"init"`
		Calls struct {
			Errors []struct {
				Message string `candid:"message"`
			} `candid:"call_errors"`
		} `candid:"call_info"`
	}
	canistertest.Decode(t, b, &status)
	if status.Init.Identity != r.id || len(status.Calls.Errors) != 0 {
		t.Errorf("the archive's status: %+v", status)
	}
}

// upgrade upgrades the identity canister.
func (r *onReplica) upgrade(a *initArgs) {
	r.t.Helper()
	wasm, err := build()
	if err != nil {
		r.t.Fatal(err)
	}
	if rej := r.InstallCode(operator, r.id, canistertest.Upgrade(canistertest.Options{}), wasm, encode(r.t, a)); rej != nil {
		r.t.Fatal(rej)
	}
}

func anchorEntriesArg(t *testing.T, anchor uint64, next *[]byte, limit *uint16) []byte {
	t.Helper()
	type cursor struct {
		Timestamp *uint64 `candid:"timestamp,variant"`
		Next      *[]byte `candid:"next_token,variant"`
	}
	var c *cursor
	if next != nil {
		c = &cursor{Next: next}
	}
	return encode(t, anchor, c, limit)
}

func operationName(t *testing.T, o history.Operation) string {
	t.Helper()
	switch {
	case o.Register != nil:
		return "register_anchor"
	case o.AddDevice != nil:
		return "add_device"
	case o.UpdateDevice != nil:
		return "update_device"
	case o.ReplaceDevice != nil:
		return "replace_device"
	case o.RemoveDevice != nil:
		return "remove_device"
	}
	return "something else"
}

// withArchive is a canister with an archive that is only a principal: what it is asked of
// the management canister succeeds.
func withArchive(t *testing.T, buffer uint64, fetch uint16) (*canister, principal.ID) {
	module, archive := []byte("module"), principal.Canister(99)
	c := install(t, &initArgs{Archive: configured(module, buffer, fetch)})
	c.made = archive
	var d deployResult
	c.do(principal.Anonymous(), "deploy_archive", args{[]byte("another module")}, &d)
	if d.Failed == nil || !strings.Contains(*d.Failed, "invalid wasm module") {
		t.Errorf("another module: %+v", d)
	}
	d = deployResult{}
	c.do(principal.Anonymous(), "deploy_archive", args{module}, &d)
	if d.Success == nil || *d.Success != archive {
		t.Fatalf("%+v", d)
	}
	return c, archive
}

func TestAnchorsCannotBeChangedWhileTheBufferIsFullAndSignInGoesOn(t *testing.T) {
	c, archive := withArchive(t, 3, 2)
	anna, session := newPasskey(t, "anna"), newPasskey(t, "session")
	n := c.newAnchor(anna, "anna")
	for i := range 2 {
		c.do(anna.id, "add", args{n, newPasskey(t, fmt.Sprint(i)).device(fmt.Sprint(i))})
	}
	full := "archive entries buffer limit reached"
	c.refuses(c.try(anna.id, "add", args{n, newPasskey(t, "x").device("x")}), full)
	c.refuses(c.try(anna.id, "remove", args{n, anna.der}), full)
	r := c.enroll(newPasskey(t, "temporary"), newPasskey(t, "ben").method("ben"))
	if r.Err == nil || r.Err.Storage == nil || !strings.Contains(*r.Err.Storage, full) {
		t.Errorf("a registration: %+v", r)
	}
	c.logIn(anna.id, n, "https://dapp.com", session.der, nil)

	var batch []history.Buffered
	c.do(archive, "fetch_entries", nil, &batch)
	if len(batch) != 2 || batch[0].Sequence != 0 || batch[1].Anchor != n {
		t.Fatalf("fetched %+v", batch)
	}
	var e history.Entry
	if err := marshal.Decode(batch[1].Entry, &e); err != nil || e.Operation.AddDevice == nil || e.Caller != anna.id || e.Sequence != 1 {
		t.Errorf("the second entry is %+v, %v", e, err)
	}
	c.do(archive, "acknowledge_entries", args{uint64(1)})
	if err := c.upgrade((*initArgs)(nil)); err != nil {
		t.Fatal(err)
	}
	c.do(anna.id, "remove", args{n, anna.der})
	batch = nil
	c.do(archive, "fetch_entries", nil, &batch)
	if len(batch) != 2 || batch[0].Sequence != 2 || batch[1].Sequence != 3 {
		t.Errorf("after the upgrade: %+v", batch)
	}
	c.do(archive, "acknowledge_entries", args{uint64(0)})
	batch = nil
	c.do(archive, "fetch_entries", nil, &batch)
	if len(batch) != 2 {
		t.Errorf("an old acknowledgement changed what waits: %+v", batch)
	}
}

func TestOnlyTheArchiveHasTheEntries(t *testing.T) {
	c, archive := withArchive(t, 3, 2)
	anna := newPasskey(t, "anna")
	c.newAnchor(anna, "anna")
	for _, who := range []principal.ID{anna.id, principal.Anonymous(), c.Self, principal.Canister(98)} {
		c.refuses(c.try(who, "fetch_entries", nil), "only the archive")
		c.refuses(c.try(who, "acknowledge_entries", args{uint64(0)}), "only the archive")
	}
	c.refuses(c.try(archive, "acknowledge_entries", args{uint64(7)}), "never made")
	bare := install(t)
	bare.refuses(bare.try(archive, "fetch_entries", nil), "no archive is deployed")
	var d deployResult
	bare.do(anna.id, "deploy_archive", args{[]byte("module")}, &d)
	if d.Failed == nil || !strings.Contains(*d.Failed, "disabled") {
		t.Errorf("without a configuration: %+v", d)
	}
	for words, a := range map[string]*archiveConfig{
		"module hash has 3 bytes": {[]byte("abc"), 1, 1, second}, "buffer limit is 10001": {make([]byte, 32), 10_001, 1, second},
		"fetch limit is zero": {make([]byte, 32), 1, 0, second}, "below a second": {make([]byte, 32), 1, 1, 1},
	} {
		bare.refuses(bare.upgrade(&initArgs{Archive: a}), words)
	}
}

// The largest operation is one that names as much metadata as an anchor holds.
func TestEveryOperationFitsItsSlot(t *testing.T) {
	c, archive := withArchive(t, 10, 10)
	anna := newPasskey(t, "anna")
	n := c.newAnchor(anna, "anna")
	var many []metadataEntry2
	for i := range 400 {
		many = append(many, metadataEntry2{fmt.Sprint(i % 10), metadataValue2{Bytes: new([]byte)}})
	}
	var replaced done[metadataReplaceError]
	c.do(anna.id, "identity_metadata_replace", args{n, many}, &replaced)
	if !replaced.Ok {
		t.Fatalf("%+v", replaced.Err)
	}
	var batch []history.Buffered
	c.do(archive, "fetch_entries", nil, &batch)
	if len(batch) != 2 {
		t.Errorf("%d entries", len(batch))
	}
}
