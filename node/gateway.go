package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"

	"portico/gateway"
	"portico/gateway/host"
	"portico/node/api"
	"portico/node/config"
)

func gatewayCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("portico gateway", flag.ContinueOnError)
	path := flags.String("config", "gateway.toml", "the gateway's TOML `file`")
	assets := flags.String("worker-dir", "", "`directory` with the built service worker; without it the gateway verifies for browsers, too")
	verbose := flags.Bool("verbose", false, "log requests that failed")
	if err := parse(flags, args); err != nil {
		return err
	}
	setLog(*verbose)
	cfg, err := config.LoadGateway(*path)
	if err != nil {
		return err
	}
	rootKey, err := os.ReadFile(cfg.RootKeyFile)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return err
	}
	return runGateway(ctx, gatewayConfig{
		listener: listener, replicas: cfg.Replicas, rootKey: rootKey, domains: cfg.Domains,
		aliases: &host.File{Path: cfg.AliasFile}, workerDir: *assets,
	})
}

type gatewayConfig struct {
	listener  net.Listener
	replicas  []string // base URLs
	rootKey   []byte   // DER
	domains   []string
	aliases   host.Aliases
	workerDir string       // "" for none
	home      http.Handler // of the bare domains; nil for a plain page
}

// runGateway serves until the context ends.
func runGateway(ctx context.Context, cfg gatewayConfig) error {
	var worker fs.FS
	if cfg.workerDir != "" {
		worker = os.DirFS(cfg.workerDir)
	}
	handler, err := gateway.New(gateway.Config{
		Domains: cfg.domains, Aliases: cfg.aliases, Replicas: cfg.replicas, RootKey: cfg.rootKey, Worker: worker, Home: cfg.home, Log: slog.Default(),
	})
	if err != nil {
		return errors.Join(err, cfg.listener.Close())
	}
	server := api.NewServer(handler, slog.Default())
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return serveUntil(ctx, cancel, server, cfg.listener)
}
