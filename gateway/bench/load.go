package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// watch is a script for wrk that counts statuses, errors without Retry-After, and bodies that are
// not the one that is wanted. Each thread prints its counts at the end.
const watch = `
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(args)
	local f = io.open(args[1], "rb")
	wanted = f:read("*a")
	good, wrong, unavailable, hasty, other, stale = 0, 0, 0, 0, 0, 0
end
function response(status, headers, body)
	if status == 200 then
		if body == wanted then good = good + 1 else wrong = wrong + 1 end
		if headers["X-Portico-Stale"] then stale = stale + 1 end
	elseif status == 503 then
		unavailable = unavailable + 1
		if not headers["Retry-After"] then hasty = hasty + 1 end
	else other = other + 1 end
end
function done(summary, latency, requests)
	for _, t in ipairs(threads) do
		print(string.format("COUNTS %d %d %d %d %d %d", t:get("good"), t:get("wrong"), t:get("unavailable"), t:get("hasty"), t:get("other"), t:get("stale")))
	end
end
`

// counts are those of the script.
type counts struct{ good, wrong, unavailable, hasty, other, stale int }

func (o *outcome) counts() (c counts) {
	for _, line := range strings.Split(o.text, "\n") {
		var n counts
		if k, _ := fmt.Sscanf(line, "COUNTS %d %d %d %d %d %d", &n.good, &n.wrong, &n.unavailable, &n.hasty, &n.other, &n.stale); k == 6 {
			c.good, c.wrong, c.unavailable = c.good+n.good, c.wrong+n.wrong, c.unavailable+n.unavailable
			c.hasty, c.other, c.stale = c.hasty+n.hasty, c.other+n.other, c.stale+n.stale
		}
	}
	return c
}

// network is a local network with the sample dapp.
type network struct {
	cmd  *exec.Cmd
	dir  string
	site *url.URL // of the sample
}

var (
	siteLine = regexp.MustCompile(`http://\S+\.localhost:\d+`)
	endLine  = regexp.MustCompile(`^Press Ctrl-C`)
)

func startNetwork(ctx context.Context, program, sample string, cacheMegabytes int) (*network, error) {
	dir, err := os.MkdirTemp("", "portico-load-")
	if err != nil {
		return nil, err
	}
	n := &network{dir: dir}
	n.cmd = exec.CommandContext(ctx, program, "up", "--nodes", "4", "--state-dir", filepath.Join(dir, "state"), "--gateway-port", "0",
		"--gateway-cache", strconv.Itoa(cacheMegabytes), "--sample", sample)
	n.cmd.Stderr = os.Stderr
	out, err := n.cmd.StdoutPipe()
	if err == nil {
		err = n.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !endLine.MatchString(lines.Text()) {
		if m := siteLine.FindString(lines.Text()); m != "" && n.site == nil {
			n.site, err = url.Parse(m)
		}
	}
	if n.site == nil || err != nil {
		return nil, errors.Join(errors.New("the network announced no site"), err, n.stop())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // what it says later must not block it
	return n, nil
}

func (n *network) stop() error {
	err := n.cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, n.cmd.Wait(), os.RemoveAll(n.dir))
}

// replica finds the process of one of the replicas.
func (n *network) replica() (int, error) {
	all := "" // each thread has children of its own
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", n.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for _, t := range threads {
		b, _ := os.ReadFile(t) // threads may have ended meanwhile
		all += string(b)
	}
	for _, word := range strings.Fields(all) {
		pid, err := strconv.Atoi(word)
		if line, e := os.ReadFile("/proc/" + word + "/cmdline"); err == nil && e == nil && strings.Contains(string(line), "node-2") {
			return pid, nil
		}
	}
	return 0, errors.New("no replica node-2 among the network's processes")
}

// memory is the resident memory of the gateway's process in MiB.
func (n *network) memory() int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	f := strings.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	kib, _ := strconv.Atoi(f[0])
	return kib >> 10
}

// load raises the connections to a local network step by step, with and without the
// gateway's cache, kills a replica in the middle of each step but the first, and
// fails if any answer was wrong or an error said nothing of when to come back.
func load(ctx context.Context, program, sample string, each time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute+20*each)
	defer cancel()
	fmt.Println("cache MiB  connections  replica killed    answers/s  p99 ms       200  of these stale    503  wrong  other  gateway MiB")
	var errs []error
	for _, megabytes := range []int{0, 64} {
		errs = append(errs, loadWith(ctx, program, sample, megabytes, each))
	}
	return errors.Join(errs...)
}

func loadWith(ctx context.Context, program, sample string, megabytes int, each time.Duration) (err error) {
	n, err := startNetwork(ctx, program, sample, megabytes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	address := "http://127.0.0.1:" + n.site.Port() + "/style.css"
	script, wanted := filepath.Join(n.dir, "watch.lua"), filepath.Join(n.dir, "wanted")
	body, err := n.page(ctx, address)
	if err == nil {
		err = errors.Join(os.WriteFile(script, []byte(watch), 0o600), os.WriteFile(wanted, body, 0o600))
	}
	if err != nil {
		return err
	}
	var memory []int
	for _, connections := range []int{16, 64, 256, 1024} {
		kills := connections > 16
		if kills {
			pid, err := n.replica()
			if err != nil {
				return err
			}
			timer := time.AfterFunc(each/2, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
			defer timer.Stop()
		}
		o, err := wrkWith(ctx, address, n.site.Host, connections, each, script, wanted)
		if err != nil {
			return err
		}
		c := o.counts()
		memory = append(memory, n.memory())
		fmt.Printf("%9d  %11d  %14v  %11.0f  %6.1f  %8d  %14d  %5d  %5d  %5d  %11d\n",
			megabytes, connections, kills, o.perSecond, o.p99, c.good, c.stale, c.unavailable, c.wrong, c.other, memory[len(memory)-1])
		if c.wrong+c.other+c.hasty > 0 || c.good == 0 {
			return fmt.Errorf("%d connections: %d wrong answers, %d errors other than 503, %d of these without Retry-After", connections, c.wrong, c.other, c.hasty)
		}
	}
	const mostMemory = 1024 // MiB: connections have buffers, answers do not pile up
	if m := slices.Max(memory); m > mostMemory {
		return fmt.Errorf("the gateway took %d MiB", m)
	}
	return nil
}

func wrkWith(ctx context.Context, address, host string, connections int, each time.Duration, script, wanted string) (outcome, error) {
	return wrk(ctx, address, host, connections, each, []string{"-s", script, "--timeout", "30s"}, "--", wanted)
}

// page is what all answers should be.
func (n *network) page(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", address, nil)
	if err != nil {
		return nil, err
	}
	req.Host = n.site.Host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the sample's page has status %d: %s", resp.StatusCode, body)
	}
	return body, err
}
