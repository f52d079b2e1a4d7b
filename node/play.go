package main

import (
	"errors"
	"flag"
	"os"

	"portico/node/sim/scenario"
)

// playCommand runs a scripted scenario of the simulator and prints its score.
func playCommand(args []string) error {
	flags := flag.NewFlagSet("portico play FILE", flag.ContinueOnError)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return usageError{err}
	case flags.NArg() != 1:
		return errors.New("portico play: give one file, for example node/sim/scenario/testdata/partition.txt")
	}
	f, err := os.Open(flags.Arg(0))
	if err != nil {
		return err
	}
	defer f.Close()
	return scenario.Play(f, os.Stdout)
}
