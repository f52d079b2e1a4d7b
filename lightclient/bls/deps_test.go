package bls

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

func TestVerificationDoesWithoutLargePackages(t *testing.T) {
	if runtime.GOOS == "js" {
		t.Skip("there are no processes")
	}
	list := exec.Command("go", "list", "-deps", ".")
	list.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		switch pkg {
		case "fmt", "math/big", "reflect", "encoding/json", "sort":
			t.Errorf("%s is imported: it would make browsers load more", pkg)
		}
		if strings.HasPrefix(pkg, "github.com/") {
			t.Errorf("%s is imported: other people's code is for the tests here", pkg)
		}
	}
}
