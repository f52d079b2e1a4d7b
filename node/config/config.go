// Package config reads the TOML files that replicas and gateways are started with.
// A key that nobody knows is an error, so that a misspelt one is noticed.
package config

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/BurntSushi/toml"
)

// Replica configures one replica.
type Replica struct {
	// Dir is the replica's own folder, relative to the file: keys, blocks, state.
	Dir string `toml:"dir"`
	// Listen is the address of the HTTPS interface, such as "127.0.0.1:8080", or
	// "fd:3" for a socket that the parent process opened.
	Listen string `toml:"listen"`
	// SubnetType is what the subnet says of itself, such as "application".
	SubnetType string `toml:"subnet_type"`
	// Provisional offers the methods by which anybody makes canisters with cycles:
	// for development only.
	Provisional bool `toml:"provisional"`
	// IdleRoundMillis is the time between rounds when there is nothing to do.
	IdleRoundMillis int `toml:"idle_round_ms"`
	// CheckpointHeights is the number of rounds between checkpoints.
	CheckpointHeights uint64 `toml:"checkpoint_heights"`
}

// Gateway configures one gateway.
type Gateway struct {
	// Listen is the address that browsers reach, such as "127.0.0.1:8000".
	Listen string `toml:"listen"`
	// Replicas are the base URLs of replicas of one subnet.
	Replicas []string `toml:"replicas"`
	// RootKeyFile holds the network's public key, DER, relative to the file.
	RootKeyFile string `toml:"root_key_file"`
	// Domains are the names below which canisters are served.
	Domains []string `toml:"domains"`
	// AliasFile has lines "host:canister"; it is read again when it changes.
	AliasFile string `toml:"alias_file"`
}

// Defaults.
const (
	DefaultIdleRoundMillis   = 500
	DefaultCheckpointHeights = 500
	maxIdleRoundMillis       = 60_000
)

// LoadReplica reads a replica's file.
func LoadReplica(path string) (Replica, error) {
	c := Replica{Dir: ".", SubnetType: "application", IdleRoundMillis: DefaultIdleRoundMillis, CheckpointHeights: DefaultCheckpointHeights}
	if err := load(path, &c); err != nil {
		return c, err
	}
	c.Dir = relative(path, c.Dir)
	switch {
	case c.Listen == "":
		return c, fmt.Errorf(`%s: listen is missing: give an address such as listen = "127.0.0.1:8080"`, path)
	case c.IdleRoundMillis < 1 || c.IdleRoundMillis > maxIdleRoundMillis:
		return c, fmt.Errorf("%s: idle_round_ms is %d, want 1 to %d", path, c.IdleRoundMillis, maxIdleRoundMillis)
	case c.CheckpointHeights < 1:
		return c, fmt.Errorf("%s: checkpoint_heights is 0, want at least 1", path)
	}
	return c, nil
}

// LoadGateway reads a gateway's file.
func LoadGateway(path string) (Gateway, error) {
	c := Gateway{Domains: []string{"localhost"}}
	if err := load(path, &c); err != nil {
		return c, err
	}
	switch {
	case c.Listen == "":
		return c, fmt.Errorf(`%s: listen is missing: give an address such as listen = "127.0.0.1:8000"`, path)
	case len(c.Replicas) == 0:
		return c, fmt.Errorf(`%s: replicas is missing: give base URLs such as replicas = ["http://127.0.0.1:8080"]`, path)
	case c.RootKeyFile == "":
		return c, fmt.Errorf("%s: root_key_file is missing: a gateway verifies everything under the network's public key", path)
	}
	c.RootKeyFile = relative(path, c.RootKeyFile)
	if c.AliasFile != "" {
		c.AliasFile = relative(path, c.AliasFile)
	}
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
