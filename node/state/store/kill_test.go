package store

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"portico/node/types"
)

// resum gives a manifest's body, perhaps with a checksum already, the right checksum.
func resum(b []byte) []byte {
	body := b[:max(0, len(b)-sha256.Size)]
	sum := sha256.Sum256(body)
	return append(append([]byte(nil), body...), sum[:]...)
}

// killedWriterDir names the folder to a process that this test starts and kills.
const killedWriterDir = "STORE_TEST_KILLED_WRITER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killedWriterDir); dir != "" {
		writeForEver(dir)
	}
	os.Exit(m.Run())
}

// writeForEver says every height that is durable.
func writeForEver(dir string) {
	n := start(die{}, dir)
	for {
		n.advance(die{})
		must(die{}, n.store.Write(n.checkpoint(die{})))
		fmt.Println(uint64(n.height))
		must(die{}, n.store.Prepare())
	}
}

type die struct{}

func (die) Helper()                          {}
func (die) Fatal(a ...any)                   { fmt.Fprintln(os.Stderr, a...); os.Exit(1) }
func (d die) Fatalf(format string, a ...any) { d.Fatal(fmt.Sprintf(format, a...)) }

func TestKilledProcessLosesNoCheckpointThatItReported(t *testing.T) {
	dir := t.TempDir()
	var reported types.Height
	for range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killedWriterDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for left := 1 + rand.IntN(6); left > 0 && lines.Scan(); left-- {
			h, err := strconv.ParseUint(lines.Text(), 10, 64)
			must(t, err)
			reported = types.Height(h)
		}
		// Wherever it is in the next checkpoint by now.
		spin(rand.IntN(2_000_000))
		must(t, cmd.Process.Kill())
		for lines.Scan() {
			if h, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
				reported = types.Height(h)
			}
		}
		cmd.Wait()
		n := start(t, dir)
		if n.height < reported {
			t.Fatalf("checkpoint %d was reported, %d is there", reported, n.height)
		}
		n.close(t)
	}
}

// spin passes a little time that depends on the machine.
func spin(n int) {
	h := [32]byte{}
	for range n / 100 {
		h = sha256.Sum256(h[:])
	}
}
