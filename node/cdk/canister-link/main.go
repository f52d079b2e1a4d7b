// Command canister-link builds the Go program in a folder as a canister module.
//
//	go run ./node/cdk/canister-link -did assets.did -o build/assets.wasm web/assets
package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"portico/node/cdk/link"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "canister-link:", err)
		os.Exit(1)
	}
}

func run() error {
	out := flag.String("o", "canister.wasm", "write the module to `file`, compressed if its name ends in .gz")
	did := flag.String("did", "", "Candid interface `file`, which becomes the metadata candid:service")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: canister-link [-o file] [-did file] folder")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		return fmt.Errorf("want exactly one folder, got %d arguments", flag.NArg())
	}
	wasm, err := link.Build(flag.Arg(0), *did)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(*out), 0o755); err != nil {
		return err
	}
	if strings.HasSuffix(*out, ".gz") {
		var packed bytes.Buffer
		w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := w.Write(wasm); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		wasm = packed.Bytes()
	}
	return os.WriteFile(*out, wasm, 0o644)
}
