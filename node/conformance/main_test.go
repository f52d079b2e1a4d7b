package conformance

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"portico/lightclient/principal"
)

// settings are the command line.
type settings struct {
	nodes     int
	sandboxes int
	program   string
	report    string
	admins    []principal.ID // of the network
}

var config settings

// parallelChecks is how many subtests wait for the network at a time; it has nothing
// to do with the number of processors.
const parallelChecks = "24"

func TestMain(m *testing.M) {
	flag.IntVar(&config.nodes, "nodes", 1, "number of replicas")
	flag.StringVar(&config.program, "program", filepath.Join("..", "..", "bin", "portico"), "the built `program`")
	flag.IntVar(&config.sandboxes, "sandboxes", 0, "processes in which each replica runs canisters")
	flag.StringVar(&config.report, "report", "", "`file` that gets the table")
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := flag.Set("test.parallel", parallelChecks); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a network")
	}
	if _, err := os.Stat(config.program); err != nil {
		t.Skipf("the program is not built: run make build first (%v)", err)
	}
	n := start(t, config)
	s := &suite{network: n}
	t.Run("section", func(t *testing.T) {
		for _, part := range sections() {
			t.Run(part.name, func(t *testing.T) {
				t.Parallel()
				part.run(&section{T: t, suite: s})
			})
		}
	})
	s.print(t, config)
}

type part struct {
	name string
	run  func(*section)
}

// sections lists the checklist's sections, that with the longest check first.
func sections() []part {
	return []part{
		{"BB", sectionBB},
		{"A", sectionA},
		{"B", sectionB},
		{"C", sectionC},
		{"D", sectionD},
		{"EF", sectionsEF},
		{"G", sectionG},
		{"I", sectionI},
		{"J", sectionJ},
		{"H", sectionH},
		{"K", sectionK},
		{"L", sectionL},
		{"M", sectionM},
		{"N", sectionN},
		{"O", sectionO},
		{"P", sectionP},
		{"Q", sectionQ},
		{"R", sectionR},
		{"S", sectionS},
		{"T", sectionT},
		{"U", sectionU},
		{"V", sectionV},
		{"W", sectionW},
		{"X", sectionX},
		{"Y", sectionY},
		{"Z", sectionZ},
		{"AA", sectionAA},
		{"AB", sectionAB},
		{"AC", sectionAC},
		{"AD", sectionAD},
		{"AE", sectionAE},
		{"BA", sectionBA},
		{"BC", sectionBC},
		{"BD", sectionBD},
	}
}
