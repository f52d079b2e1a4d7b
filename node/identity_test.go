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
	if err != nil || len(first) > 200 {
		t.Fatalf("%d bytes, %v", len(first), err)
	}
	if again, err := findIdentity(file); err != nil || !bytes.Equal(first, again) {
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
