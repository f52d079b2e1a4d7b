package host

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"portico/lightclient/principal"
)

const registry = "rwlgt-iiaaa-aaaaa-aaaaa-cai"

func TestHostsNameCanisters(t *testing.T) {
	r := &Resolver{Domains: []string{"localhost", "portico.test"}, Aliases: Fixed{"shop.local.localhost": principal.MustParse(registry)}}
	id := principal.MustParse(registry)
	named := func(host string) Target { return Target{Host: host, Named: true, Canister: id} }
	raw := named("rwlgt-iiaaa-aaaaa-aaaaa-cai.raw.localhost")
	raw.Raw = true
	alias := named("shop.local.localhost")
	alias.Alias = true
	onBare := func(host string) Target { t := named(host); t.Bare = true; return t }
	for _, c := range []struct {
		host, url, referer string
		want               Target
	}{
		{host: registry + ".localhost:8000", want: named(registry + ".localhost")},
		{host: "RWLGT-iiaaa-aaaaa-aaaaa-cai.LOCALHOST.", want: named(registry + ".localhost")},
		{host: registry + ".portico.test", want: named(registry + ".portico.test")},
		{host: "main--" + registry + ".localhost", want: named("main--" + registry + ".localhost")},
		{host: "a--b--" + registry + ".localhost", want: named("a--b--" + registry + ".localhost")},
		{host: registry + ".raw.localhost", want: raw},
		{host: "shop.local.localhost:80", want: alias},
		{host: "localhost", want: Target{Host: "localhost", Bare: true}},
		{host: "127.0.0.1:8000", want: Target{Host: "127.0.0.1", Bare: true}},
		{host: "[::1]:8000", want: Target{Host: "::1", Bare: true}},
		{host: "raw.localhost", want: Target{Host: "raw.localhost", Bare: true, Raw: true}},
		{host: "127.0.0.1", url: "/x?canisterId=" + registry, want: onBare("127.0.0.1")},
		{host: "localhost:1", url: "/x.js", referer: "http://localhost:1/?canisterId=" + registry, want: onBare("localhost")},
		{host: "localhost", url: "/x.js", referer: "http://evil.test/?canisterId=" + registry, want: Target{Host: "localhost", Bare: true}},
		// the host goes before the parameter
		{host: registry + ".localhost", url: "/?canisterId=aaaaa-aa", want: named(registry + ".localhost")},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Resolve(c.host, u, c.referer)
		if err != nil || got != c.want {
			t.Errorf("%s %s (from %q): %+v, %v; want %+v", c.host, c.url, c.referer, got, err, c.want)
		}
	}
}

func TestOtherHostsAreRefused(t *testing.T) {
	r := &Resolver{Domains: []string{"localhost"}}
	for host, unknown := range map[string]bool{
		"example.org":                       true,
		"notlocalhost":                      true,
		"a." + registry + ".localhost":      true,
		"a." + registry + ".raw.localhost":  true,
		registry + ".raw.raw.localhost":     true,
		"":                                  true,
		"shop.localhost":                    false,
		"rwlgt-iiaaa-aaaaa-aaaaa.localhost": false,
		"x--.localhost":                     false,
	} {
		_, err := r.Resolve(host, &url.URL{}, "")
		var domain *UnknownDomain
		var name *NotACanister
		if unknown && !errors.As(err, &domain) || !unknown && !errors.As(err, &name) {
			t.Errorf("%q: %v", host, err)
		}
	}
	if _, err := r.Resolve("localhost", &url.URL{RawQuery: "canisterId=nonsense"}, ""); err == nil {
		t.Error("a malformed canisterId was accepted")
	}
}

func TestAliasesFollowTheirFileAtOnce(t *testing.T) {
	f := &File{Path: filepath.Join(t.TempDir(), "custom-domains.txt")}
	expect := func(host string, want bool) {
		t.Helper()
		if _, got := f.Lookup(host); got != want {
			t.Errorf("%s known: %v, want %v", host, got, want)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(f.Path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect("a.localhost", false)
	// The file system's clock may stand still between two versions of one size.
	now := time.Now()
	version := func(text string) {
		write(text)
		if err := os.Chtimes(f.Path, now, now); err != nil {
			t.Fatal(err)
		}
	}
	version("a.localhost:" + registry + "\n")
	expect("a.localhost", true)
	version("b.localhost:" + registry + "\n")
	expect("a.localhost", false)
	expect("b.localhost", true)
	write("") // the moment between truncating and writing
	expect("b.localhost", true)
	write("b.localhost:rwlgt") // a torn write
	expect("b.localhost", true)
	write("# none\n")
	expect("b.localhost", false)
	if err := os.Remove(f.Path); err != nil {
		t.Fatal(err)
	}
	expect("b.localhost", false)
}

func TestAliasErrorsGiveTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"a.localhost:" + registry + "\nnonsense\n": `line 2: "nonsense" is not of the form host:canister`,
		":" + registry + "\n":                      `line 1: ":` + registry + `" is not of the form host:canister`,
	} {
		if _, err := ParseAliases(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzParseAliases(f *testing.F) {
	f.Add("a.localhost:" + registry + "\n")
	f.Add("# x\n\n:")
	f.Fuzz(func(t *testing.T, text string) {
		aliases, err := ParseAliases(text)
		if err != nil {
			return
		}
		for host, id := range aliases {
			again, err := ParseAliases(host + ":" + id.String() + "\n")
			if got, ok := again.Lookup(host); err != nil || !ok || got != id {
				t.Fatalf("%q does not read back: %v", host, err)
			}
		}
	})
}
