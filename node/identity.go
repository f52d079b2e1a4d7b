package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"

	"portico/gateway"
	"portico/gateway/fetch"
	"portico/gateway/host"
	"portico/lightclient"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/envelope"
	"portico/lightclient/hashtree"
	"portico/lightclient/principal"
	"portico/node/registry"

	"github.com/fxamacker/cbor/v2"
)

// Internet Identity on a local network: one module in two canisters, with the ids that
// clients know it by. The first holds the identities and serves pages, the second only
// serves pages, which ask the first.
const (
	identityBackend = 7           // rdmx6-jaaaa-aaaaa-aaadq-cai
	identityPages   = 0x0210_0006 // uqzsh-gqaaa-aaaaq-qaada-cai
	// identityName is the name of the pages below the network's domain, as icp-cli has it.
	identityName = "id.ai"
	identityFile = "identity.wasm"
	archiveFile  = "identity-archive.wasm.gz"
	operatorFile = "operator.key"
	// identityCycles are what each canister begins with, 10^18: more than it can use up.
	identityCycles = 1_000_000_000_000_000_000
	// chunkBytes is the most that a call may bring of a module that is too long for one.
	chunkBytes = 1 << 20
)

// identity is Internet Identity as it is to be on a local network.
type identity struct {
	modules  *identityModules
	operator string // file with the key of who may upgrade it, made if it is not there
	gateway  string // base URL
	rootKey  []byte
	log      io.Writer // gets a line for each step
}

// identityModules is the code of Internet Identity, compressed.
type identityModules struct {
	identity []byte
	archive  []byte // nil if there is no file of it
	// archivePlace is where the archive's file is, or is not.
	archivePlace string
}

// findIdentity reads the modules: from a file, or, if that is "", from beside this program or
// the folder build beside its own. The archive's is beside the other one, or is not there.
func findIdentity(file string) (*identityModules, error) {
	if file != "" {
		return readModules(file)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(self)
	for _, place := range []string{filepath.Join(dir, identityFile), filepath.Join(dir, "..", "build", identityFile)} {
		modules, err := readModules(place)
		if !errors.Is(err, fs.ErrNotExist) {
			return modules, err
		}
	}
	return nil, fmt.Errorf("%s is neither beside %s nor in build: make it with \"make identity\", or say where it is with --ii-wasm", identityFile, self)
}

func readModules(file string) (*identityModules, error) {
	module, err := readModule(file)
	if err != nil {
		return nil, err
	}
	m := &identityModules{identity: module, archivePlace: filepath.Join(filepath.Dir(file), archiveFile)}
	if m.archive, err = os.ReadFile(m.archivePlace); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return m, nil
}

// readModule reads a module and compresses it.
func readModule(file string) ([]byte, error) {
	plain, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(plain)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// checkIdentity finds out whether a network may have canisters with these ids.
func checkIdentity(r *registry.Records, folder string) error {
	for _, index := range []uint64{identityBackend, identityPages} {
		if index < r.Subnet.FirstCanister || index > r.Subnet.LastCanister {
			return fmt.Errorf("--ii: the network in %s was made by an older version and cannot have a canister %s: "+
				"remove the folder to begin a new network, or give another with --state-dir", folder, principal.Canister(index))
		}
	}
	return nil
}

// identityAliases are the names of Internet Identity's pages.
func identityAliases(domains []string) host.Fixed {
	out := host.Fixed{}
	for _, d := range domains {
		out[identityName+"."+d] = principal.Canister(identityPages)
	}
	return out
}

// identityArg is the part of the install argument that a local network uses. A field that
// is left away stays as it was.
type identityArg struct {
	// Backend is the canister that the pages ask, left away where that is the canister itself.
	Backend      *principal.ID  `candid:"backend_canister_id"`
	Archive      *archiveConfig `candid:"archive_config"`
	CreationCost *uint64        `candid:"canister_creation_cycles_cost"` // what the archive begins with
}

// deploy installs Internet Identity if it is not there, and upgrades what has another
// module. Identities stay.
func (s identity) deploy(ctx context.Context) (err error) {
	key, err := operatorKey(s.operator)
	if err != nil {
		return err
	}
	pool, err := fetch.NewPool([]string{s.gateway})
	if err != nil {
		return err
	}
	defer pool.Close()
	cfg := gateway.ClientConfig(pool, s.rootKey, nil)
	cfg.Identity = envelope.Keyed{Signer: key}
	p := &identityDeployment{deployment{ctx: ctx, client: lightclient.New(cfg)}, s.log, cfg.Identity.Sender()}
	backend := principal.Canister(identityBackend)
	arg := &identityArg{}
	if s.modules.archive != nil {
		arg = archiveArg(s.modules.archive)
	}
	p.ensure(backend, s.modules.identity, arg)
	p.ensure(principal.Canister(identityPages), s.modules.identity, &identityArg{Backend: &backend})
	if s.modules.archive == nil {
		p.say("its archive is left as it is: there is no %s", s.modules.archivePlace)
		return p.err
	}
	p.ensureArchive(backend, s.modules, arg)
	return p.err
}

// identityDeployment is a deployment that tells what it does.
type identityDeployment struct {
	deployment
	log      io.Writer
	operator principal.ID
}

// say tells the next step, unless there is none after an error.
func (p *identityDeployment) say(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.log, "Internet Identity: "+format+"\n", args...)
	}
}

// operatorKey is the key of a network's operator, which is made where there is none.
func operatorKey(file string) (envelope.Signer, error) {
	seed, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		seed = make([]byte, ed25519.SeedSize)
		if _, err := rand.Read(seed); err != nil {
			return nil, err
		}
		err = writeFile(file, seed, 0o600)
	}
	if err != nil {
		return nil, err
	}
	key, err := envelope.NewEd25519(seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// ensure makes a canister with an id unless it is there, and installs a module unless
// it has that.
func (p *identityDeployment) ensure(id principal.ID, module []byte, arg *identityArg) {
	controllers, installed := p.canister(id)
	if p.err != nil {
		return
	}
	if controllers == nil {
		p.say("making canister %s", id)
		amount := big.NewInt(identityCycles)
		var created canisterRecord
		p.call(principal.ID{}, id, "provisional_create_canister_with_cycles", struct {
			ID     *principal.ID `candid:"specified_id"`
			Amount **big.Int     `candid:"amount"`
		}{&id, &amount}, &created)
	} else if !slices.Contains(controllers, p.operator) {
		p.err = fmt.Errorf("canister %s is controlled by others, not by the key that this network keeps to upgrade it: remove the network's folder to begin anew", id)
	}
	hash := sha256.Sum256(module)
	if p.err != nil || bytes.Equal(installed, hash[:]) {
		return
	}
	p.installChunks(id, module, arg, installed != nil)
}

type canisterRecord struct {
	ID principal.ID `candid:"canister_id"`
}

// canister reads who controls a canister and the hash of its module; nil if there is none.
func (p *deployment) canister(id principal.ID) (controllers []principal.ID, moduleHash []byte) {
	if p.err != nil {
		return nil, nil
	}
	about := func(what string) hashtree.Path { return hashtree.Path{[]byte("canister"), id.Bytes(), []byte(what)} }
	cert, err := p.client.ReadState(p.ctx, id, about("controllers"), about("module_hash"))
	if err != nil {
		p.err = fmt.Errorf("canister %s: %w", id, err)
		return nil, nil
	}
	encoded, status := hashtree.Lookup(cert.Tree, about("controllers")...)
	if status != hashtree.Found {
		return nil, nil
	}
	moduleHash, _ = hashtree.Lookup(cert.Tree, about("module_hash")...)
	var list [][]byte
	if err := cbor.Unmarshal(encoded, &list); err != nil {
		p.err = fmt.Errorf("controllers of canister %s: %w", id, err)
	}
	controllers = []principal.ID{}
	for _, b := range list {
		c, err := principal.FromBytes(b)
		p.err = errors.Join(p.err, err)
		controllers = append(controllers, c)
	}
	return controllers, moduleHash
}

type (
	installMode struct {
		Install bool             `candid:"install,variant"`
		Upgrade **upgradeOptions `candid:"upgrade,variant"`
	}
	upgradeOptions struct {
		SkipPreUpgrade *bool `candid:"skip_pre_upgrade"`
	}
	chunkHash struct {
		Hash []byte `candid:"hash"`
	}
)

// installChunks installs or upgrades a module that may be too long for one call.
func (p *identityDeployment) installChunks(id principal.ID, module []byte, arg *identityArg, upgrade bool) {
	if p.err != nil {
		return
	}
	encoded, err := marshal.Encode(arg)
	if err != nil {
		p.err = err
		return
	}
	management := principal.ID{}
	var chunks []chunkHash
	p.say("sending the code of canister %s, %.1f MB", id, float64(len(module))/1e6)
	p.call(management, id, "clear_chunk_store", canisterRecord{id})
	for chunk := range slices.Chunk(module, chunkBytes) {
		var stored chunkHash
		p.call(management, id, "upload_chunk", struct {
			ID    principal.ID `candid:"canister_id"`
			Chunk []byte       `candid:"chunk"`
		}{id, chunk}, &stored)
		chunks = append(chunks, stored)
	}
	mode, deed := installMode{Install: true}, "installing"
	if upgrade {
		var none *upgradeOptions
		mode, deed = installMode{Upgrade: &none}, "upgrading"
	}
	p.say("%s canister %s", deed, id)
	hash := sha256.Sum256(module)
	p.call(management, id, "install_chunked_code", struct {
		Mode   installMode  `candid:"mode"`
		ID     principal.ID `candid:"target_canister"`
		Chunks []chunkHash  `candid:"chunk_hashes_list"`
		Hash   []byte       `candid:"wasm_module_hash"`
		Arg    []byte       `candid:"arg"`
	}{mode, id, chunks, hash[:], encoded})
	p.call(management, id, "clear_chunk_store", canisterRecord{id})
}
