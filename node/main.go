// Command portico runs an Internet Computer: a whole local network, or a single
// replica or gateway of one.
//
//	portico up          a local network; also without the word, as a launcher for other tools
//	portico replica     one replica, from its TOML file
//	portico gateway     one HTTP gateway, from its TOML file
//	portico assets      fills an asset canister from a directory: assets sync DIR
//	portico browse      a gateway on your own machine that verifies for you what it shows
//	portico play FILE   a scripted scenario of the simulator, and its score
//
// "portico COMMAND -h" lists a command's flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"portico/node/wasm"
	"portico/node/wasm/ic0"
	"portico/node/wasm/sandbox"
)

// usageError is a mistake in the command line; flag has said what it is.
type usageError struct{ error }

func main() {
	if sandbox.Called() {
		fmt.Fprintln(os.Stderr, "portico: sandbox:", sandbox.Serve(wasm.Imports(ic0.Functions())))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	var usage usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, &usage):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "portico:", err)
		os.Exit(1)
	}
}

// overview is what "portico help" says before the flags of up.
const overview = `portico up          a local network; also without the word
portico replica     one replica, from its TOML file
portico gateway     one HTTP gateway, from its TOML file
portico browse      a gateway on your own machine that verifies what it shows, for mainnet or another network
portico assets      fills an asset canister from a directory: assets sync DIR
portico play FILE   a scripted scenario of the simulator
"portico COMMAND -h" lists a command's flags.

`

// setLog sends the log to standard error: warnings, or with verbose more.
func setLog(verbose bool) {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return upCommand(ctx, args)
	}
	switch command := args[0]; command {
	case "up":
		return upCommand(ctx, args[1:])
	case "replica":
		return replicaCommand(ctx, args[1:])
	case "gateway":
		return gatewayCommand(ctx, args[1:])
	case "assets":
		return assetsCommand(ctx, args[1:])
	case "browse":
		return browseCommand(ctx, args[1:])
	case "play":
		return playCommand(args[1:])
	case "help":
		fmt.Fprint(os.Stderr, overview)
		return upCommand(ctx, []string{"-h"})
	default:
		return fmt.Errorf("there is no command %q: try up, replica, gateway, assets, browse or play", command)
	}
}

// parse parses flags and refuses arguments that are none.
func parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return usageError{err}
	case flags.NArg() > 0:
		return fmt.Errorf("%s: unexpected argument %q", flags.Name(), flags.Arg(0))
	}
	return nil
}
