package candid

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// shared is a folder of test data that lies beside the repository.
func shared(t testing.TB, path string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no go.mod above the test: not in the repository")
		}
		dir = filepath.Dir(dir)
	}
	path = filepath.Join(filepath.Dir(dir), "shared", path)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the shared test data is absent: %v", err)
	}
	return path
}

// assertion is one line of Candid's own test data: an input that decodes or not
// at types, or two inputs that decode to the same values or not.
type assertion struct {
	left, right input
	op          string // "", "==", "!=" or "!:"
	types       []Type
	text        string
}

// input is a message, or values as text.
type input struct {
	isText bool
	data   string
}

func (in input) read(types []Type) ([]Value, error) {
	if in.isText {
		return ParseArgs(in.data, types...)
	}
	return Decode([]byte(in.data), types...)
}

func TestCandidsOwnTestData(t *testing.T) {
	for name, want := range map[string]int{
		"prim": 168, "construct": 164, "reference": 50, "overshoot": 10, "spacebomb": 17,
	} {
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(filepath.Join(shared(t, "testdata/candid"), name+".test.did"))
			if err != nil {
				t.Fatal(err)
			}
			assertions, err := parseSuite(string(source))
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range assertions {
				a.check(t)
			}
			if len(assertions) != want {
				t.Errorf("%d assertions were found, %d are expected", len(assertions), want)
			}
		})
	}
}

func (a assertion) check(t *testing.T) {
	t.Helper()
	left, err := a.left.read(a.types)
	if a.op == "!:" {
		if err == nil {
			t.Errorf("%s\nwas read as %s", a.text, ArgsText(left, a.types))
		}
		return
	}
	if err != nil {
		t.Errorf("%s\n%v", a.text, err)
		return
	}
	checkRoundTrip(t, a, left)
	if a.op == "" {
		return
	}
	right, err := a.right.read(a.types)
	if err != nil {
		t.Errorf("%s\nright side: %v", a.text, err)
		return
	}
	if equalAll(left, right) != (a.op == "==") {
		t.Errorf("%s\nleft side is %s, right side is %s", a.text, ArgsText(left, a.types), ArgsText(right, a.types))
	}
}

// checkRoundTrip encodes values that were read, and reads them again.
func checkRoundTrip(t *testing.T, a assertion, values []Value) {
	t.Helper()
	b, err := Encode(a.types, values)
	if err != nil {
		t.Errorf("%s\nencoding again: %v", a.text, err)
		return
	}
	again, err := Decode(b, a.types...)
	if err != nil || !equalAll(values, again) {
		t.Errorf("%s\nencoded again as %x, which reads as %s, %v", a.text, b, ArgsText(again, a.types), err)
	}
	text := ArgsText(values, a.types)
	if text == "(nan)" {
		return
	}
	again, err = ParseArgs(text, a.types...)
	if err != nil || !equalAll(values, again) {
		t.Errorf("%s\nas text %s, which reads as %s, %v", a.text, text, ArgsText(again, a.types), err)
	}
}

// parseSuite reads a file of type definitions and assertions.
func parseSuite(source string) ([]assertion, error) {
	p := newTypeParser(source)
	var defs Interface
	var all []assertion
	for p.err == nil && p.tok.kind != endToken {
		if p.isWord("type") {
			p.definition(&defs)
			continue
		}
		start := p.tok.at
		if !p.takeWord("assert") {
			p.unexpected("assert")
			break
		}
		var a assertion
		a.left = p.input()
		switch {
		case p.take("="):
			p.need("=")
			a.op = "=="
			a.right = p.input()
		case p.take("!"):
			if p.take("=") {
				a.op = "!="
				a.right = p.input()
			} else {
				a.op = "!:"
			}
		}
		p.need(":")
		for _, arg := range p.args() {
			a.types = append(a.types, arg.Type)
		}
		if p.tok.kind == textToken {
			p.advance()
		}
		a.text = p.src[start:p.tok.at]
		p.need(";")
		all = append(all, a)
	}
	p.checkNames()
	return all, p.err
}

func (p *typeParser) input() input {
	in := input{isText: !p.takeWord("blob"), data: p.tok.text}
	if p.tok.kind != textToken {
		p.unexpected("a text")
	}
	p.advance()
	return in
}

func TestSpaceBombsAreStoppedByTheLimitAndOvershootsByTheLength(t *testing.T) {
	for name, isWanted := range map[string]func(error) bool{
		"spacebomb": func(err error) bool { return errors.As(err, new(*LimitError)) },
		"overshoot": func(err error) bool { return errors.As(err, new(*MalformedError)) },
	} {
		source, err := os.ReadFile(filepath.Join(shared(t, "testdata/candid"), name+".test.did"))
		if err != nil {
			t.Fatal(err)
		}
		assertions, err := parseSuite(string(source))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range assertions {
			if _, err := a.left.read(a.types); !isWanted(err) {
				t.Errorf("%s\n%v", a.text, err)
			}
		}
	}
}

func TestAllPublishedInterfacesAreReadAndPrinted(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shared(t, "interfaces"), "*.did"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no interfaces: %v", err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, err := ParseDid(string(source))
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
			continue
		}
		printed := first.String()
		second, err := ParseDid(printed)
		if err != nil {
			t.Errorf("%s: printed and read again: %v", filepath.Base(file), err)
			continue
		}
		if again := second.String(); again != printed {
			t.Errorf("%s: printing is not stable", filepath.Base(file))
		}
		if !Subtype(first.Service, second.Service) || !Subtype(second.Service, first.Service) {
			t.Errorf("%s: the printed interface is another one", filepath.Base(file))
		}
	}
}

func TestImportsAreRefusedWithTheReason(t *testing.T) {
	_, err := ParseDid("// shared types\nimport \"types.did\";\nservice : {}")
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Line != 2 || syntax.Column != 1 {
		t.Errorf("got %v, want a *SyntaxError at line 2, column 1", err)
	}
}
