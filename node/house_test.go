package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of this house that a compiler does not keep.

// repository is the root of the project, seen from this folder.
const repository = ".."

// sourceFile is a Go file that belongs to the project.
type sourceFile struct {
	path string // slash-separated, from the root
	pkg  string // folder, from the root
	test bool
	ast  *ast.File
}

func sources(t *testing.T) ([]sourceFile, *token.FileSet) {
	t.Helper()
	set := token.NewFileSet()
	var out []sourceFile
	err := filepath.WalkDir(repository, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == "node_modules" || base == "build" || base == "bin" || base == "testdata" || (strings.HasPrefix(base, ".") && base != "..") {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(repository, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		out = append(out, sourceFile{rel, filepath.ToSlash(filepath.Dir(rel)), strings.HasSuffix(rel, "_test.go"), f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, set
}

func TestTopFoldersAreTheFiveAndNothingElse(t *testing.T) {
	allowed := []string{
		"node", "gateway", "web", "lightclient", "identity",
		"go.mod", "go.sum", "package.json", "package-lock.json", "Makefile", "README.md", "LICENSE",
		"bin", "build", "node_modules", // never committed
	}
	entries, err := os.ReadDir(repository)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s stands at the top: the layout has five folders, see node/README.md", e.Name())
		}
	}
}

func TestEveryPackageIsDocumentedOnce(t *testing.T) {
	files, _ := sources(t)
	docs := map[string][]string{}
	for _, f := range files {
		if f.test || strings.HasSuffix(f.path, "_templ.go") {
			continue
		}
		where := docs[f.pkg]
		if f.ast.Doc != nil {
			where = append(where, f.path)
		}
		docs[f.pkg] = where
	}
	for pkg, where := range docs {
		if len(where) != 1 {
			t.Errorf("package %s has %d package comments, want one: %v", pkg, len(where), where)
		}
	}
}

// importRule forbids imports to the packages below a folder.
type importRule struct {
	below, except []string
	forbidden     []string
	why           string
}

var replicated = []string{"node/state", "node/execution", "node/wasm", "node/messaging", "node/consensus", "node/ingress", "node/registry", "node/artifact", "node/replica", "node/p2p"}

func importRules() []importRule {
	edges := []string{"node/state/heap", "node/state/store", "node/consensus/pool", "node/p2p/transport", "node/wasm/sandbox"}
	return []importRule{
		{
			below: []string{"lightclient"}, except: []string{"lightclient/candid/marshal", "lightclient/signature"},
			forbidden: []string{"net/http", "crypto/x509", "encoding/json", "encoding/gob", "reflect", "portico/node", "portico/gateway", "portico/web", "portico/identity"},
			why:       "the light client is downloaded by browsers: it is small and knows only the protocol",
		},
		{
			below: replicated, except: edges,
			forbidden: []string{"os", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "portico/node/live", "portico/node/api", "portico/gateway"},
			why:       "replicated code is a function of its inputs: every replica must compute the same",
		},
		{
			below: []string{"node/types", "node/loop"}, forbidden: []string{"portico/node/state", "portico/node/execution", "os", "net"},
			why: "plain data depends on nothing but the protocol",
		},
		{
			below: []string{"web/assets", "identity/canister", "identity/archive", "identity/stable", "identity/history", "node/canisters"}, except: []string{"node/canisters/test"},
			forbidden: []string{"net", "net/http", "portico/node/state", "portico/node/execution", "portico/node/wasm", "portico/node/live", "portico/gateway"},
			why:       "canisters are written with the cdk and would run on any Internet Computer",
		},
		{
			below: []string{"gateway", "identity", "web"}, except: []string{"web/assets", "web/e2e"},
			forbidden: []string{"portico/node/state", "portico/node/execution", "portico/node/wasm", "portico/node/live", "portico/node/api", "portico/node/consensus"},
			why:       "who serves people talks to replicas through the public interface, like anybody",
		},
	}
}

func under(pkg string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return pkg == f || strings.HasPrefix(pkg, f+"/") })
}

// command reports whether the file belongs to a program: those that drive tests or
// builds are held to the rules of nobody but themselves.
func command(f sourceFile) bool { return f.ast.Name.Name == "main" && f.pkg != "lightclient/wasm" }

func TestImportsFollowTheTable(t *testing.T) {
	files, set := sources(t)
	for _, f := range files {
		if f.test || command(f) {
			continue
		}
		for _, rule := range importRules() {
			if !under(f.pkg, rule.below) || under(f.pkg, rule.except) {
				continue
			}
			for _, imp := range f.ast.Imports {
				path, err := strconv.Unquote(imp.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if under(path, rule.forbidden) && !(path != "net" && strings.HasPrefix(path, "net/") && !slices.Contains(rule.forbidden, path)) && !under(path, []string{f.pkg}) {
					t.Errorf("%s imports %s: %s", set.Position(imp.Pos()), path, rule.why)
				}
			}
		}
	}
}

func TestReplicatedCodeIsDeterministic(t *testing.T) {
	files, set := sources(t)
	for _, f := range files {
		if f.test || !under(f.pkg, replicated) || under(f.pkg, []string{"node/state/heap", "node/state/store", "node/consensus/pool", "node/p2p/transport", "node/wasm/sandbox"}) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine in replicated code: use Parallel, whose results are merged in order", set.Position(n.Pos()))
			case *ast.SelectStmt:
				t.Errorf("%s: select in replicated code: which case runs differs between replicas", set.Position(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && (n.Sel.Name == "Now" || n.Sel.Name == "Since" || n.Sel.Name == "After") {
					t.Errorf("%s: time.%s in replicated code: the batch has the time", set.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

// maxLines is when a reader would rather find two files.
const maxLines = 600

func TestFilesAreShortAndSpeakOfTheProjectAlone(t *testing.T) {
	foreign := regexp.MustCompile(`(^|[^a-z])/(work|root|farm)/|https?://(proxy|registry|deb)\.`)
	err := filepath.WalkDir(repository, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == "node_modules" || base == "build" || base == "bin" || base == ".git" || base == ".portico" {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains([]string{".go", ".ts", ".mjs", ".md", ".templ", ".toml", ".json", ".html", ".css", ".mo", ".sh", ""}, filepath.Ext(name)) {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if m := foreign.Find(text); m != nil && filepath.Base(name) != "house_test.go" {
			t.Errorf("%s has %q: paths of one machine and hosts of registries do not belong here", name, m)
		}
		if n := strings.Count(string(text), "\n"); filepath.Ext(name) == ".go" && n > maxLines && !strings.HasSuffix(name, "_templ.go") && !strings.HasPrefix(string(text), "// Code generated") {
			t.Errorf("%s has %d lines: would a reader rather find two files?", name, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestREADMENamesOnlyTargetsThatExist(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(repository, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(readme), "\n"); n > 150 {
		t.Errorf("README.md has %d lines, at most 150", n)
	}
	named := regexp.MustCompile("(?m)(?:^|`)make ([a-z][a-z0-9-]*)").FindAllStringSubmatch(string(readme), -1)
	if len(named) == 0 {
		t.Fatal("README.md names no make target")
	}
	for _, m := range named {
		if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(makefile) {
			t.Errorf("README.md says make %s, but the Makefile has no such target", m[1])
		}
	}
	for _, m := range regexp.MustCompile("(?m)(?:^|`)bin/portico ([^`\n]+)").FindAllStringSubmatch(string(readme), -1) {
		checkFlags(t, strings.Fields(m[1]))
	}
}

// checkFlags checks that the flags of a command in the README exist.
func checkFlags(t *testing.T, words []string) {
	t.Helper()
	if words[0] != "up" && !strings.HasPrefix(words[0], "-") {
		return
	}
	flags := new(network).flags()
	for _, w := range words {
		name, _, _ := strings.Cut(strings.TrimLeft(w, "-"), "=")
		if strings.HasPrefix(w, "-") && flags.Lookup(name) == nil {
			t.Errorf("README.md uses the flag %s, which portico up does not have", w)
		}
	}
}
