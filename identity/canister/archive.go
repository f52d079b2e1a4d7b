package main

import (
	"bytes"
	"errors"
	"fmt"

	"portico/identity/history"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
	"portico/node/cdk"
	"portico/node/types"
)

// The archive is a canister that this one creates and installs, with code whose hash the
// configuration names, and that fetches what happened.

// archive is what is stored of it.
type archive struct {
	Canister *principal.ID  `candid:"canister"`
	Deployed *archiveConfig `candid:"deployed"` // what it was installed with

	deploying bool // under way; not stored
}

const (
	// archivePage is how many entries the archive answers at once, archiveErrors how many
	// failed calls it remembers.
	archivePage   = 1000
	archiveErrors = 10
)

type (
	deployResult struct {
		Success    *principal.ID `candid:"success,variant"`
		InProgress bool          `candid:"creation_in_progress,variant"`
		Failed     *string       `candid:"failed,variant"`
	}

	canisterID struct {
		ID principal.ID `candid:"canister_id"`
	}

	installMode struct {
		Install bool       `candid:"install,variant"`
		Upgrade **struct{} `candid:"upgrade,variant"`
	}

	installArg struct {
		Mode     installMode  `candid:"mode"`
		Canister principal.ID `candid:"canister_id"`
		Module   []byte       `candid:"wasm_module"`
		Arg      []byte       `candid:"arg"`
	}
)

// deploy installs a module as the archive, or upgrades the archive to it. Anybody may
// bring the module: its hash decides.
func (s *store) deploy(m *cdk.Message, module []byte) (deployResult, error) {
	c := s.config.Archive
	if c == nil {
		return deployResult{}, errors.New("archive deployment disabled")
	}
	if s.archive.deploying {
		return deployResult{InProgress: true}, nil
	}
	if hash := plainHash(module); !bytes.Equal(hash[:], c.ModuleHash) {
		return deployResult{}, fmt.Errorf("invalid wasm module: its hash is %x, configured is %x", hash, c.ModuleHash)
	}
	config := *c
	if d := s.archive.Deployed; d != nil && bytes.Equal(d.ModuleHash, config.ModuleHash) && d.Interval == config.Interval {
		return deployResult{Success: s.archive.Canister}, nil
	}
	s.archive.deploying = true
	defer func() { s.archive.deploying = false }()
	mode, err := s.prepareArchive(m)
	if err != nil {
		return deployResult{}, err
	}
	arg, err := marshal.Encode(history.Init{Identity: s.self, MaxEntries: archivePage, Interval: config.Interval, MaxErrors: archiveErrors})
	if err != nil {
		return deployResult{}, err
	}
	if err := manage(m, "install_code", types.Cycles{}, installArg{mode, *s.archive.Canister, module, arg}); err != nil {
		return deployResult{}, err
	}
	s.archive.Deployed = &config
	return deployResult{Success: s.archive.Canister}, s.storeConfig()
}

// prepareArchive makes sure that there is a canister for the archive, and tells whether
// it has code already.
func (s *store) prepareArchive(m *cdk.Message) (installMode, error) {
	if s.archive.Canister == nil {
		var created canisterID
		type createArg struct{}
		if err := manage(m, "create_canister", types.CyclesOf(*s.config.CreationCost), createArg{}, &created); err != nil {
			return installMode{}, err
		}
		s.archive.Canister = &created.ID
		return installMode{Install: true}, s.storeConfig()
	}
	var status struct {
		Hash *[]byte `candid:"module_hash"`
	}
	if err := manage(m, "canister_status", types.Cycles{}, canisterID{*s.archive.Canister}, &status); err != nil {
		return installMode{}, err
	}
	if status.Hash == nil {
		return installMode{Install: true}, nil
	}
	return installMode{Upgrade: new(*struct{})}, nil
}

// manage calls the management canister.
func manage(m *cdk.Message, method string, cycles types.Cycles, arg any, results ...any) error {
	b, err := marshal.Encode(arg)
	if err != nil {
		return err
	}
	resp, err := m.Call(cdk.Call{Method: method, Arg: b, Cycles: cycles})
	if err != nil {
		return fmt.Errorf("%s of the archive: %w", method, err)
	}
	return marshal.Decode(resp.Arg, results...)
}

//go:wasmexport canister_update_deploy_archive
func deployArchive() {
	var module []byte
	update(func(m *cdk.Message) (any, error) {
		r, err := state.deploy(m, module)
		if err != nil {
			r = deployResult{Failed: textOf(err)}
		}
		return r, nil
	}, &module)
}

//go:wasmexport canister_update_fetch_entries
func fetchEntries() {
	update(func(m *cdk.Message) (any, error) { return state.fetch(m.Caller()) })
}

//go:wasmexport canister_update_acknowledge_entries
func acknowledgeEntries() {
	var sequence uint64
	update(func(m *cdk.Message) (any, error) { return nil, state.acknowledge(m.Caller(), sequence) }, &sequence)
}
