// Command render writes the pages of Internet Identity into a folder, as documents.
//
//	go run ./identity/page/render FILES FOLDER
//
// FILES is JSON that says where the files are served that the pages load:
//
//	{"style": "/assets/…", "icon": "/assets/…", "scripts": {"home": ["/assets/…", …], …}}
//
// where the first of each page's scripts is its own and the others are what that imports.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"portico/identity/page"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return errors.New("usage: render FILES FOLDER")
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	var files struct {
		Style   string              `json:"style"`
		Icon    string              `json:"icon"`
		Scripts map[string][]string `json:"scripts"`
	}
	if err := json.Unmarshal(text, &files); err != nil {
		return fmt.Errorf("%s: %w", os.Args[1], err)
	}
	for _, p := range page.Pages() {
		of := page.Files{Style: files.Style, Icon: files.Icon}
		if scripts := files.Scripts[p.Script]; p.Script != "" && len(scripts) == 0 {
			return fmt.Errorf("%s: there is no script %q", os.Args[1], p.Script)
		} else if p.Script != "" {
			of.Script, of.Modules = scripts[0], scripts[1:]
		}
		if err := write(p, of, filepath.Join(os.Args[2], name(p.Path))); err != nil {
			return fmt.Errorf("%s: %w", p.Path, err)
		}
	}
	return nil
}

// name is the file that the canister serves at a path.
func name(path string) string {
	if path == "/" {
		return "index.html"
	}
	return strings.TrimPrefix(path, "/") + ".html"
}

func write(p page.Page, of page.Files, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := p.Content(of).Render(context.Background(), f); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}
