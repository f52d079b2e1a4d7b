package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"portico/gateway/fetch"
	"portico/lightclient/cbor"
)

// rootKey asks a network of one's own for its key. Others are to be told it.
func rootKey(ctx context.Context, pool *fetch.Pool) ([]byte, error) {
	resp, err := pool.Do(ctx, http.MethodGet, "/api/v2/status", nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body := make([]byte, 1<<16)
	n, err := readFull(resp, body)
	if err != nil {
		return nil, err
	}
	v, err := cbor.Decode(body[:n])
	if err != nil {
		return nil, err
	}
	m, ok := v.(*cbor.Map)
	if !ok {
		return nil, errors.New("the status is no map")
	}
	key, ok := m.Get("root_key").(cbor.Bytes)
	if !ok {
		return nil, errors.New("the status has no root key")
	}
	return key, nil
}

func readFull(resp *http.Response, into []byte) (n int, err error) {
	for n < len(into) {
		k, err := resp.Body.Read(into[n:])
		n += k
		if err != nil {
			return n, nil // the end, or a body that does not decode
		}
	}
	return n, errors.New("the status is too long")
}

// load makes requests with a number of clients for a while and prints how many there were a
// second, how long they took, and what a height of the subnet took.
func (n *network) load(ctx context.Context, name string, clients int, each time.Duration, request func(context.Context, int) error) error {
	before, err := n.figures(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	var next atomic.Int64
	took := make([][]time.Duration, clients)
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for time.Since(began) < each {
				sent := time.Now()
				if errs[c] = request(ctx, int(next.Add(1))); errs[c] != nil {
					cancel()
					return
				}
				took[c] = append(took[c], time.Since(sent))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	elapsed := time.Since(began)
	all := slices.Concat(took...)
	slices.Sort(all)
	fmt.Printf("%-22s %7.0f/s with %d in flight; median %v, 95%% %v, most %v\n", name, float64(len(all))/elapsed.Seconds(), clients,
		all[len(all)/2].Round(100*time.Microsecond), all[len(all)*95/100].Round(100*time.Microsecond), all[len(all)-1].Round(100*time.Microsecond))
	return n.explain(ctx, before, elapsed)
}

// idle measures a network that nobody asks for anything.
func (n *network) idle(ctx context.Context, each time.Duration) error {
	before, err := n.figures(ctx)
	if err != nil {
		return err
	}
	select {
	case <-time.After(each):
	case <-ctx.Done():
		return ctx.Err()
	}
	fmt.Println("idle")
	return n.explain(ctx, before, each)
}

// syncsPerTransaction is how often the database waits for the disk: for its pages, then for the
// page that makes them count.
const syncsPerTransaction = 2

// figures are the sums of all replicas' counters, and of what their processes used.
type figures map[string]float64

// The names of what is summed up beside the metrics.
const (
	cpuSeconds   = "cpu"
	bytesWritten = "written"
)

func (n *network) explain(ctx context.Context, before figures, elapsed time.Duration) error {
	after, err := n.figures(ctx)
	if err != nil {
		return err
	}
	delta := func(name string) float64 { return after[name] - before[name] }
	heights := delta("portico_blocks_finalized_total") / float64(len(n.apis))
	fmt.Printf("%22s %.1f heights/s; processes: %.0f%% of a processor, %.2f MB/s written\n", "", heights/elapsed.Seconds(),
		100*delta(cpuSeconds)/elapsed.Seconds(), delta(bytesWritten)/elapsed.Seconds()/1e6)
	if heights == 0 {
		return nil
	}
	fmt.Printf("%22s a height, all replicas together:", "")
	for _, x := range []struct {
		name, what string
		times      float64
	}{
		{"peer_frames", "frames sent", 1},
		{"peer_bytes", "bytes sent", 1},
		{"disk_transactions", "syncs to disk", syncsPerTransaction},
		{"signatures_verified", "signatures verified", 1},
		{"signatures_made", "made", 1},
	} {
		fmt.Printf(" %.0f %s;", x.times*delta("portico_"+x.name+"_total")/heights, x.what)
	}
	fmt.Println()
	return nil
}

func (n *network) figures(ctx context.Context) (figures, error) {
	out := figures{}
	for _, url := range n.metrics {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if strings.Contains(lines.Text(), `direction="in"`) {
				continue // the sender counts it, too
			}
			name, value, _ := strings.Cut(lines.Text(), " ")
			name, _, _ = strings.Cut(name, "{")
			if v, err := strconv.ParseFloat(lastField(value), 64); err == nil && !strings.HasPrefix(name, "#") {
				out[name] += v
			}
		}
		if err := errors.Join(lines.Err(), resp.Body.Close()); err != nil {
			return nil, err
		}
	}
	return out, n.processes(out)
}

// lastField is the value of a line of metrics, whose labels may have spaces.
func lastField(s string) string {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return ""
	}
	return fields[len(fields)-1]
}

// clockTicks is the unit of processor times in /proc, a second's hundredth.
const clockTicks = 100

// processes adds what the network's processes used.
func (n *network) processes(out figures) error {
	children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", n.cmd.Process.Pid))
	if err != nil {
		return err
	}
	var pids []string
	for _, file := range children {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		pids = append(pids, strings.Fields(string(text))...)
	}
	for _, pid := range pids {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			return err
		}
		// the fields after the name, which is in parentheses
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, f := range fields[11:13] { // user and system time
			ticks, err := strconv.ParseFloat(f, 64)
			if err != nil {
				return err
			}
			out[cpuSeconds] += ticks / clockTicks
		}
		io, err := os.ReadFile("/proc/" + pid + "/io")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(io)) {
			if v, ok := strings.CutPrefix(line, "write_bytes: "); ok {
				bytes, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
				if err != nil {
					return err
				}
				out[bytesWritten] += bytes
			}
		}
	}
	return nil
}
