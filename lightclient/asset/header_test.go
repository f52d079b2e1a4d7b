package asset

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portico/lightclient/hashtree"
)

func goodHeader() (value string, tree hashtree.Tree) {
	tree = &hashtree.Labeled{Label: []byte("http_expr"), Sub: hashtree.Leaf("x")}
	return CertificateHeaderValue([]byte("certificate"), tree, Exact("/a/")), tree
}

func TestCertificateHeaderRoundTrip(t *testing.T) {
	value, tree := goodHeader()
	c, err := ParseCertification(value)
	if err != nil {
		t.Fatal(err)
	}
	if string(c.Certificate) != "certificate" || c.Version != 2 || c.Tree.Hash() != tree.Hash() {
		t.Errorf("read %+v", c)
	}
	if diff := cmp.Diff([]string{"http_expr", "a", "", "<$>"}, c.ExprPath); diff != "" {
		t.Error(diff)
	}
	c, err = ParseCertification(BodyCertificateHeaderValue(nil, tree))
	if err != nil {
		t.Fatal(err)
	}
	if c.Version != 1 || c.ExprPath != nil {
		t.Errorf("version 1 read as %+v", c)
	}
}

func TestCertificateHeaderAllowsWhatStructuredHeadersAllow(t *testing.T) {
	value, _ := goodHeader()
	for name, s := range map[string]string{
		"no blanks":          strings.ReplaceAll(value, ", ", ","),
		"more blanks":        " " + strings.ReplaceAll(value, ", ", " \t,  ") + "\t",
		"unknown members":    value + `, flag, other="a, \"b;", third=4;p=";,"`,
		"parameters":         strings.Replace(value, "version=2", "version=2;q=1; r", 1),
		"missing padding":    strings.ReplaceAll(value, "=:", ":"),
		"order of members":   "version=2, " + strings.TrimSuffix(value, ", version=2"),
		"padding bits count": strings.Replace(value, "Y2VydGlmaWNhdGU=", "Y2VydGlmaWNhdGV=", 1),
	} {
		if name == "missing padding" { // "certificate=:", "tree=:" and "expr_path=:" lost their equals sign too
			s = strings.NewReplacer("certificate:", "certificate=:", "tree:", "tree=:", "expr_path:", "expr_path=:").Replace(s)
		}
		if c, err := ParseCertification(s); err != nil || string(c.Certificate) != "certificate" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCertificateHeaderRefusesWhatIsMalformed(t *testing.T) {
	value, tree := goodHeader()
	encoded := base64.StdEncoding.EncodeToString([]byte("certificate"))
	for name, bad := range map[string]string{
		"empty":             "",
		"no certificate":    strings.Replace(value, "certificate=", "other=", 1),
		"no tree":           strings.Replace(value, "tree=", "other=", 1),
		"certificate twice": value + ", certificate=:AAAA:",
		"no colons":         strings.Replace(value, ":"+encoded+":", encoded, 1),
		"not base64":        strings.Replace(value, encoded, "!"+encoded[1:], 1),
		"line break":        strings.Replace(value, encoded, encoded[:4]+"\n"+encoded[4:], 1),
		"too much padding":  strings.Replace(value, encoded, encoded+"==", 1),
		"version is text":   strings.Replace(value, "version=2", "version=two", 1),
		"version is huge":   strings.Replace(value, "version=2", "version=99999999999999999999", 1),
		"comma at the end":  value + ",",
		"no comma":          strings.Replace(value, ", version", " version", 1),
		"not a tree":        "certificate=:AAAA:, tree=:AAAA:",
		"not a path":        BodyCertificateHeaderValue(nil, tree) + ", version=2, expr_path=:gQE=:",
		"path and more":     BodyCertificateHeaderValue(nil, tree) + ", version=2, expr_path=:gAA=:",
		"unordered tree":    BodyCertificateHeaderValue(nil, &hashtree.Fork{Left: &hashtree.Labeled{Label: []byte("b"), Sub: hashtree.Leaf{}}, Right: &hashtree.Labeled{Label: []byte("a"), Sub: hashtree.Leaf{}}}),
		"too long":          value + ", x=" + strings.Repeat("1", maxHeaderBytes),
	} {
		if c, err := ParseCertification(bad); err == nil {
			t.Errorf("%s: accepted as %+v", name, c)
		}
	}
}

func FuzzParseCertification(f *testing.F) {
	value, tree := goodHeader()
	f.Add(value)
	f.Add(BodyCertificateHeaderValue([]byte("c"), tree))
	f.Add(`certificate=:AAAA:, tree=:gQA=:;a="b, c", x, version=1`)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCertification(s)
		if err != nil {
			return
		}
		if len(c.Certificate) > len(s) || len(c.ExprPath) > maxExprPathSegments {
			t.Fatalf("%q: more came out than went in", s)
		}
		again, err := ParseCertification(BodyCertificateHeaderValue(c.Certificate, c.Tree))
		if err != nil || string(again.Certificate) != string(c.Certificate) || again.Tree.Hash() != c.Tree.Hash() {
			t.Fatalf("%q: written again it reads as %+v, %v", s, again, err)
		}
	})
}
