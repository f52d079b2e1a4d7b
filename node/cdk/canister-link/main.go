// Command canister-link builds the Go program in a folder as a canister module.
//
//	go run ./node/cdk/canister-link -did assets.did -o build/assets.wasm web/assets
package main

import (
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
	out := flag.String("o", "canister.wasm", "write the module to `file`")
	did := flag.String("did", "", "Candid interface `file`, which becomes the metadata candid:service")
	var sections []link.Section
	flag.Func("public", "`name=text` of a public metadata section; may be repeated", func(s string) error {
		name, text, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return fmt.Errorf("want name=text")
		}
		sections = append(sections, link.Section{Name: name, Content: []byte(text)})
		return nil
	})
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: canister-link [-o file] [-did file] [-public name=text] folder")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		return fmt.Errorf("want exactly one folder, got %d arguments", flag.NArg())
	}
	wasm, err := link.Build(flag.Arg(0), *did, sections...)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(*out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(*out, wasm, 0o644)
}
