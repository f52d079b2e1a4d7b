package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"portico/lightclient/principal"
)

// The archive of Internet Identity on a local network is a canister that the identity
// canister makes and controls. It takes the code whose hash is in its configuration, from
// anybody; the configuration comes from the operator, with an installation or an upgrade.
const (
	// archiveCycles are what the archive begins with, a tenth of what the identity canister has.
	archiveCycles = identityCycles / 10
	// The others are what the identity canister's operators configure on the network that
	// everybody uses: at most so many entries wait, so many are fetched at once, so often.
	archiveBuffer   = 10_000
	archiveFetch    = 1_000
	archiveInterval = 15 * time.Second

	// While a deployment is under way that was begun before, for instance by a network that
	// was stopped since, it is asked again so often, with a pause.
	deployTries = 30
	deployPause = time.Second
)

type (
	archiveConfig struct {
		ModuleHash  []byte `candid:"module_hash"`
		BufferLimit uint64 `candid:"entries_buffer_limit"`
		FetchLimit  uint16 `candid:"entries_fetch_limit"`
		Interval    uint64 `candid:"polling_interval_ns"`
	}

	archiveInfo struct {
		Canister *principal.ID  `candid:"archive_canister"`
		Config   *archiveConfig `candid:"archive_config"`
	}

	deployArchiveResult struct {
		Success    *principal.ID `candid:"success,variant"`
		InProgress bool          `candid:"creation_in_progress,variant"`
		Failed     *string       `candid:"failed,variant"`
	}
)

func (c *archiveConfig) equal(o *archiveConfig) bool {
	return o != nil && bytes.Equal(c.ModuleHash, o.ModuleHash) && c.BufferLimit == o.BufferLimit && c.FetchLimit == o.FetchLimit && c.Interval == o.Interval
}

// archiveArg is the argument that has the identity canister take a module as its archive.
func archiveArg(module []byte) *identityArg {
	hash := sha256.Sum256(module)
	cost := uint64(archiveCycles)
	return &identityArg{Archive: &archiveConfig{hash[:], archiveBuffer, archiveFetch, uint64(archiveInterval)}, CreationCost: &cost}
}

// ensureArchive has the identity canister make its archive or upgrade it, unless it has
// the module. The identity canister itself is upgraded to its own module if it was
// configured for another archive, or none.
func (p *identityDeployment) ensureArchive(backend principal.ID, m *identityModules, arg *identityArg) {
	var stats struct {
		Archive archiveInfo `candid:"archive_info"`
	}
	p.call(backend, principal.ID{}, "stats", struct{}{}, &stats)
	if p.err != nil {
		return
	}
	if !arg.Archive.equal(stats.Archive.Config) {
		p.installChunks(backend, m.identity, arg, true)
	}
	if id := stats.Archive.Canister; id != nil && p.err == nil {
		_, installed := p.canister(*id)
		if bytes.Equal(installed, arg.Archive.ModuleHash) && arg.Archive.equal(stats.Archive.Config) {
			return
		}
	}
	p.say("installing its archive")
	p.deployArchive(backend, m.archive)
}

func (p *identityDeployment) deployArchive(backend principal.ID, module []byte) {
	for range deployTries {
		var result deployArchiveResult
		p.call(backend, principal.ID{}, "deploy_archive", module, &result)
		switch {
		case p.err != nil || result.Success != nil:
			return
		case result.Failed != nil:
			p.err = fmt.Errorf("its archive: %s", *result.Failed)
			return
		}
		select {
		case <-p.ctx.Done():
			p.err = p.ctx.Err()
			return
		case <-time.After(deployPause):
		}
	}
	p.err = errors.New("its archive: another deployment does not end")
}
