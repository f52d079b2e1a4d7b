package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portico/lightclient/principal"
	"portico/node/registry"
)

func TestIdentityCanistersHaveTheIDsThatClientsKnow(t *testing.T) {
	for index, want := range map[uint64]string{identityBackend: "rdmx6-jaaaa-aaaaa-aaadq-cai", identityPages: "uqzsh-gqaaa-aaaaq-qaada-cai"} {
		if got := principal.Canister(index).String(); got != want {
			t.Errorf("index %#x is %s, want %s", index, got, want)
		}
	}
	a := identityAliases([]string{"localhost", "dev.example"})
	for _, name := range []string{"id.ai.localhost", "id.ai.dev.example"} {
		if id, ok := a.Lookup(name); !ok || id != principal.Canister(identityPages) {
			t.Errorf("%s is %s, %t", name, id, ok)
		}
	}
}

func TestNewNetworksHaveRoomForInternetIdentityAndOldOnesSaySo(t *testing.T) {
	f := folder{filepath.Join(t.TempDir(), networkFolder)}
	records, all, err := f.open(wanted{nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := release(all); err != nil {
		t.Fatal(err)
	}
	if err := checkIdentity(records, f.path); err != nil {
		t.Error(err)
	}
	// ids that the network chooses itself never meet the well-known ones
	if s := records.Subnet; s.FirstGiven <= identityBackend {
		t.Errorf("ids are given out from %d on, and Internet Identity has %d", s.FirstGiven, identityBackend)
	}
	old := &registry.Records{Subnet: registry.Subnet{LastCanister: 0x3f_ffff}}
	if err := checkIdentity(old, f.path); err == nil || !strings.Contains(err.Error(), f.path) || !strings.Contains(err.Error(), "remove the folder") {
		t.Errorf("a network of an older version: error %v", err)
	}
}

func TestTheModuleOfInternetIdentityIsReadTheSameEveryTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "some.wasm")
	if err := os.WriteFile(file, bytes.Repeat([]byte("\x00asm"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := findIdentity(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.identity) > 200 {
		t.Errorf("%d bytes", len(first.identity))
	}
	if again, err := findIdentity(file); err != nil || !bytes.Equal(first.identity, again.identity) {
		t.Errorf("the second time it is another: %v", err)
	}
	if _, err := findIdentity(file + ".not"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	// beside a test's program there is none
	if _, err := findIdentity(""); err == nil || !strings.Contains(err.Error(), "make identity") || !strings.Contains(err.Error(), "--ii-wasm") {
		t.Errorf("no file: error %v, want what to do", err)
	}
}

func TestTheArchiveIsBesideTheModuleOfInternetIdentityOrIsNot(t *testing.T) {
	dir := t.TempDir()
	file, archive := filepath.Join(dir, "some.wasm"), filepath.Join(dir, archiveFile)
	if err := os.WriteFile(file, []byte("\x00asm"), 0o600); err != nil {
		t.Fatal(err)
	}
	modules, err := findIdentity(file)
	if err != nil || modules.archive != nil || modules.archivePlace != archive {
		t.Fatalf("no archive: %+v, %v", modules, err)
	}
	want := []byte("as it is: its hash is configured")
	if err := os.WriteFile(archive, want, 0o600); err != nil {
		t.Fatal(err)
	}
	if modules, err = findIdentity(file); err != nil || !bytes.Equal(modules.archive, want) {
		t.Errorf("%+v, %v", modules, err)
	}
	if err := os.Remove(archive); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(archive, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := findIdentity(file); err == nil || !strings.Contains(err.Error(), archive) {
		t.Errorf("an archive that cannot be read: error %v, want one that names it", err)
	}
}

func TestAnotherArchiveIsNoticed(t *testing.T) {
	want := archiveArg([]byte("the archive")).Archive
	if !want.equal(archiveArg([]byte("the archive")).Archive) {
		t.Error("the same archive is another")
	}
	longer := *want
	longer.Interval++
	for what, other := range map[string]*archiveConfig{"none": nil, "another module": archiveArg([]byte("another")).Archive, "another interval": &longer} {
		if want.equal(other) {
			t.Errorf("%s counts as the same", what)
		}
	}
}

func TestTheOperatorsKeyStays(t *testing.T) {
	file := filepath.Join(t.TempDir(), operatorFile)
	first, err := operatorKey(file)
	if err != nil {
		t.Fatal(err)
	}
	again, err := operatorKey(file)
	if err != nil || !bytes.Equal(first.PublicKey(), again.PublicKey()) {
		t.Errorf("the second time it is another: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := operatorKey(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a damaged key: error %v, want one that names the file", err)
	}
}
