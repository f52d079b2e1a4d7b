package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReplicaFilesWithMistakesAreRefusedWithWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		``: "listen is missing",
		"listen = \"127.0.0.1:1\"\nlissten = \"x\"": `unknown key "lissten"`,
		"listen = 3":     "incompatible types",
		"listen = \"a":   "c.toml",
		"listen = \"a\"": "listen_peers is missing",
	} {
		_, err := LoadReplica(write(t, text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	path := write(t, "listen = \"x:1\"\nreplicas = [\"http://y\"]\nroot_key_file = \"root.der\"\n")
	g, err := LoadGateway(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(filepath.Dir(path), "root.der"); g.RootKeyFile != want {
		t.Errorf("root key file %s, want %s", g.RootKeyFile, want)
	}
}

const smallest = "listen = \"127.0.0.1:1\"\nreplicas = [\"http://y\"]\nroot_key_file = \"k\"\n"

func TestGatewayFilesWithMistakesAreRefusedWithWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		``:               "listen is missing",
		"listen = \"x\"": "replicas is missing",
		"listen = \"127.0.0.1\"\nreplicas = [\"http://y\"]\nroot_key_file = \"k\"": `listen = "127.0.0.1" is no address with a port`,
		"listen = \"127.0.0.1:1\"\nreplicas = [\"y:80\"]\nroot_key_file = \"k\"":   `replicas has "y:80"`,
		"listen = \"127.0.0.1:1\"\nreplicas = [\"http://y\"]":                      "root_key_file is missing",
		smallest + "metrics = \"9000\"":                                            `metrics = "9000" is no address`,
		smallest + "max_domains = 5":                                               "need domain_file",
		smallest + "listen_plain = \":80\"":                                        "needs certificates or acme",
		smallest + "trusted_proxies = [\"10.0.0.1\"]":                              "trusted_proxies",
		smallest + "[[certificates]]\ncertificate_file = \"c\"":                    "the 1. needs both",
		smallest + "[acme]\ncache_dir = \"a\"":                                     "accept_terms = true",
		smallest + "[acme]\naccept_terms = true":                                   "cache_dir is missing",
		smallest + "[limits]\nin_flight = -1":                                      "in_flight = -1",
		smallest + "[limits]\nburst = 5":                                           "requests_per_second",
		smallest + "[limits]\nper_second = 5":                                      `unknown key "limits.per_second"`,
		smallest + "[limits]\nrequests_per_second = -0.5":                          "requests_per_second = -0.5",
	} {
		_, err := LoadGateway(write(t, text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func TestAGatewaysFileSaysAll(t *testing.T) {
	g, err := LoadGateway(write(t, smallest+`
domains = ["icp.example"]
domain_file = "domains.txt"
deny_file = "denied.txt"
metrics = "127.0.0.1:9000"
access_log = "-"
trusted_proxies = ["10.0.0.0/8", "::1/128"]
listen_plain = ":80"
certificates = [{ certificate_file = "c.pem", key_file = "/k.pem" }]
[acme]
accept_terms = true
cache_dir = "acme"
[limits]
requests_per_second = 2.5
in_flight = 0
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(g.TrustedProxies) != 2 || g.AccessLog != "-" || !filepath.IsAbs(g.DomainFile) || !filepath.IsAbs(g.ACME.CacheDir) ||
		!filepath.IsAbs(g.Certificates[0].CertificateFile) || g.Certificates[0].KeyFile != "/k.pem" || g.AliasFile != "" {
		t.Errorf("%+v", g)
	}
	if g.Limits.InFlight != 0 || g.Limits.Connections != DefaultLimits().Connections {
		t.Errorf("limits %+v", g.Limits)
	}
}

func TestTheREADMEsGatewayIsOne(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "gateway", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "```toml\n")
	text, _, ok := strings.Cut(text, "```")
	if !ok {
		t.Fatal("gateway/README.md has no example of a gateway's file")
	}
	g, err := LoadGateway(write(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if g.Limits != DefaultLimits() {
		t.Errorf("the limits in it are %+v, the defaults %+v", g.Limits, DefaultLimits())
	}
}
