package scenario

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden scores anew")

func TestScenariosHaveTheirScores(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var score bytes.Buffer
			if err := Play(bytes.NewReader(script), &score); err != nil {
				t.Fatalf("%v\n%s", err, score.String())
			}
			golden := strings.TrimSuffix(file, ".txt") + ".score"
			if *update {
				if err := os.WriteFile(golden, score.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(score.Bytes(), want) {
				t.Errorf("the score is another than %s: if that is meant, run the test with -update\n%s", golden, score.String())
			}
		})
	}
}

func TestMistakesAreNamedWithTheirLine(t *testing.T) {
	for script, want := range map[string]string{
		"nodes 4":                                "does not say when it ends",
		"until 5s\nfoo":                          `line 2: foo: "foo" is no directive`,
		"until 5s\nnodes 0":                      "line 2: nodes 0: want one number, from 1 to 40",
		"crash 1\nnodes 7\nuntil 5s":             "line 2: nodes 7: nodes were named before",
		"\n# x\nat 2s partition 0 1 | 1":         "line 3: at 2s partition 0 1 | 1: node 1 is in two places",
		"at 2s partition 0 9":                    `"9" is no node: want a number from 0 to 3`,
		"at 2s partition":                        "want groups of nodes",
		"at two crash 1":                         `"two" is no time`,
		"at 2s nodes 4":                          "write it without at",
		"at 2s":                                  "want a time and a directive",
		"byzantine 0 sleep":                      `there is no misdeed "sleep": want one of [equivocate`,
		"byzantine 0 flood\nbyzantine 1 silence": "line 2: byzantine 1 silence: of 4 nodes at most 1",
		"load 5":                                 "want a rate, such as load 5/s",
		"at 1s storm lost 300%":                  `"300%" is no share`,
		"at 1s storm wind 3":                     `"wind": want delay`,
		"at 1s storm lost":                       "want pairs",
		"at 1s cut 0 1":                          "want two nodes, such as cut 0 -> 1",
		"at 1s cut 1 -> 1":                       "a node always reaches itself",
		"at 1s disk 0 rust":                      "want a node and one of crash-before",
		"at 1s skew 0 fast":                      `"fast" is no time`,
		"at 1s heal 1":                           "nothing comes after heal",
		"at 1s crash":                            "want nodes, such as 0 2, or all",
		"expect rain":                            "want expect progress",
		"at 9s heal\nuntil 5s":                   "line 1: 9s is after the end at 5s",
		"score all":                              "want score blocks",
	} {
		_, err := Parse(strings.NewReader(script))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", script, err, want)
		}
	}
}

func TestAnExpectationThatIsNotMetFails(t *testing.T) {
	for script, want := range map[string]string{
		"at 2s crash 0 1\nexpect progress since 3s\nuntil 9s": "line 2: expect progress since 3s: node 2 shows height",
		"expect stall since 3s of 1\nuntil 9s":                "line 1: expect stall since 3s of 1: node 1 shows height",
		"expect height 1000\nuntil 5s":                        "not more than 999",
		"at 2s expect progress since 4s\nuntil 5s":            "4s is not yet past",
		"load 5/s\nat 2s crash 0 1\nexpect calls\nuntil 30s":  "is not executed",
	} {
		var score bytes.Buffer
		err := Play(strings.NewReader(script), &score)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", script, err, want)
		}
		if !strings.Contains(score.String(), "FAILURE") {
			t.Errorf("%q: the score does not tell of the failure", script)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(script))
	}
	f.Fuzz(func(t *testing.T, script string) {
		s, err := Parse(strings.NewReader(script))
		if err == nil && (s.end <= 0 || s.nodes < 1 || s.nodes > maxNodes) {
			t.Errorf("%d nodes until %v", s.nodes, s.end)
		}
	})
}
