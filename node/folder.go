package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"portico/lightclient/principal"
	"portico/node/crypto/bls"
	"portico/node/live"
	"portico/node/registry"

	"github.com/BurntSushi/toml"
)

// The folder of a local network:
//
//	network/registry      the network's public records
//	network/sample.json   where the sample dapp is
//	network/operator.key  the key that may upgrade Internet Identity, where it is installed
//	network/node-<i>/     one replica's own: its secrets, the records, its settings, its state
//
// It is made under another name and renamed when all of it is on disk: a network is there
// whole or not at all.
const (
	networkFolder = "network"
	replicaFile   = "replica.toml"
	keyFile       = "node.key"
	registryFile  = "registry"
	sampleFile    = "sample.json"
)

// A local network has one subnet, which hosts all canisters. Its ids are the first of the
// Internet Computer's, up to the last of the subnet that hosts the front end of Internet
// Identity there. Those of the first subnet there, which has canisters that everybody
// knows by their ids, are not given to anybody who asks for none.
const (
	firstCanister = 0
	firstGiven    = 0x10_0000
	lastCanister  = 0x21f_ffff
	// costNodes is the size of subnet that prices are made for.
	costNodes = 13
)

// How a local network's subnet works. Replicas that share a computer can be slow at times,
// but are never far apart.
const (
	unitDelay        = 1500 * time.Millisecond
	notaryDelay      = 20 * time.Millisecond
	defaultIdleDelay = time.Second
	interval         = 500
)

// maxNodes is more than a computer can run.
const maxNodes = 40

// folder is a local network's folder.
type folder struct{ path string }

func (f folder) node(i int) string { return filepath.Join(f.path, "node-"+strconv.Itoa(i)) }

// wanted is what a network is to be like.
type wanted struct {
	nodes     int // 0: as many as there are, or defaultNodes
	idleDelay time.Duration
	admins    []principal.ID // none: as there are
}

// open reads the network's records, or makes a network if there is none. The addresses of its
// nodes are reserved.
func (f folder) open(w wanted) (*registry.Records, []*addresses, error) {
	old := filepath.Join(filepath.Dir(f.path), "node-0", "subnet.key")
	if _, err := os.Stat(old); err == nil {
		dir := filepath.Dir(f.path)
		return nil, nil, fmt.Errorf("%s is there: %s holds a network of one replica that an older version made and this one cannot run; "+
			"remove the folder to begin a new network, or give another with --state-dir", old, dir)
	}
	records, err := readRegistry(filepath.Join(f.path, registryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return f.genesis(w)
	}
	if err != nil {
		return nil, nil, err
	}
	if have := len(records.Nodes); w.nodes != 0 && w.nodes != have {
		return nil, nil, fmt.Errorf("the network in %s has %d replicas, not %d: leave --nodes out, or remove the folder to begin a new network", f.path, have, w.nodes)
	}
	if have := records.Subnet.Admins; len(w.admins) > 0 && !slices.Equal(have, inOrder(w.admins)) {
		return nil, nil, fmt.Errorf("the network in %s has the subnet admins %v, not %v: leave --subnet-admin out, or remove the folder to begin a new network", f.path, have, w.admins)
	}
	var all []*addresses
	for _, node := range records.Nodes {
		a, err := reserveAddresses(node)
		if err != nil {
			return nil, nil, errors.Join(err, release(all))
		}
		all = append(all, a)
	}
	return records, all, nil
}

// inOrder sorts ids and drops what is there twice.
func inOrder(ids []principal.ID) []principal.ID {
	return slices.Compact(slices.SortedFunc(slices.Values(ids), principal.ID.Compare))
}

// readRegistry reads the records of a file.
func readRegistry(path string) (*registry.Records, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := registry.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// genesis makes a network. Each node's secrets are written into its own folder only, and
// the keys that they are shares of are never written at all.
func (f folder) genesis(w wanted) (*registry.Records, []*addresses, error) {
	n := cmp.Or(w.nodes, defaultNodes)
	if n > maxNodes {
		return nil, nil, fmt.Errorf("--nodes %d: want 1 to %d", n, maxNodes)
	}
	if len(w.admins) > registry.MaxAdmins {
		return nil, nil, fmt.Errorf("--subnet-admin: at most %d may be given, not %d", registry.MaxAdmins, len(w.admins))
	}
	var all []*addresses
	g := live.Genesis{
		UnitDelay: unitDelay, NotaryDelay: notaryDelay, IdleDelay: w.idleDelay, Interval: interval, Type: "application", Provisional: true,
		FirstCanister: firstCanister, LastCanister: lastCanister, FirstGiven: firstGiven, CostNodes: costNodes, Admins: inOrder(w.admins),
	}
	for range n {
		a, err := reserveAddresses(registry.Node{})
		if err != nil {
			return nil, nil, errors.Join(err, release(all))
		}
		all = append(all, a)
		g.Addresses = append(g.Addresses, live.Addresses{Peers: a.peers.address, API: a.api.address})
	}
	records, members, err := live.Deal(g)
	if err == nil {
		err = f.write(records, members)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("making a network: %w", err), release(all))
	}
	// dealing has put the nodes into the order of their ids
	byPeers := map[string]*addresses{}
	for _, a := range all {
		byPeers[a.peers.address] = a
	}
	for i, node := range records.Nodes {
		all[i] = byPeers[node.Peers]
	}
	return records, all, nil
}

func (f folder) write(records *registry.Records, members []live.Member) error {
	encoded, err := records.Encode()
	if err != nil {
		return err
	}
	writing := folder{f.path + ".new"}
	if err := os.RemoveAll(writing.path); err != nil { // of a genesis that was interrupted
		return err
	}
	for i, m := range members {
		dir := writing.node(i)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, keyFile), m.Keys.Encode(), 0o600); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, registryFile), encoded, 0o644); err != nil {
			return err
		}
		if err := syncFolder(dir); err != nil {
			return err
		}
	}
	if err := writeFile(filepath.Join(writing.path, registryFile), encoded, 0o644); err != nil {
		return err
	}
	if err := syncFolder(writing.path); err != nil {
		return err
	}
	if err := os.Rename(writing.path, f.path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(f.path))
}

// settings writes a replica's TOML file anew: where it listens, and where its peers are if not
// where the records say, because somebody else has taken a port in the meantime.
func (f folder) settings(i int, records *registry.Records, all []*addresses, sandboxes uint) error {
	moved := map[string]string{}
	for k, node := range records.Nodes {
		if all[k].peers.address != node.Peers {
			moved[node.ID.String()] = all[k].peers.address
		}
	}
	text, err := toml.Marshal(map[string]any{
		"listen": all[i].api.address, "listen_peers": all[i].peers.address, "metrics": all[i].metrics.address, "peer_addresses": moved, "sandboxes": sandboxes,
	})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(f.node(i), replicaFile), text, 0o600)
}

// addresses are where a replica listens.
type addresses struct{ api, peers, metrics *reservation }

// reservation is an address that is kept for a replica.
type reservation struct {
	address string
	release func() error
}

// anyAddress is a free port of the loopback.
const anyAddress = "127.0.0.1:0"

// reserveAddresses reserves the addresses of a node's record, or others where those are
// taken or there are none.
func reserveAddresses(node registry.Node) (*addresses, error) {
	a := &addresses{}
	for _, x := range []struct {
		to      **reservation
		address string
	}{{&a.api, node.API}, {&a.peers, node.Peers}, {&a.metrics, ""}} {
		r, err := reserve(cmp.Or(x.address, anyAddress))
		if err != nil && x.address != "" {
			r, err = reserve(anyAddress)
		}
		if err != nil {
			return nil, errors.Join(err, a.release())
		}
		*x.to = r
	}
	return a, nil
}

func (a *addresses) release() error {
	var errs []error
	for _, r := range []*reservation{a.api, a.peers, a.metrics} {
		if r != nil {
			errs = append(errs, r.release())
		}
	}
	return errors.Join(errs...)
}

func release(all []*addresses) error {
	var errs []error
	for _, a := range all {
		errs = append(errs, a.release())
	}
	return errors.Join(errs...)
}

// rootKey is the network's public key, DER.
func rootKey(r *registry.Records) ([]byte, error) {
	key, err := bls.ParsePublicKey(r.Subnet.High.Coefficients[0])
	if err != nil {
		return nil, fmt.Errorf("the network's key: %w", err)
	}
	return key.DER(), nil
}

// writeFile writes a file whole or not at all.
func writeFile(path string, content []byte, mode os.FileMode) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return os.Rename(temp, path)
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
