package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"os"
	"path"
	"path/filepath"
	"strings"

	"portico/gateway"
	"portico/gateway/fetch"
	"portico/lightclient"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
)

// sample is a dapp to deploy once: a folder with backend.wasm, assets.wasm.gz and site/.
type sample struct {
	dir     string
	record  string // file that remembers what was deployed
	gateway string // base URL
	rootKey []byte
	// identity is the host of Internet Identity, which may be there or not.
	identity string
}

// deployed says which canisters a sample lives in.
type deployed struct {
	Frontend string `json:"frontend"`
	Backend  string `json:"backend"`
}

// deploySample deploys the dapp unless it was deployed before.
func deploySample(ctx context.Context, s sample) (d deployed, err error) {
	record, err := os.ReadFile(s.record)
	if err == nil {
		return d, json.Unmarshal(record, &d)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	pool, err := fetch.NewPool([]string{s.gateway})
	if err != nil {
		return d, err
	}
	defer pool.Close()
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		return d, err
	}
	key, err := envelope.NewEd25519(seed)
	if err != nil {
		return d, err
	}
	cfg := gateway.ClientConfig(pool, s.rootKey, nil)
	cfg.Identity = envelope.Keyed{Signer: key}
	p := &deployment{ctx: ctx, client: lightclient.New(cfg)}
	backend := p.install(filepath.Join(s.dir, "backend.wasm"))
	frontend := p.install(filepath.Join(s.dir, "assets.wasm.gz"))
	d = deployed{Frontend: frontend.String(), Backend: backend.String()}
	p.upload(frontend, os.DirFS(filepath.Join(s.dir, "site")), map[string]string{
		"backend": d.Backend, "rootKey": hex.EncodeToString(s.rootKey), "identity": s.identity,
	})
	if p.err != nil {
		return d, p.err
	}
	text, err := json.Marshal(d)
	if err != nil {
		return d, err
	}
	return d, writeFile(s.record, append(text, '\n'), 0o644)
}

// deployment makes calls one after the other; after an error it makes no more.
type deployment struct {
	ctx    context.Context
	client *lightclient.Client
	err    error
}

// call calls a method with one argument and decodes its results.
func (p *deployment) call(canister, effective principal.ID, method string, arg any, results ...any) {
	if p.err != nil {
		return
	}
	encoded, err := marshal.Encode(arg)
	if err != nil {
		p.err = err
		return
	}
	reply, err := p.client.Call(p.ctx, lightclient.Message{Canister: canister, Method: method, Arg: encoded, Effective: effective})
	if err == nil {
		err = marshal.Decode(reply, results...)
	}
	if err != nil {
		p.err = fmt.Errorf("%s: %w", method, err)
	}
}

// install makes a canister and installs a module from a file into it.
func (p *deployment) install(file string) principal.ID {
	var created struct {
		ID principal.ID `candid:"canister_id"`
	}
	management, any := principal.ID{}, principal.Canister(firstCanister)
	p.call(management, any, "provisional_create_canister_with_cycles", struct{}{}, &created)
	if p.err != nil {
		return created.ID
	}
	module, err := os.ReadFile(file)
	if err != nil {
		p.err = err
		return created.ID
	}
	type mode struct {
		Install   bool `candid:"install,variant"`
		Reinstall bool `candid:"reinstall,variant"`
	}
	p.call(management, created.ID, "install_code", struct {
		Mode     mode         `candid:"mode"`
		Canister principal.ID `candid:"canister_id"`
		Module   []byte       `candid:"wasm_module"`
		Arg      []byte       `candid:"arg"`
	}{mode{Install: true}, created.ID, module, []byte("DIDL\x00\x00")})
	return created.ID
}

// upload stores the files of a site, and env.json, in an asset canister.
func (p *deployment) upload(canister principal.ID, site fs.FS, env map[string]string) {
	text, err := json.Marshal(env)
	if err != nil {
		p.err = err
	}
	p.store(canister, "/env.json", text)
	err = fs.WalkDir(site, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(site, name)
		if err != nil {
			return err
		}
		p.store(canister, "/"+name, content)
		return p.err
	})
	if p.err == nil {
		p.err = err
	}
}

// store stores an asset; a key that ends in .gz stands for the gzip encoding of the
// asset without that ending.
func (p *deployment) store(canister principal.ID, key string, content []byte) {
	encoding := "identity"
	if plain, ok := strings.CutSuffix(key, ".gz"); ok {
		key, encoding = plain, "gzip"
	}
	kind, _, _ := strings.Cut(mime.TypeByExtension(path.Ext(key)), ";")
	if kind == "" {
		kind = "application/octet-stream"
	}
	p.call(canister, principal.ID{}, "store", struct {
		Key      string  `candid:"key"`
		Type     string  `candid:"content_type"`
		Encoding string  `candid:"content_encoding"`
		Content  []byte  `candid:"content"`
		SHA256   *[]byte `candid:"sha256"`
	}{key, kind, encoding, content, nil})
}
