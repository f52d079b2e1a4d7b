package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"portico/gateway/host"
	"portico/lightclient/principal"

	"github.com/BurntSushi/toml"
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
	nodes            int
	workerDir        string
	sampleDir        string
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

const (
	defaultStateDir    = ".portico"
	defaultGatewayPort = 8000
	defaultDomain      = "localhost"
	// interfaceVersion is the launcher contract that we know; a tool that speaks a
	// newer one may give flags that we must not stumble over.
	interfaceVersion = "1.1.0"
	startTimeout     = 60 * time.Second
	stopTimeout      = 8 * time.Second
)

func (n *network) flags() *flag.FlagSet {
	f := flag.NewFlagSet("portico up", flag.ContinueOnError)
	f.StringVar(&n.stateDir, "state-dir", defaultStateDir, "`directory` that keeps keys, blocks and state")
	f.StringVar(&n.bind, "bind", "127.0.0.1", "`address` that the gateway listens on")
	f.UintVar(&n.gatewayPort, "gateway-port", defaultGatewayPort, "the gateway's `port`; 0 picks a free one")
	f.StringVar(&n.statusDir, "status-dir", "", "`directory` that gets status.json once the network answers")
	f.Var(&n.domains, "domain", "`name` below which canisters are served; may be repeated (default localhost)")
	f.IntVar(&n.nodes, "nodes", 1, "number of replicas; so far only 1")
	f.StringVar(&n.workerDir, "worker-dir", "", "`directory` with the built service worker (default: next to the program, if it is there)")
	f.StringVar(&n.sampleDir, "sample", "", "`directory` of a built sample dapp to deploy once")
	f.BoolVar(&n.verbose, "verbose", false, "log what the replicas and the gateway do")
	f.StringVar(&n.interfaceVersion, "interface-version", interfaceVersion, "`version` of the launcher interface that the calling tool speaks")
	f.Var(&n.subnets, "subnet", "`kind` of a subnet that is wanted; all canisters live on one so far")
	f.BoolVar(&n.ii, "ii", false, "wants Internet Identity, which is not there yet")
	f.BoolVar(&n.nns, "nns", false, "wants the NNS canisters, which are not there yet")
	f.UintVar(&n.delayMillis, "artificial-delay-ms", 0, "`milliseconds` between rounds when nothing happens (default 500)")
	return f
}

func upCommand(ctx context.Context, args []string) error {
	n := &network{}
	flags := n.flags()
	if err := parse(flags, knownArgs(flags, args)); err != nil {
		return err
	}
	setLog(n.verbose)
	if n.nodes != 1 {
		return fmt.Errorf("--nodes %d: a network of several replicas is not there yet, only --nodes 1", n.nodes)
	}
	for _, missing := range []struct {
		wanted bool
		what   string
	}{{n.ii, "--ii: Internet Identity"}, {n.nns, "--nns: the NNS canisters"}} {
		if missing.wanted {
			fmt.Fprintf(os.Stderr, "portico: %s: not there yet, the network starts without\n", missing.what)
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
	gateway, err := net.Listen("tcp", net.JoinHostPort(n.bind, strconv.FormatUint(uint64(n.gatewayPort), 10)))
	if err != nil {
		return fmt.Errorf("the gateway's address: %w", err)
	}
	dir := filepath.Join(n.stateDir, "node-0")
	k, address, socket, err := n.prepare(dir)
	if err != nil {
		return errors.Join(err, gateway.Close())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	replica, err := n.startReplica(dir, socket)
	if err != nil {
		return errors.Join(err, gateway.Close())
	}
	exited := make(chan error, 1)
	go func() {
		err := replica.Wait()
		if ctx.Err() == nil {
			cancel(fmt.Errorf("the replica stopped by itself: %w", orExited(err)))
		}
		exited <- nil
	}()
	defer func() {
		cancel(nil)
		err = errors.Join(err, stop(replica, exited))
	}()
	if err := awaitReplica(ctx, "http://"+address); err != nil {
		return errors.Join(err, gateway.Close())
	}
	serving := make(chan error, 1)
	go func() {
		serving <- runGateway(ctx, gatewayConfig{
			listener: gateway, replicas: []string{"http://" + address}, rootKey: k.rootKey(), domains: n.domains,
			aliases: n.aliases(), workerDir: n.worker(),
		})
	}()
	if err := n.announce(ctx, gateway.Addr().(*net.TCPAddr), k); err != nil {
		cancel(err)
		return errors.Join(err, <-serving)
	}
	if err := <-serving; err != nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func orExited(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// prepare makes the replica's folder and its socket.
func (n *network) prepare(dir string) (k keys, address string, socket *os.File, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return k, "", nil, err
	}
	if k, err = openKeys(dir); err != nil {
		return k, "", nil, err
	}
	settings := map[string]any{"listen": "fd:3", "subnet_type": "application", "provisional": true}
	if n.delayMillis > 0 {
		settings["idle_round_ms"] = n.delayMillis
	}
	text, err := toml.Marshal(settings)
	if err != nil {
		return k, "", nil, err
	}
	if err := writeFile(filepath.Join(dir, replicaFile), text, 0o600); err != nil {
		return k, "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return k, "", nil, err
	}
	defer l.Close()
	socket, err = l.(*net.TCPListener).File()
	return k, l.Addr().String(), socket, err
}

// startReplica starts a replica as a process of its own, which ends with this one.
func (n *network) startReplica(dir string, socket *os.File) (*exec.Cmd, error) {
	defer socket.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "replica", "-config", filepath.Join(dir, replicaFile), "-verbose="+strconv.FormatBool(n.verbose))
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stderr = os.Stderr
	// its own group: an interrupt from the terminal reaches only us, and we stop it in order
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	return cmd, cmd.Start()
}

// stop ends a replica in order, or by force if it takes too long.
func stop(cmd *exec.Cmd, exited <-chan error) error {
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have exited already
	select {
	case err := <-exited:
		return err
	case <-time.After(stopTimeout):
		_ = cmd.Process.Kill()
		<-exited
		return errors.New("the replica did not stop in time and was killed; it will replay its last blocks")
	}
}

// awaitReplica waits until a replica answers.
func awaitReplica(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	// The socket is open from the start, so the request waits until the replica takes it.
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v2/status", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return fmt.Errorf("waiting for the replica: %w", cause)
		}
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close())
}

// aliases are the names that the calling tool writes into the status directory.
func (n *network) aliases() host.Aliases {
	if n.statusDir == "" {
		return nil
	}
	return &host.File{Path: filepath.Join(n.statusDir, "custom-domains.txt")}
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
func (n *network) announce(ctx context.Context, address *net.TCPAddr, k keys) error {
	url := "http://" + net.JoinHostPort(n.domains[0], strconv.Itoa(address.Port))
	fmt.Printf("The network answers at %s\n", url)
	if n.sampleDir != "" {
		s, err := deploySample(ctx, sample{
			dir: n.sampleDir, record: filepath.Join(n.stateDir, "sample.json"), gateway: "http://" + address.String(), rootKey: k.rootKey(),
		})
		if err != nil {
			return fmt.Errorf("the sample dapp: %w", err)
		}
		fmt.Printf("The sample dapp is at   http://%s\n", net.JoinHostPort(s.Frontend+"."+n.domains[0], strconv.Itoa(address.Port)))
	}
	fmt.Println("Press Ctrl-C to stop. State is kept in", n.stateDir)
	if n.statusDir == "" {
		return nil
	}
	line, err := json.Marshal(status{
		Version: "1", GatewayPort: address.Port, RootKey: hex.EncodeToString(k.rootKey()),
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
