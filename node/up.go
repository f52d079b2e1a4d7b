package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"portico/gateway/host"
	"portico/lightclient/principal"
	"portico/node/config"
	"portico/node/registry"
	"portico/node/types"

	"golang.org/x/sync/errgroup"
)

// network is what "portico up" was asked for. Its flags are those that icp-cli
// starts a network launcher with, and a few of our own.
type network struct {
	interfaceVersion string
	stateDir         string
	bind             string
	gatewayPort      uint
	statusDir        string
	domains          list
	subnets          list
	ii, nns          bool
	delayMillis      uint
	verbose          bool
	nodes            uint
	admins           principals
	sandboxes        uint
	workerDir        string
	sampleDir        string
	identityFile     string
	identity         *identityModules // nil if Internet Identity is not wanted
	domainFile       string
	cacheMegabytes   uint
	accessLog        bool
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// principals is a flag that may be given several times.
type principals []principal.ID

func (p *principals) String() string { return fmt.Sprint([]principal.ID(*p)) }

func (p *principals) Set(s string) error {
	id, err := principal.Parse(s)
	if err == nil {
		*p = append(*p, id)
	}
	return err
}

const (
	defaultStateDir    = ".portico"
	defaultGatewayPort = 8000
	defaultDomain      = "localhost"
	// interfaceVersion is the launcher contract that we know; a tool that speaks a
	// newer one may give flags that we must not stumble over.
	interfaceVersion = "1.1.0"
	startTimeout     = 60 * time.Second
	defaultNodes     = 4
)

func (n *network) flags() *flag.FlagSet {
	f := flag.NewFlagSet("portico up", flag.ContinueOnError)
	f.StringVar(&n.stateDir, "state-dir", defaultStateDir, "`directory` that keeps keys, blocks and state")
	f.StringVar(&n.bind, "bind", "127.0.0.1", "`address` that the gateway listens on")
	f.UintVar(&n.gatewayPort, "gateway-port", defaultGatewayPort, "the gateway's `port`; 0 picks a free one")
	f.StringVar(&n.statusDir, "status-dir", "", "`directory` that gets status.json once the network answers")
	f.Var(&n.domains, "domain", "`name` below which canisters are served; may be repeated (default localhost)")
	f.UintVar(&n.nodes, "nodes", 0, "`number` of replicas of a new network (default 4); n of them survive that (n-1)/3 fail")
	f.Var(&n.admins, "subnet-admin", "`principal` that may make canisters for nothing on a new network, and list, stop and delete all; may be repeated")
	f.UintVar(&n.sandboxes, "sandboxes", 0, "`number` of processes in which each replica runs the code of canisters, apart from its secrets; 0 is its own")
	f.StringVar(&n.workerDir, "worker-dir", "", "`directory` with the built service worker (default: next to the program, if it is there)")
	f.StringVar(&n.sampleDir, "sample", "", "`directory` of a built sample dapp to deploy once")
	f.StringVar(&n.domainFile, "domain-file", "", "`file` with lines host:canister, names and custom domains of canisters; read again when it changes")
	f.BoolVar(&n.accessLog, "access-log", false, "write a line of JSON for each request to the gateway to standard error")
	f.UintVar(&n.cacheMegabytes, "gateway-cache", 0, "`MiB` of verified answers that the gateway keeps; 0 shows what was deployed at once")
	f.BoolVar(&n.verbose, "verbose", false, "log what the replicas and the gateway do")
	f.StringVar(&n.interfaceVersion, "interface-version", interfaceVersion, "`version` of the launcher interface that the calling tool speaks")
	f.Var(&n.subnets, "subnet", "`kind` of a subnet that is wanted; all canisters live on one so far")
	f.BoolVar(&n.ii, "ii", false, "install Internet Identity with its archive, or upgrade them; its pages are at id.ai.localhost")
	f.StringVar(&n.identityFile, "ii-wasm", "", "`file` with the module of Internet Identity (default identity.wasm beside this program or in ../build); beside it is the archive's")
	f.BoolVar(&n.nns, "nns", false, "wants the NNS canisters, which are not there yet")
	f.UintVar(&n.delayMillis, "artificial-delay-ms", 0, "`milliseconds` between the blocks of a new network when nothing happens (default 1000)")
	return f
}

func upCommand(ctx context.Context, args []string) error {
	n := &network{}
	flags := n.flags()
	if err := parse(flags, knownArgs(flags, args)); err != nil {
		return err
	}
	setLog(n.verbose)
	if n.nns {
		fmt.Fprintln(os.Stderr, "portico: --nns: the NNS canisters: not there yet, the network starts without")
	}
	if n.ii {
		var err error
		if n.identity, err = findIdentity(n.identityFile); err != nil {
			return fmt.Errorf("--ii: %w", err)
		}
	}
	return n.up(ctx)
}

// knownArgs drops flags that we do not know if the calling tool speaks a newer
// interface than we do.
func knownArgs(flags *flag.FlagSet, args []string) []string {
	if !newer(args) {
		return args
	}
	var out []string
	for _, a := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if !strings.HasPrefix(a, "-") || flags.Lookup(name) != nil {
			out = append(out, a)
		}
	}
	return out
}

func newer(args []string) bool {
	i := slices.IndexFunc(args, func(a string) bool { return strings.TrimLeft(a, "-") == "interface-version" })
	if i < 0 || i+1 == len(args) {
		return false
	}
	theirs, ours := strings.Split(args[i+1], "."), strings.Split(interfaceVersion, ".")
	for k := range min(len(theirs), len(ours)) {
		a, errA := strconv.Atoi(theirs[k])
		b, errB := strconv.Atoi(ours[k])
		if errA != nil || errB != nil || a != b {
			return errA == nil && errB == nil && a > b
		}
	}
	return false
}

// up runs the network until the context ends.
func (n *network) up(ctx context.Context) (err error) {
	if len(n.domains) == 0 {
		n.domains = list{defaultDomain}
	}
	if n.domainFile != "" {
		if err := (&host.File{Path: n.domainFile}).Check(); err != nil {
			return err
		}
	}
	gateway, err := net.Listen("tcp", net.JoinHostPort(n.bind, strconv.FormatUint(uint64(n.gatewayPort), 10)))
	if err != nil {
		return fmt.Errorf("the gateway's address: %w", err)
	}
	r, err := n.prepare()
	if err != nil {
		return errors.Join(err, gateway.Close())
	}
	defer func() { err = errors.Join(err, release(r.addresses)) }()
	ctx, cancel := context.WithCancelCause(ctx)
	var running errgroup.Group
	for i := range r.nodes {
		running.Go(func() error { return r.nodes[i].keep(ctx) })
	}
	defer func() {
		cancel(nil)
		err = errors.Join(err, running.Wait())
	}()
	if err := r.await(ctx); err != nil {
		return errors.Join(err, gateway.Close())
	}
	var urls []string
	for _, a := range r.addresses {
		urls = append(urls, "http://"+a.api.address)
	}
	home := n.dashboard(r)
	running.Go(func() error {
		home.Run(ctx)
		return nil
	})
	serving := make(chan error, 1)
	go func() {
		serving <- runGateway(ctx, gatewayConfig{
			listener: gateway, replicas: urls, rootKey: r.rootKey, domains: n.domains, aliases: n.aliases(), workerDir: n.worker(), home: home,
			operation: n.operation(),
		})
	}()
	if err := n.announce(ctx, gateway.Addr().(*net.TCPAddr), r); err != nil {
		cancel(err)
		return errors.Join(err, <-serving)
	}
	select {
	case err := <-serving:
		return err
	case err := <-r.lost:
		cancel(err)
		return errors.Join(err, <-serving)
	}
}

// replicas are the replicas of a network that runs.
type replicas struct {
	records   *registry.Records
	rootKey   []byte
	addresses []*addresses
	nodes     []*supervised
	ready     chan struct{} // closed when enough of them serve
	lost      chan error    // gets the error when too many do not start

	mu         sync.Mutex
	conditions []condition
}

// prepare makes the network's folder, or reads it.
func (n *network) prepare() (*replicas, error) {
	if err := os.MkdirAll(n.stateDir, 0o700); err != nil {
		return nil, err
	}
	idle := defaultIdleDelay
	if n.delayMillis > 0 {
		idle = time.Duration(n.delayMillis) * time.Millisecond
	}
	f := n.folder()
	records, all, err := f.open(wanted{int(n.nodes), idle, n.admins})
	if err != nil {
		return nil, err
	}
	key, err := rootKey(records)
	if err == nil && n.identity != nil {
		err = checkIdentity(records, f.path)
	}
	if err != nil {
		return nil, errors.Join(err, release(all))
	}
	r := &replicas{records: records, rootKey: key, addresses: all, ready: make(chan struct{}), lost: make(chan error, 1), conditions: make([]condition, len(all))}
	for i, node := range records.Nodes {
		if err := f.settings(i, records, all, n.sandboxes); err != nil {
			return nil, errors.Join(err, release(all))
		}
		r.nodes = append(r.nodes, &supervised{
			index: i, record: node, folder: f.node(i), at: all[i], verbose: n.verbose,
			say: func(line string) { fmt.Println(line) }, changed: r.changed,
		})
	}
	return r, nil
}

func (n *network) folder() folder { return folder{filepath.Join(n.stateDir, networkFolder)} }

// changed notes what one of the replicas is like.
func (r *replicas) changed(index int, c condition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conditions[index] = c
	served, lost := 0, 0
	for _, c := range r.conditions {
		switch c {
		case serving:
			served++
		case broken:
			lost++
		}
	}
	n := len(r.conditions)
	if served >= n-types.Faults(n) {
		select {
		case <-r.ready:
		default:
			close(r.ready)
		}
	}
	if lost > types.Faults(n) {
		select {
		case r.lost <- fmt.Errorf("%d of %d replicas do not start, and the network survives the loss of %d", lost, n, types.Faults(n)):
		default:
		}
	}
}

// await waits until as many replicas serve as the network needs.
func (r *replicas) await(ctx context.Context) error {
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-r.ready:
		return nil
	case err := <-r.lost:
		return err
	case <-ctx.Done():
		return nil
	case <-timeout.C:
		return fmt.Errorf("the network did not start within %s: try --verbose", startTimeout)
	}
}

// lines are one for each replica, for people.
func (r *replicas) lines(verbose bool) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for i, s := range r.nodes {
		state := "starts"
		if r.conditions[i] == serving {
			state = "runs"
		}
		fmt.Fprintf(&b, "  %s %-6s  API http://%s  peers %s  status http://%s/\n", s.name(), state, s.at.api.address, s.at.peers.address, s.at.metrics.address)
		if verbose {
			fmt.Fprintf(&b, "    id %s, folder %s, metrics http://%s/metrics\n", s.record.ID, s.folder, s.at.metrics.address)
		}
	}
	return b.String()
}

// aliases are the names that the calling tool writes into the status directory, and
// those of the file that the developer keeps.
func (n *network) aliases() host.Aliases {
	var all host.Chain
	if n.statusDir != "" {
		all = append(all, &host.File{Path: filepath.Join(n.statusDir, "custom-domains.txt"), Log: slog.Default()})
	}
	if n.domainFile != "" {
		all = append(all, &host.File{Path: n.domainFile, Log: slog.Default()})
	}
	if n.identity != nil {
		all = append(all, identityAliases(n.domains))
	}
	return all
}

// operation is how the gateway of a local network is run.
func (n *network) operation() operation {
	o := operation{limits: config.DefaultLimits(), cacheBytes: uint64(n.cacheMegabytes) << 20, staleFor: config.DefaultStaleSeconds * time.Second}
	if n.accessLog {
		o.accessLog = slog.New(slog.NewJSONHandler(os.Stderr, nil))
	}
	return o
}

// worker is the directory of the service worker, "" if there is none.
func (n *network) worker() string {
	if n.workerDir != "" {
		return n.workerDir
	}
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	dir := filepath.Join(filepath.Dir(self), "worker")
	if _, err := os.Stat(filepath.Join(dir, "sw.js")); err != nil {
		return ""
	}
	return dir
}

// status is what status.json tells tools: one line of JSON.
type status struct {
	Version           string   `json:"v"`
	GatewayPort       int      `json:"gateway_port"`
	RootKey           string   `json:"root_key"`
	EffectiveCanister string   `json:"default_effective_canister_id"`
	Features          []string `json:"supported_features"`
}

// announce tells people and tools that the network is there.
func (n *network) announce(ctx context.Context, address *net.TCPAddr, r *replicas) error {
	if ctx.Err() != nil {
		return nil
	}
	at := func(name string) string {
		return "http://" + net.JoinHostPort(name+n.domains[0], strconv.Itoa(address.Port))
	}
	fmt.Printf("The network answers at %s\n%s", at(""), r.lines(n.verbose))
	if n.identity != nil {
		i := identity{
			modules: n.identity, operator: filepath.Join(n.folder().path, operatorFile), gateway: "http://" + address.String(), rootKey: r.rootKey, log: os.Stdout,
		}
		if err := i.deploy(ctx); err != nil {
			return fmt.Errorf("installing Internet Identity: %w", err)
		}
		fmt.Printf("Internet Identity is at %s\n", at(identityName+"."))
	}
	if n.sampleDir != "" {
		s, err := deploySample(ctx, sample{
			dir: n.sampleDir, record: filepath.Join(n.folder().path, sampleFile), gateway: "http://" + address.String(), rootKey: r.rootKey,
			identity: identityName + "." + n.domains[0],
		})
		if err != nil {
			return fmt.Errorf("the sample dapp: %w", err)
		}
		fmt.Printf("The sample dapp is at   %s\n", at(s.Frontend+"."))
	}
	fmt.Println("Press Ctrl-C to stop. State is kept in", n.stateDir)
	if n.statusDir == "" {
		return nil
	}
	line, err := json.Marshal(status{
		Version: "1", GatewayPort: address.Port, RootKey: hex.EncodeToString(r.rootKey),
		EffectiveCanister: principal.Canister(firstCanister).String(), Features: []string{"custom-domains"},
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.statusDir, 0o755); err != nil {
		return err
	}
	return writeFile(filepath.Join(n.statusDir, "status.json"), append(line, '\n'), 0o644)
}
