package host

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
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

func TestWhatIsNoHostIsRefusedAsSuch(t *testing.T) {
	r := &Resolver{Domains: []string{"localhost"}, Aliases: Fixed{"localhost": principal.MustParse(registry)}}
	for _, host := range []string{
		"", ".", "..", "localhost..", "a..localhost", ".localhost", "loc alhost", "localhost:abc", "localhost:99999", "localhost:80:80",
		"user@localhost", "user:pw@localhost", "localhost/x", "localhost?x", "localhost#x", "localhost%00", "local\x00host", "local\nhost",
		"b\u00fccher.localhost", "\u2488.localhost", "[::1", "::1]", "[::1]x", "[localhost]", "[::1%eth0]", "[1.2.3.4]",
		strings.Repeat("a", 64) + ".localhost", strings.Repeat("a.", 130) + "localhost",
	} {
		_, err := r.Resolve(host, &url.URL{}, "")
		var malformed *Malformed
		if !errors.As(err, &malformed) {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestHostsAreComparedInOneForm(t *testing.T) {
	for in, want := range map[string]string{
		"LocalHost:8000": "localhost", "localhost.": "localhost", "localhost.:80": "localhost", "localhost:": "localhost",
		"[::1]": "::1", "[::1]:80": "::1", "::1": "::1", "[0:0::1]:8": "::1", "127.0.0.1": "127.0.0.1",
		"xn--bcher-kva.example": "xn--bcher-kva.example", "a_b.example": "a_b.example",
		"0x7f.1": "0x7f.1", "127.1": "127.1", "2130706433": "2130706433", // other spellings of addresses are names, which nobody serves
	} {
		if got, err := Normalize(in); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestNoAliasTakesACanistersName(t *testing.T) {
	id, other := principal.MustParse(registry), principal.MustParse("ryjl3-tyaaa-aaaaa-aaaba-cai")
	r := &Resolver{Domains: []string{"localhost"}, Aliases: Fixed{registry + ".localhost": other, "shop.localhost": other}}
	for host, want := range map[string]principal.ID{registry + ".localhost": id, "shop.localhost": other} {
		if got, err := r.Resolve(host, &url.URL{}, ""); err != nil || got.Canister != want {
			t.Errorf("%s: %v, %v", host, got.Canister, err)
		}
	}
}

func TestTheDenylistFollowsItsFile(t *testing.T) {
	d := &Denylist{Path: filepath.Join(t.TempDir(), "denied.txt")}
	id := principal.MustParse(registry)
	if d.Denies(id) || d.Check() == nil {
		t.Error("a list that is absent denies, or passes for one that is there")
	}
	for _, step := range []struct {
		text string
		want bool
	}{
		{"# nothing yet\n", false}, {registry + "\n", true}, {"", true}, {"nonsense\n", true}, {"aaaaa-aa\n", false}, {" " + registry + "\n", true},
	} {
		if err := os.WriteFile(d.Path, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := d.Denies(id); got != step.want {
			t.Errorf("after %q: denied %v", step.text, got)
		}
	}
	if err := os.Remove(d.Path); err != nil {
		t.Fatal(err)
	}
	if !d.Denies(id) {
		t.Error("deleting the list served the canister again")
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

func FuzzNormalize(f *testing.F) {
	for _, h := range []string{"localhost:80", "[::1]:8", "a.b.", "x%00", "[a]:1"} {
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, host string) {
		once, err := Normalize(host)
		if err != nil {
			return
		}
		if again, err := Normalize(once); err != nil || again != once {
			t.Fatalf("%q became %q and then %q, %v", host, once, again, err)
		}
	})
}
