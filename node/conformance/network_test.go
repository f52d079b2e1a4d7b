package conformance

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"portico/lightclient/certificate"
	"portico/lightclient/envelope"
	"portico/lightclient/principal"
	"portico/node/conformance/universal"
	"portico/node/crypto/bls"
)

// network is a network that "portico up" runs for the tests.
type network struct {
	url       string   // of whom requests are sent to
	replicas  []string // all that the program told
	rootKey   []byte
	effective principal.ID // some canister id that the subnet may host
	verifier  *certificate.Verifier
	http      *http.Client
	module    []byte // the universal canister
	shared    func(*check) *canister
}

const (
	startTimeout = 90 * time.Second
	stopTimeout  = 20 * time.Second
	callTimeout  = 100 * time.Second
	firstWait    = 20 * time.Millisecond
	maxWait      = 500 * time.Millisecond
)

// start starts a network that ends with the test.
func start(t *testing.T, cfg settings) *network {
	t.Helper()
	dir := t.TempDir()
	statusDir := filepath.Join(dir, "status")
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if deadline, ok := t.Deadline(); ok {
		// a test that runs into its time limit must not leave processes behind
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-5*time.Second))
	}
	args := []string{"up", "--nodes", strconv.Itoa(cfg.nodes), "--sandboxes", strconv.Itoa(cfg.sandboxes), "--state-dir", filepath.Join(dir, "state"), "--gateway-port", "0", "--status-dir", statusDir}
	cmd := exec.CommandContext(ctx, cfg.program, append(args, adminFlags(cfg.admins)...)...)
	var output lines
	cmd.Stdout, cmd.Stderr = &output, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = stopTimeout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		defer cancel()
		_ = cmd.Process.Signal(syscall.SIGINT) // it may have exited already
		select {
		case err := <-exited:
			if err != nil {
				t.Errorf("the network ended with %v", err)
			}
		case <-time.After(stopTimeout):
			_ = cmd.Process.Kill()
			t.Error("the network did not end in time")
		}
	})
	status := awaitStatus(t, filepath.Join(statusDir, "status.json"), exited)
	n := newNetwork(t, status)
	if apis := output.replicas(); len(apis) > 0 {
		// One replica for all: another one may not have executed yet what this one has
		// certified, and a query that follows a call would miss its effect.
		n.url, n.replicas = apis[0], apis
	}
	return n
}

// lines is what the program prints.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// replicas are the base URLs of the replicas' interfaces, as the program prints them.
func (l *lines) replicas() (urls []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range regexp.MustCompile(`API (http://\S+)`).FindAllStringSubmatch(l.text.String(), -1) {
		urls = append(urls, m[1])
	}
	return urls
}

// status is status.json.
type status struct {
	GatewayPort int    `json:"gateway_port"`
	RootKey     string `json:"root_key"`
	Effective   string `json:"default_effective_canister_id"`
}

func awaitStatus(t *testing.T, file string, exited <-chan error) (s status) {
	t.Helper()
	late := time.After(startTimeout)
	tick := time.NewTicker(firstWait)
	defer tick.Stop()
	for {
		if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &s) == nil {
			return s
		}
		select {
		case err := <-exited:
			t.Fatalf("the network ended while it started: %v", err)
		case <-late:
			t.Fatal("the network did not start in time")
		case <-tick.C:
		}
	}
}

func newNetwork(t *testing.T, s status) *network {
	t.Helper()
	rootKey, err := hex.DecodeString(s.RootKey)
	if err != nil {
		t.Fatal(err)
	}
	effective, err := principal.Parse(s.Effective)
	if err != nil {
		t.Fatal(err)
	}
	module, err := universal.Module()
	if err != nil {
		t.Fatal(err)
	}
	n := &network{
		url: fmt.Sprintf("http://127.0.0.1:%d", s.GatewayPort), rootKey: rootKey, effective: effective, module: module,
		verifier: &certificate.Verifier{RootKey: rootKey, BLS: bls.VerifyBLS},
		http:     &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: callTimeout},
	}
	var once sync.Once
	var common *canister
	n.shared = func(c *check) *canister {
		once.Do(func() { common = c.install() })
		if common == nil {
			c.Fatalf("the canister that checks share could not be installed")
		}
		return &canister{check: c, id: common.id, owner: common.owner}
	}
	return n
}

// Post sends a request to the network.
func (n *network) Post(ctx context.Context, path string, body []byte) (status int, reply []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/cbor")
	answer, err := n.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	reply, err = io.ReadAll(answer.Body)
	return answer.StatusCode, reply, err
}

// newUser is somebody new.
func newUser() envelope.Keyed {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	key, err := envelope.NewEd25519(private.Seed())
	if err != nil {
		panic(err)
	}
	return envelope.Keyed{Signer: key}
}

// userIdentity is the identity of a user with a key of their own.
type userIdentity = envelope.Keyed
