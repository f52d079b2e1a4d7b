// Command load measures a local network as its users see it: it starts replica
// processes, calls counters in many canisters over HTTP, and verifies every answer's
// certificate, but for one figure that samples. It runs on the same processors as the network that it measures.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"portico/gateway"
	"portico/gateway/fetch"
	"portico/lightclient"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/canistertest"
)

func main() {
	cfg := config{}
	flag.StringVar(&cfg.program, "program", "bin/portico", "the program")
	flag.IntVar(&cfg.nodes, "nodes", 4, "replicas")
	flag.IntVar(&cfg.sandboxes, "sandboxes", 0, "processes in which each replica runs canisters")
	flag.IntVar(&cfg.canisters, "canisters", 100, "counters that calls are spread over")
	flag.IntVar(&cfg.clients, "clients", 192, "calls in flight when throughput is measured")
	flag.BoolVar(&cfg.noisy, "noisy", false, "measure updates beside noisy canisters and nothing else")
	flag.StringVar(&cfg.way, "way", "", "beside those noisy canisters alone whose names contain this")
	flag.DurationVar(&cfg.each, "time", 10*time.Second, "how long to measure each figure")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute+20*cfg.each)
	defer cancel()
	if err := run(ctx, cfg); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

type config struct {
	program                              string
	nodes, sandboxes, canisters, clients int
	noisy                                bool
	way                                  string
	each                                 time.Duration
}

// network is a running network.
type network struct {
	cmd     *exec.Cmd
	dir     string
	apis    []string // base URLs of the replicas
	metrics []string // and of their metrics
	client  *lightclient.Client
	http    http.Client // of sampled
	ids     []principal.ID
}

func run(ctx context.Context, cfg config) (err error) {
	n, err := start(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	fmt.Printf("%d replicas\n", cfg.nodes)
	if err := n.idle(ctx, cfg.each); err != nil {
		return err
	}
	if err := n.install(ctx, cfg.canisters); err != nil {
		return err
	}
	if cfg.noisy {
		return errors.Join(n.load(ctx, "one update at a time", 1, cfg.each, n.update), n.beside(ctx, cfg.way, cfg.each))
	}
	for _, m := range []struct {
		name    string
		clients int
		request func(context.Context, int) error
	}{
		{"one update at a time", 1, n.update},
		{"updates", cfg.clients, n.update},
		{"queries, each verified", 16, n.query},
		{fmt.Sprintf("queries, one in %d verified", verifiedOf), 32, n.sampled},
	} {
		if err := n.load(ctx, m.name, m.clients, cfg.each, m.request); err != nil {
			return err
		}
	}
	return n.beside(ctx, cfg.way, cfg.each)
}

var (
	nodeLine = regexp.MustCompile(`API (http://\S+).*status (http://\S+?)/?$`)
	endLine  = regexp.MustCompile(`^Press Ctrl-C`)
)

// start starts a network on a folder of its own and waits until it answers.
func start(ctx context.Context, cfg config) (*network, error) {
	dir, err := os.MkdirTemp("", "portico-load-")
	if err != nil {
		return nil, err
	}
	n := &network{dir: dir, http: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	n.cmd = exec.CommandContext(ctx, cfg.program, "up", "--nodes", strconv.Itoa(cfg.nodes), "--sandboxes", strconv.Itoa(cfg.sandboxes), "--state-dir", dir, "--gateway-port", "0")
	n.cmd.Stderr = os.Stderr
	out, err := n.cmd.StdoutPipe()
	if err == nil {
		err = n.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !endLine.MatchString(lines.Text()) {
		if m := nodeLine.FindStringSubmatch(lines.Text()); m != nil {
			n.apis, n.metrics = append(n.apis, m[1]), append(n.metrics, m[2]+"/metrics")
		}
	}
	if len(n.apis) != cfg.nodes {
		return nil, errors.Join(fmt.Errorf("%d of %d replicas were announced", len(n.apis), cfg.nodes), n.stop())
	}
	go func() {
		for lines.Scan() { // what it says later is not of interest, but must not block it
		}
	}()
	pool, err := fetch.NewPool(n.apis)
	if err != nil {
		return nil, errors.Join(err, n.stop())
	}
	key, err := rootKey(ctx, pool)
	if err != nil {
		return nil, errors.Join(err, n.stop())
	}
	n.client = lightclient.New(gateway.ClientConfig(pool, key, nil))
	return n, nil
}

func (n *network) stop() error {
	err := n.cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, n.cmd.Wait(), os.RemoveAll(n.dir))
}

// install makes the counters.
func (n *network) install(ctx context.Context, canisters int) error {
	for range canisters {
		id, err := n.create(ctx, canistertest.Counter())
		if err != nil {
			return err
		}
		n.ids = append(n.ids, id)
	}
	return nil
}

// create makes a canister of a module.
func (n *network) create(ctx context.Context, module []byte) (id principal.ID, err error) {
	management := principal.ID{}
	arg, err := marshal.Encode(struct{}{})
	if err != nil {
		return id, err
	}
	reply, err := n.client.Call(ctx, lightclient.Message{
		Canister: management, Method: "provisional_create_canister_with_cycles", Arg: arg, Effective: principal.Canister(0),
	})
	if err != nil {
		return id, err
	}
	var created struct {
		ID principal.ID `candid:"canister_id"`
	}
	if err := marshal.Decode(reply, &created); err != nil {
		return id, err
	}
	arg, err = marshal.Encode(struct {
		Mode     canistertest.Mode `candid:"mode"`
		Canister principal.ID      `candid:"canister_id"`
		Module   []byte            `candid:"wasm_module"`
		Arg      []byte            `candid:"arg"`
	}{canistertest.Mode{Install: true}, created.ID, module, nil})
	if err != nil {
		return id, err
	}
	_, err = n.client.Call(ctx, lightclient.Message{Canister: management, Method: "install_code", Arg: arg, Effective: created.ID})
	return created.ID, err
}

func (n *network) update(ctx context.Context, i int) error {
	_, err := n.client.Call(ctx, lightclient.Message{Canister: n.ids[i%len(n.ids)], Method: "inc"})
	return err
}

func (n *network) query(ctx context.Context, i int) error {
	_, err := n.client.Query(ctx, lightclient.Message{Canister: n.ids[i%len(n.ids)], Method: "get"})
	return err
}

// verifiedOf is how many queries there are for each whose answer is verified.
const verifiedOf = 50

// sampled is a query that costs the client as little as can be, but for a sample.
func (n *network) sampled(ctx context.Context, i int) error {
	if i%verifiedOf == 0 {
		return n.query(ctx, i)
	}
	id := n.ids[i%len(n.ids)]
	e, err := envelope.Anonymous{}.Sign(envelope.Request{
		Kind: envelope.Query, Canister: id, Method: "get", IngressExpiry: uint64(time.Now().Add(time.Minute).UnixNano()),
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.apis[i%len(n.apis)]+"/api/v3/canister/"+id.String()+"/query", bytes.NewReader(e.Append(nil)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/cbor")
	resp, err := n.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("replied")) || !bytes.Contains(body, []byte("signatures")) {
		return fmt.Errorf("a query was answered %s: %q", resp.Status, body)
	}
	return nil
}
