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
	"strconv"
	"strings"
	"time"

	"portico/lightclient/certificate"
	"portico/node/api"
	"portico/node/config"
	"portico/node/crypto/bls"
	"portico/node/crypto/usersig"
	"portico/node/live"
	"portico/node/types"
)

// signatureCacheEntries bounds the signatures that a replica remembers as verified.
const signatureCacheEntries = 100_000

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

func runReplica(ctx context.Context, cfg config.Replica) error {
	log := slog.Default()
	k, err := readKeys(cfg.Dir)
	if err != nil {
		return fmt.Errorf("the replica's keys: %w", err)
	}
	topology, err := k.topology(cfg.SubnetType)
	if err != nil {
		return err
	}
	listener, err := listen(cfg.Listen)
	if err != nil {
		return err
	}
	r, err := live.Open(live.Config{
		Dir: cfg.Dir, Topology: topology, Subnet: k.executionSubnet(cfg.Provisional), NodeKey: k.node, SubnetKey: k.subnet,
		IdleRound: time.Duration(cfg.IdleRoundMillis) * time.Millisecond, Checkpoints: types.Height(cfg.CheckpointHeights), Log: log,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	auth := usersig.New(usersig.Config{
		Certificates: &certificate.Verifier{RootKey: k.rootKey(), BLS: bls.VerifyBLS},
		CacheEntries: signatureCacheEntries,
	})
	handler := api.New(api.Deps{Replica: r, Auth: auth, Signer: r, Now: func() types.Time { return types.TimeOf(time.Now()) }, Limits: api.DefaultLimits(), Log: log})
	server := api.NewServer(handler, log)
	ctx, cancel := context.WithCancelCause(ctx)
	served := make(chan error, 1)
	go func() { served <- serveUntil(ctx, cancel, server, listener) }()
	err = r.Run(ctx)
	cancel(err)
	return errors.Join(err, <-served, r.Close())
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

// listen opens an address, or takes over the socket that the parent opened as "fd:N".
func listen(address string) (net.Listener, error) {
	name, ok := strings.CutPrefix(address, "fd:")
	if !ok {
		return net.Listen("tcp", address)
	}
	fd, err := strconv.ParseUint(name, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: want fd: and a number", address)
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	return net.FileListener(f)
}
