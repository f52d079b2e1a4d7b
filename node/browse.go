package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"portico/gateway"
	"portico/gateway/host"
	"portico/lightclient/bls"
	"portico/lightclient/principal"
	"portico/node/api"
)

// Where the Internet Computer answers, and the key by which commands believe what comes from
// there: its public key, as all agents have it built in.
const (
	mainnetURL     = "https://icp-api.io"
	mainnetRootKey = "308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100" +
		"814c0e6ec71fab583b08bd81373c255c3c371b2e84863c98a4f1e08b74235d14fb5d9c0cd546d9685f913a0c0b2cc534" +
		"1583bf4b4392e467db96d65b9bb4cb717112f8472e0d5a4d14505ffd7484b01291091c5f87b98883463f98091a0baaae"
)

// maxKeyFileBytes bounds what is read in search of a key: status.json with a key in it.
const maxKeyFileBytes = 64 << 10

// browser is what "portico browse" was asked for.
type browser struct {
	network   string
	replicas  string
	rootKey   string
	statusDir string
	port      uint
	aliases   list
	open      bool
}

func (b *browser) flags() *flag.FlagSet {
	f := flag.NewFlagSet("portico browse", flag.ContinueOnError)
	f.StringVar(&b.network, "network", "", "`URL` of the network: a replica or an API boundary node (default "+mainnetURL+")")
	f.StringVar(&b.replicas, "replicas", "", "`URLs` of several replicas instead, separated by commas")
	f.StringVar(&b.rootKey, "root-key", "", "the network's public key, as a `file` (DER, PEM or hex) or in hex (default: the Internet Computer's, built in)")
	f.StringVar(&b.statusDir, "status-dir", "", "`directory` with the status.json of a local network: its key and, without another address, its port")
	f.UintVar(&b.port, "port", 8090, "`port` to listen on, on this machine alone; 0 picks a free one")
	f.Var(&b.aliases, "alias", "`name=canister`: a name of your own for a canister, name.localhost; may be repeated")
	f.BoolVar(&b.open, "open", false, "open the start page in the system's browser")
	return f
}

func browseCommand(ctx context.Context, args []string) error {
	b := &browser{}
	if err := parse(b.flags(), args); err != nil {
		return err
	}
	return b.run(ctx, os.Stdout)
}

// run serves until the context ends. What people are to know goes to out.
func (b *browser) run(ctx context.Context, out io.Writer) error {
	key, urls, err := b.trust()
	if err != nil {
		return err
	}
	aliases, err := parseNames(b.aliases)
	if err != nil {
		return err
	}
	// Loopback only: whoever else could connect would have to trust this machine.
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.FormatUint(uint64(b.port), 10)))
	if err != nil {
		return fmt.Errorf("the gateway's address: %w", err)
	}
	log := refusals(out)
	h, err := gateway.New(gateway.Config{Domains: []string{defaultDomain}, Aliases: aliases, Replicas: urls, RootKey: key.der, Log: log})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	port := listener.Addr().(*net.TCPAddr).Port
	start := "http://" + net.JoinHostPort(defaultDomain, strconv.Itoa(port)) + "/"
	fmt.Fprintf(out, "Canisters are at   http://<canister>.%s:%d/\n", defaultDomain, port)
	for _, name := range slices.Sorted(maps.Keys(aliases)) {
		fmt.Fprintf(out, "                   http://%s:%d/ is %s\n", name, port, aliases[name])
	}
	fmt.Fprintf(out, "They come from     %s, which is not trusted\n", strings.Join(urls, ", "))
	fmt.Fprintf(out, "What is trusted    the root key %s\n                   with SHA-256 %x, and this machine's clock\n", key.origin, sha256.Sum256(key.der))
	fmt.Fprintln(out, "Press Ctrl-C to stop. Every refusal is told here:")
	if b.open {
		if err := openBrowser(ctx, start); err != nil {
			fmt.Fprintf(out, "no browser could be opened (%v): open %s yourself\n", err, start)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return serveUntil(ctx, cancel, api.NewServer(verifiedOnly(h), log), listener)
}

// trustedKey is the network's public key and where it came from, for people.
type trustedKey struct {
	der    []byte
	origin string
}

// trust finds the key to believe and the replicas to ask. The key is never asked for over
// the network: whoever answers could give any.
func (b *browser) trust() (key trustedKey, urls []string, err error) {
	if b.network != "" && b.replicas != "" {
		return key, nil, errors.New("--network and --replicas both say whom to ask: give one of them")
	}
	if b.rootKey != "" && b.statusDir != "" {
		return key, nil, errors.New("--root-key and --status-dir both give a key: give one of them")
	}
	for u := range strings.SplitSeq(b.network+b.replicas, ",") {
		if u = strings.TrimSpace(u); u != "" {
			urls = append(urls, u)
		}
	}
	switch {
	case b.statusDir != "":
		var local string
		if key, local, err = readStatus(b.statusDir); err != nil {
			return key, nil, err
		}
		if len(urls) == 0 {
			urls = []string{local}
		}
	case b.rootKey != "":
		if key, err = readRootKey(b.rootKey); err != nil {
			return key, nil, err
		}
	default:
		if i := indexLocal(urls); i >= 0 {
			return key, nil, fmt.Errorf("%s is a local network, whose key is not built in: give it with --root-key, or with --status-dir the folder of its status.json", urls[i])
		}
		if key.der, err = hex.DecodeString(mainnetRootKey); err != nil {
			panic(err) // a constant
		}
		key.origin = "of the Internet Computer, built in,"
	}
	if _, err := bls.FromDER(key.der); err != nil {
		return key, nil, fmt.Errorf("the root key %s: %w", key.origin, err)
	}
	if len(urls) == 0 {
		urls = []string{mainnetURL}
	}
	return key, urls, nil
}

// indexLocal finds the first URL that leads to this machine, or gives -1.
func indexLocal(urls []string) int {
	for i, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			continue // whoever connects to it says what is wrong
		}
		name := u.Hostname()
		if ip := net.ParseIP(name); name == defaultDomain || strings.HasSuffix(name, "."+defaultDomain) || ip != nil && ip.IsLoopback() {
			return i
		}
	}
	return -1
}

// readStatus reads the key and the address of a local network from the file that its launcher wrote.
func readStatus(dir string) (key trustedKey, url string, err error) {
	path := filepath.Join(dir, "status.json")
	text, err := readBounded(path)
	if err != nil {
		return key, "", err
	}
	var s status
	if err := json.Unmarshal(text, &s); err != nil {
		return key, "", fmt.Errorf("%s: %w", path, err)
	}
	if key.der, err = hex.DecodeString(s.RootKey); err != nil {
		return key, "", fmt.Errorf("%s: root_key: %w", path, err)
	}
	key.origin = "in " + path
	return key, "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.GatewayPort)), nil
}

// readRootKey reads a key that is given as hex or as a file of DER, PEM or hex.
func readRootKey(text string) (trustedKey, error) {
	if der, err := hex.DecodeString(text); err == nil {
		return trustedKey{der, "on the command line"}, nil
	}
	b, err := readBounded(text)
	if err != nil {
		return trustedKey{}, fmt.Errorf("--root-key is neither a key in hex nor a file: %w", err)
	}
	key := trustedKey{b, "in " + text}
	if block, _ := pem.Decode(b); block != nil {
		key.der = block.Bytes
	} else if der, err := hex.DecodeString(strings.TrimSpace(string(b))); err == nil {
		key.der = der
	}
	return key, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFileBytes+1))
	if err == nil && len(b) > maxKeyFileBytes {
		err = fmt.Errorf("%s is too long for a key", path)
	}
	return b, err
}

// parseNames reads aliases "name=canister": the person's own, never the network's.
func parseNames(items []string) (host.Fixed, error) {
	out := host.Fixed{}
	for _, item := range items {
		name, text, ok := strings.Cut(item, "=")
		if !ok || name == "" || strings.ContainsAny(name, "./:") {
			return nil, fmt.Errorf("--alias %s: want a plain name and a canister, such as shop=ryjl3-tyaaa-aaaaa-aaaba-cai", item)
		}
		id, err := principal.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("--alias %s: %w", item, err)
		}
		out[strings.ToLower(name)+"."+defaultDomain] = id
	}
	return out, nil
}

// verifiedOnly refuses the names by which a gateway gives answers that nobody verified.
func verifiedOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			name = r.Host
		}
		if name = strings.ToLower(strings.TrimSuffix(name, ".")); strings.HasSuffix("."+name, ".raw."+defaultDomain) {
			http.Error(w, "portico browse shows only what it verified; raw answers are not: leave \"raw\" out of the address", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// openBrowser opens an address in the system's browser.
func openBrowser(ctx context.Context, address string) error {
	switch runtime.GOOS {
	case "darwin":
		return exec.CommandContext(ctx, "open", address).Run()
	case "windows":
		return exec.CommandContext(ctx, "rundll32", "url.dll,FileProtocolHandler", address).Run()
	default:
		return exec.CommandContext(ctx, "xdg-open", address).Run()
	}
}
