package main

import (
	"bytes"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portico/lightclient/principal"
	"portico/node/config"
	"portico/node/crypto/committee"
	"portico/node/registry"
	"portico/node/types"
)

func openFolder(t *testing.T, f folder, n int) []*addresses {
	t.Helper()
	_, all, err := f.open(wanted{nodes: n, idleDelay: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestANetworkIsThereWholeOrNotAtAll(t *testing.T) {
	f := folder{filepath.Join(t.TempDir(), networkFolder)}
	// what a genesis leaves that was killed after its first node
	left := folder{f.path + ".new"}.node(0)
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, keyFile), []byte("of an earlier attempt"), 0o600); err != nil {
		t.Fatal(err)
	}
	records, all, err := f.open(wanted{nodes: 4, idleDelay: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.path + ".new"); !os.IsNotExist(err) {
		t.Errorf("the unfinished folder is still there: %v", err)
	}
	if err := release(all); err != nil {
		t.Fatal(err)
	}
	again, all, err := f.open(wanted{idleDelay: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer release(all)
	if len(again.Nodes) != 4 || again.Subnet.ID != records.Subnet.ID {
		t.Errorf("opened again, the network has %d nodes and subnet %s, want 4 and %s", len(again.Nodes), again.Subnet.ID, records.Subnet.ID)
	}
	for i, a := range all {
		if a.peers.address != records.Nodes[i].Peers || a.api.address != records.Nodes[i].API {
			t.Errorf("node %d has other addresses than before, although those are free", i)
		}
	}
}

func TestEveryNodeHasItsOwnSecretsAlone(t *testing.T) {
	f := folder{filepath.Join(t.TempDir(), networkFolder)}
	records, all, err := f.open(wanted{nodes: 4, idleDelay: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer release(all)
	var files []string
	err = filepath.WalkDir(f.path, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(f.path, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{registryFile}
	for i := range 4 {
		dir := filepath.Base(f.node(i))
		want = append(want, filepath.Join(dir, keyFile), filepath.Join(dir, registryFile))
		path := filepath.Join(f.node(i), keyFile)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
		keys, err := readKeys(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := committee.New(records, keys, types.Member(i)); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
		if bytes.Equal(keys.High.PublicKey(), records.Subnet.High.Coefficients[0]) {
			t.Errorf("node %d holds the subnet's whole key", i)
		}
	}
	slices.Sort(files)
	slices.Sort(want)
	if !slices.Equal(files, want) {
		t.Errorf("genesis wrote %q, want %q", files, want)
	}
}

func TestAPortThatWasTakenInTheMeantimeIsReplaced(t *testing.T) {
	f := folder{filepath.Join(t.TempDir(), networkFolder)}
	if err := release(openFolder(t, f, 4)); err != nil {
		t.Fatal(err)
	}
	records, err := readRegistry(filepath.Join(f.path, registryFile))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", records.Nodes[2].Peers)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	all := openFolder(t, f, 0)
	defer release(all)
	if all[2].peers.address == records.Nodes[2].Peers {
		t.Fatal("an address that somebody listens on was reserved")
	}
	if err := f.settings(0, records, all, 0); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.LoadReplica(filepath.Join(f.node(0), replicaFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := move(records, cfg.PeerAddresses); err != nil {
		t.Fatal(err)
	}
	for i, node := range records.Nodes {
		if node.Peers != all[i].peers.address {
			t.Errorf("node 0 looks for node %d at %s, but it is at %s", i, node.Peers, all[i].peers.address)
		}
	}
}

func TestAReservedAddressIsForWhoeverListensThereAndRefusedOtherwise(t *testing.T) {
	r, err := reserve(anyAddress)
	if err != nil {
		t.Fatal(err)
	}
	defer r.release()
	for range 3 {
		if c, err := net.Dial("tcp", r.address); err == nil {
			c.Close()
			t.Fatal("a connection to an address on which nobody listens was made")
		}
		l, err := net.Listen("tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		served, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		// closed from this side first, so that the address lingers as a crash leaves it
		served.Close()
		c.Close()
		l.Close()
	}
}

func TestANetworkKeepsItsSubnetAdmins(t *testing.T) {
	f := folder{filepath.Join(t.TempDir(), networkFolder)}
	var ids []principal.ID
	for i := range registry.MaxAdmins + 1 {
		ids = append(ids, principal.SelfAuthenticating([]byte{byte(i)}))
	}
	if _, _, err := f.open(wanted{nodes: 1, admins: ids}); err == nil || !strings.Contains(err.Error(), "at most 10") {
		t.Errorf("eleven admins: error %v", err)
	}
	twice := append(slices.Clone(ids[:10]), ids[0])
	for _, w := range []wanted{{nodes: 1, admins: twice[1:]}, {}, {admins: ids[:10]}} {
		records, all, err := f.open(w)
		if err != nil {
			t.Fatal(err)
		}
		if got := records.Subnet.Admins; !slices.Equal(got, inOrder(ids[:10])) {
			t.Errorf("with %v the network has the admins %v", w, got)
		}
		if err := release(all); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := f.open(wanted{admins: ids[:9]}); err == nil || !strings.Contains(err.Error(), "leave --subnet-admin out") {
		t.Errorf("other admins than the network has: error %v", err)
	}
}

func TestFoldersThatCannotBeUsedAreRefusedWithWhatToDo(t *testing.T) {
	dir := t.TempDir()
	f := folder{filepath.Join(dir, networkFolder)}
	if err := release(openFolder(t, f, 1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.open(wanted{nodes: 4, idleDelay: time.Second}); err == nil || !strings.Contains(err.Error(), "has 1 replicas, not 4") {
		t.Errorf("another number of replicas: error %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "node-0"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "node-0", "subnet.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.open(wanted{idleDelay: time.Second}); err == nil || !strings.Contains(err.Error(), "remove the folder") {
		t.Errorf("a folder of an older version: error %v", err)
	}
}

func TestLinesOfReplicasSayWhoseTheyAre(t *testing.T) {
	var out strings.Builder
	w := &prefixed{to: &out, prefix: "node 1: "}
	for _, piece := range []string{"one\ntw", "o\n", "", "\nrest"} {
		if _, err := w.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	if want := "node 1: one\nnode 1: two\nnode 1: \n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
