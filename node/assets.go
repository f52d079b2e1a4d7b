package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"portico/gateway"
	"portico/gateway/fetch"
	"portico/lightclient"
	"portico/lightclient/cbor"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/web/sync"
)

// Environment variables that icp-cli sets for the script steps of an icp.yaml.
const (
	canisterVariable = "ICP_CLI_CID"
	networkVariable  = "ICP_CLI_NETWORK"
)

// mainnetName is icp-cli's name of the Internet Computer.
const mainnetName = "ic"

// maxSmallFile bounds files that are read whole, such as keys, in bytes.
const maxSmallFile = 1 << 20

type assetsFlags struct {
	canister, network, rootKey, identity string
	parallel                             int
	dryRun, propose, keep, quiet         bool
}

func assetsCommand(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] != "sync" {
		return errors.New("portico assets sync DIR makes an asset canister hold what is in a directory; -h lists its flags")
	}
	args = args[1:]
	var dir string
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		dir, args = args[0], args[1:]
	}
	var f assetsFlags
	flags := flag.NewFlagSet("portico assets sync DIR", flag.ContinueOnError)
	flags.StringVar(&f.canister, "canister", os.Getenv(canisterVariable), "`id` of the asset canister")
	flags.StringVar(&f.network, "network", cmp.Or(os.Getenv(networkVariable), "local"), "`URL` of a gateway or replica, ic, or the name of a network that icp-cli runs for this project")
	flags.StringVar(&f.rootKey, "root-key", "", "the network's public key: hexadecimal `DER` or a file of it; by default that of the network's name, or what a network on this machine says")
	flags.StringVar(&f.identity, "identity", "", "PEM `file` with the private key to sign with; - is standard input")
	flags.IntVar(&f.parallel, "parallel", 8, "`calls` under way at the same time")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only tell what would change")
	flags.BoolVar(&f.propose, "by-proposal", false, "propose the changes and print their evidence instead of committing them")
	flags.BoolVar(&f.keep, "no-delete", false, "keep assets that are not in the directory")
	flags.BoolVar(&f.quiet, "quiet", false, "print warnings and errors alone")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return usageError{err}
	case dir == "" && flags.NArg() == 1:
		dir = flags.Arg(0)
	case flags.NArg() > 0:
		return fmt.Errorf("portico assets sync: unexpected argument %q", flags.Arg(0))
	case dir == "":
		return errors.New("portico assets sync: say which directory")
	}
	return syncAssets(ctx, dir, f)
}

func syncAssets(ctx context.Context, dir string, f assetsFlags) error {
	if info, err := os.Stat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is no directory", dir)
	}
	if f.canister == "" {
		return fmt.Errorf("say which canister: --canister ID, or %s in the environment", canisterVariable)
	}
	id, err := principal.Parse(f.canister)
	if err != nil {
		return fmt.Errorf("--canister %s: %w", f.canister, err)
	}
	identity, err := readIdentity(f.identity)
	if err != nil {
		return err
	}
	target, err := findNetwork(ctx, f.network, f.rootKey)
	if err != nil {
		return fmt.Errorf("--network %s: %w", f.network, err)
	}
	pool, err := fetch.NewPool([]string{target.url})
	if err != nil {
		return err
	}
	defer pool.Close()
	cfg := gateway.ClientConfig(pool, target.rootKey, nil)
	cfg.Identity = identity
	p := &syncPrinter{out: os.Stderr, terminal: isTerminal(os.Stderr) && !f.quiet}
	memory, save := loadMemory()
	result, err := sync.Run(ctx, sync.Config{
		Canister: assetCanister{lightclient.New(cfg), id}, Files: os.DirFS(dir), Parallel: f.parallel, Memory: memory,
		DryRun: f.dryRun, Propose: f.propose, KeepOthers: f.keep, Warn: p.warn, Report: p.report,
	})
	p.clear()
	if failed := save(); failed != nil {
		p.warn("the next run will compress everything again: " + failed.Error())
	}
	if err != nil {
		return explain(err, id, identity.Sender())
	}
	if !f.quiet || f.propose {
		printSync(os.Stdout, result, f)
	}
	return nil
}

// loadMemory reads what the last runs knew of compressed contents, from the user's
// cache, and returns how to keep it. Without a cache nothing is known.
func loadMemory() (m *sync.Memory, save func() error) {
	version := "encodings"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/klauspost/compress" || d.Path == "github.com/andybalholm/brotli" {
				version += " " + d.Version
			}
		}
	}
	m = sync.NewMemory(version)
	dir, err := os.UserCacheDir()
	if err != nil {
		return m, func() error { return nil }
	}
	file := filepath.Join(dir, "portico", "encodings")
	if text, err := os.ReadFile(file); err == nil {
		_ = m.Read(bytes.NewReader(text)) // what cannot be read is found out anew
	}
	return m, func() error {
		if !m.Changed() {
			return nil
		}
		var text bytes.Buffer
		if _, err := m.WriteTo(&text); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return writeFile(file, text.Bytes(), 0o644)
	}
}

// explain adds what to do about an error.
func explain(err error, id, who principal.ID) error {
	var reject *lightclient.Reject
	if errors.As(err, &reject) && strings.Contains(reject.Message, "does not have") {
		return fmt.Errorf("%w\n%s may not change the assets of %s; a controller can allow it: grant_permission (record { to_principal = principal \"%s\"; permission = variant { Commit } })", err, who, id, who)
	}
	return err
}

func printSync(out io.Writer, r *sync.Result, f assetsFlags) {
	for _, c := range r.Changes {
		switch {
		case c.Bytes > 0:
			fmt.Fprintf(out, "%-8s %s (%s)\n", c.Kind, c.Key, byteCount(c.Bytes))
		default:
			fmt.Fprintf(out, "%-8s %s\n", c.Kind, c.Key)
		}
	}
	did := fmt.Sprintf("%d changed, %d as they were; %s in %d calls", len(r.Changes), r.Unchanged, byteCount(r.Bytes), r.Calls)
	switch {
	case f.dryRun:
		did = fmt.Sprintf("%d would change, %d are as they should be", len(r.Changes), r.Unchanged)
	case f.propose && r.Evidence != nil:
		did = fmt.Sprintf("proposed batch %d with evidence %x\n", r.Batch, r.Evidence) + did
	}
	fmt.Fprintln(out, did)
}

func byteCount(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	default:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
}

// assetCanister is a canister as package sync uses it, every answer verified.
type assetCanister struct {
	client *lightclient.Client
	id     principal.ID
}

func (c assetCanister) Call(ctx context.Context, method string, arg []byte) ([]byte, error) {
	return c.client.Call(ctx, lightclient.Message{Canister: c.id, Method: method, Arg: arg})
}

func (c assetCanister) Query(ctx context.Context, method string, arg []byte) ([]byte, error) {
	return c.client.Query(ctx, lightclient.Message{Canister: c.id, Method: method, Arg: arg})
}

func readIdentity(file string) (envelope.Identity, error) {
	var text []byte
	var err error
	switch file {
	case "":
		return envelope.Anonymous{}, nil
	case "-":
		text, err = io.ReadAll(io.LimitReader(os.Stdin, maxSmallFile))
	default:
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	id, err := sync.ParseIdentity(text)
	if err != nil {
		return nil, fmt.Errorf("--identity %s: %w", file, err)
	}
	return id, nil
}

// syncTarget is a network to talk to.
type syncTarget struct {
	url     string
	rootKey []byte // DER
}

// findNetwork turns what the user calls a network into an address and a key.
func findNetwork(ctx context.Context, name, key string) (syncTarget, error) {
	t := syncTarget{url: name}
	var err error
	switch {
	case name == mainnetName:
		t.url, key = mainnetURL, cmp.Or(key, mainnetRootKey)
	case !strings.Contains(name, "://"):
		var found string
		if t.url, found, err = projectNetwork(name); err != nil {
			return t, err
		}
		key = cmp.Or(key, found)
	}
	if t.url = strings.TrimSuffix(t.url, "/"); key != "" {
		trusted, err := readRootKey(key)
		t.rootKey = trusted.der
		return t, err
	}
	u, err := url.Parse(t.url)
	switch {
	case err != nil:
		return t, err
	case !onThisMachine(u.Hostname()):
		return t, errors.New("it is not on this machine, so say by which key it must answer: --root-key")
	}
	t.rootKey, err = statedRootKey(ctx, t.url)
	return t, err
}

// projectNetwork finds a network that icp-cli runs for the project around this directory.
func projectNetwork(name string) (address, rootKey string, err error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", "", err
	}
	file := filepath.Join(".icp", "cache", "networks", filepath.Base(name), "descriptor.json")
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, file))
		switch {
		case err == nil:
			var d struct {
				Gateway struct {
					Host string `json:"host"`
					Port uint16 `json:"port"`
				} `json:"gateway"`
				RootKey string `json:"root-key"`
			}
			if err := json.Unmarshal(text, &d); err != nil {
				return "", "", fmt.Errorf("%s: %w", file, err)
			}
			return fmt.Sprintf("http://%s:%d", cmp.Or(d.Gateway.Host, "localhost"), d.Gateway.Port), d.RootKey, nil
		case !errors.Is(err, os.ErrNotExist):
			return "", "", err
		case dir == filepath.Dir(dir):
			return "", "", fmt.Errorf("it is neither a URL nor %q, and no directory from here on up has %s", mainnetName, file)
		}
	}
}

// statedRootKey asks a network on this machine for its key, which is new whenever such
// a network is.
func statedRootKey(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/api/v2/status", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxSmallFile))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	status, err := cbor.Decode(body)
	if err != nil {
		return nil, fmt.Errorf("its status: %w", err)
	}
	if m, ok := status.(*cbor.Map); ok {
		if key, ok := m.Get("root_key").(cbor.Bytes); ok {
			return key, nil
		}
	}
	return nil, errors.New("its status does not tell the root key: --root-key")
}

func onThisMachine(name string) bool {
	ip := net.ParseIP(name)
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || ip != nil && ip.IsLoopback()
}

// syncPrinter shows warnings and, on a terminal, how far a synchronisation has come.
type syncPrinter struct {
	out      *os.File
	terminal bool
	last     atomic.Int64 // nanoseconds since 1970
}

// progressInterval is how often the line on a terminal changes.
const progressInterval = 100 * time.Millisecond

func (p *syncPrinter) warn(text string) { fmt.Fprintln(p.out, "warning:", text) }

func (p *syncPrinter) report(at sync.Progress) {
	last, now := p.last.Load(), time.Now().UnixNano()
	if !p.terminal || now-last < int64(progressInterval) || !p.last.CompareAndSwap(last, now) {
		return
	}
	fmt.Fprintf(p.out, "\r\x1b[K%d of %d files compared, %s of %s uploaded", at.Compared, at.Files, byteCount(at.Uploaded), byteCount(at.Bytes))
}

func (p *syncPrinter) clear() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
