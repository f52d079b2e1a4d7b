package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"portico/lightclient/principal"
	"portico/node/crypto/bls"
	"portico/node/execution"
	"portico/node/state/tree"
	"portico/node/types"
)

// Files of a replica's folder.
const (
	replicaFile   = "replica.toml"
	nodeKeyFile   = "node.key"
	subnetKeyFile = "subnet.key"
)

// firstCanister is the index of a network's first canister, lastCanister that of
// its last: one subnet hosts all.
const (
	firstCanister = 0
	lastCanister  = 0x3f_ffff
	// costNodes is the size of subnet that prices are made for.
	costNodes = 13
)

// keys are a node's own key and the subnet's, which a subnet of one node holds whole.
type keys struct {
	node   ed25519.PrivateKey
	subnet *bls.SecretKey
}

// makeKeys makes the keys of a one-node subnet in a folder that has none.
func makeKeys(dir string) (keys, error) {
	_, node, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return keys{}, err
	}
	subnet, err := bls.GenerateKey(rand.Reader)
	if err != nil {
		return keys{}, err
	}
	// the node's key is written last: where it is, all are
	for _, f := range []struct {
		name string
		key  []byte
	}{{subnetKeyFile, subnet.Bytes()}, {nodeKeyFile, node.Seed()}} {
		if err := writeFile(filepath.Join(dir, f.name), f.key, 0o600); err != nil {
			return keys{}, err
		}
	}
	return keys{node, subnet}, nil
}

// readKeys reads what makeKeys wrote.
func readKeys(dir string) (keys, error) {
	seed, err := os.ReadFile(filepath.Join(dir, nodeKeyFile))
	if err != nil {
		return keys{}, err
	}
	if len(seed) != ed25519.SeedSize {
		return keys{}, fmt.Errorf("%s: %d bytes, want the %d of an Ed25519 seed", filepath.Join(dir, nodeKeyFile), len(seed), ed25519.SeedSize)
	}
	secret, err := os.ReadFile(filepath.Join(dir, subnetKeyFile))
	if err != nil {
		return keys{}, err
	}
	subnet, err := bls.ParseSecretKey(secret)
	if err != nil {
		return keys{}, fmt.Errorf("%s: %w", filepath.Join(dir, subnetKeyFile), err)
	}
	return keys{ed25519.NewKeyFromSeed(seed), subnet}, nil
}

// openKeys reads a folder's keys, or makes them if it has none.
func openKeys(dir string) (keys, error) {
	k, err := readKeys(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKeys(dir)
	}
	return k, err
}

// rootKey is the network's public key, DER.
func (k keys) rootKey() []byte { return k.subnet.PublicKeyDER() }

// topology is what the state tree says of the subnet.
func (k keys) topology(subnetType string) (tree.Topology, error) {
	nodeKey, err := x509.MarshalPKIXPublicKey(k.node.Public())
	if err != nil {
		return tree.Topology{}, err
	}
	key := k.rootKey()
	return tree.Topology{
		Subnet: principal.SelfAuthenticating(key), PublicKey: key, Type: subnetType,
		Nodes:  []tree.Member{{ID: types.NodeID(principal.SelfAuthenticating(nodeKey)), PublicKey: nodeKey}},
		Ranges: []tree.Range{{First: principal.Canister(firstCanister), Last: principal.Canister(lastCanister)}},
	}, nil
}

func (k keys) executionSubnet(provisional bool) execution.Subnet {
	key := k.rootKey()
	return execution.Subnet{
		ID: principal.SelfAuthenticating(key), RootKey: key, CostNodes: costNodes,
		FirstCanister: firstCanister, LastCanister: lastCanister, Provisional: provisional,
	}
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
