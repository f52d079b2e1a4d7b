// Package config reads the TOML files that replicas and gateways are started with.
// A key that nobody knows is an error, so that a misspelt one is noticed.
package config

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/BurntSushi/toml"
)

// Replica configures one replica. How its subnet works stands in the registry's records.
type Replica struct {
	// Dir is the replica's own folder, relative to the file: artifacts, state, and the
	// two files below.
	Dir string `toml:"dir"`
	// KeyFile holds the replica's secrets, RegistryFile the network's records; both
	// relative to the file.
	KeyFile      string `toml:"key_file"`
	RegistryFile string `toml:"registry_file"`
	// Listen is the address of the HTTPS interface, such as "127.0.0.1:8080", ListenPeers
	// the one for other replicas.
	Listen      string `toml:"listen"`
	ListenPeers string `toml:"listen_peers"`
	// Metrics is the address of the status page and of metrics for Prometheus, or "" for
	// none. Whoever reaches it may read both.
	Metrics string `toml:"metrics"`
	// Sandboxes is how many processes run the code of canisters, so that a defect of the
	// compiler does not reach the replica's secrets; 0 runs it in the replica's own. At most 64.
	Sandboxes int `toml:"sandboxes"`
	// PeerAddresses are, by node id, the addresses of replicas that are not where their
	// records say.
	PeerAddresses map[string]string `toml:"peer_addresses"`
}

const maxSandboxes = 64

// LoadReplica reads a replica's file.
func LoadReplica(path string) (Replica, error) {
	c := Replica{Dir: ".", KeyFile: "node.key", RegistryFile: "registry"}
	if err := load(path, &c); err != nil {
		return c, err
	}
	switch {
	case c.Listen == "":
		return c, fmt.Errorf(`%s: listen is missing: give an address such as listen = "127.0.0.1:8080"`, path)
	case c.ListenPeers == "":
		return c, fmt.Errorf(`%s: listen_peers is missing: give an address such as listen_peers = "127.0.0.1:8081"`, path)
	}
	if c.Sandboxes < 0 || c.Sandboxes > maxSandboxes {
		return c, fmt.Errorf("%s: sandboxes = %d: give a number from 0 to %d", path, c.Sandboxes, maxSandboxes)
	}
	c.Dir, c.KeyFile, c.RegistryFile = relative(path, c.Dir), relative(path, c.KeyFile), relative(path, c.RegistryFile)
	return c, nil
}

func load(path string, into any) error {
	meta, err := toml.DecodeFile(path, into)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%s: %s", path, syntax.ErrorWithPosition())
	case err != nil:
		return err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return fmt.Errorf("%s: unknown key %q", path, unknown[0])
	}
	return nil
}

func relative(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}
