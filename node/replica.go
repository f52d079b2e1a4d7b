package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"portico/gateway/page"
	"portico/lightclient/principal"
	"portico/node/api"
	"portico/node/config"
	"portico/node/crypto/committee"
	"portico/node/live"
	"portico/node/registry"
)

// shutdownTimeout is how long requests in progress may take when a server stops.
const shutdownTimeout = 3 * time.Second

func replicaCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("portico replica", flag.ContinueOnError)
	path := flags.String("config", replicaFile, "the replica's TOML `file`")
	verbose := flags.Bool("verbose", false, "log what the replica does")
	if err := parse(flags, args); err != nil {
		return err
	}
	setLog(*verbose)
	cfg, err := config.LoadReplica(*path)
	if err != nil {
		return err
	}
	return runReplica(ctx, cfg)
}

// runReplica runs a replica until the context ends or it stops itself.
func runReplica(ctx context.Context, cfg config.Replica) error {
	log := slog.Default()
	records, err := readRegistry(cfg.RegistryFile)
	if err != nil {
		return err
	}
	if err := move(records, cfg.PeerAddresses); err != nil {
		return err
	}
	keys, err := readKeys(cfg.KeyFile)
	if err != nil {
		return err
	}
	peers, err := net.Listen("tcp", cfg.ListenPeers)
	if err != nil {
		return fmt.Errorf("listening for other replicas: %w", err)
	}
	r, err := live.Open(live.Config{Dir: cfg.Dir, Records: records, Keys: keys, Listener: peers, Sandboxes: cfg.Sandboxes, Log: log})
	if err != nil {
		return err
	}
	// Only now: whoever asks a replica that cannot answer yet is better refused.
	servers, err := listenAll(log, []served{{cfg.Listen, r.API()}, {cfg.Metrics, r.Pages(page.Style())}})
	if err != nil {
		return errors.Join(err, peers.Close(), r.Close())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, len(servers))
	for _, s := range servers {
		go func() { done <- serveUntil(ctx, cancel, s.server, s.listener) }()
	}
	errs := []error{r.Run(ctx)}
	cancel(errs[0])
	for range servers {
		errs = append(errs, <-done)
	}
	return errors.Join(append(errs, r.Close())...)
}

// move notes where replicas are that are not where their records say.
func move(records *registry.Records, to map[string]string) error {
	for text, address := range to {
		id, err := principal.Parse(text)
		if err != nil {
			return fmt.Errorf("peer_addresses: %q: %w", text, err)
		}
		node := records.Node(id)
		if node == nil {
			return fmt.Errorf("peer_addresses: the registry has no node %s", id)
		}
		node.Peers = address
	}
	return nil
}

func readKeys(path string) (*committee.Keys, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the replica's secrets: %w", err)
	}
	k, err := committee.DecodeKeys(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// served is a handler and the address that it is reached at, "" for none.
type served struct {
	address string
	handler http.Handler
}

type listening struct {
	server   *http.Server
	listener net.Listener
}

func listenAll(log *slog.Logger, all []served) ([]listening, error) {
	var out []listening
	for _, s := range all {
		if s.address == "" {
			continue
		}
		l, err := net.Listen("tcp", s.address)
		if err != nil {
			for _, o := range out {
				err = errors.Join(err, o.listener.Close())
			}
			return nil, err
		}
		out = append(out, listening{api.NewServer(s.handler, log), l})
	}
	return out, nil
}

// serveUntil runs a server until the context ends, and ends the context if it fails.
func serveUntil(ctx context.Context, cancel context.CancelCauseFunc, server *http.Server, listener net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		cancel(err)
		return err
	case <-ctx.Done():
	}
	stop, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer done()
	if err := server.Shutdown(stop); err != nil {
		err = server.Close()
		<-failed
		return err
	}
	<-failed
	return nil
}
