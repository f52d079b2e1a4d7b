package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"portico/node/registry"

	"github.com/fxamacker/cbor/v2"
)

const (
	// firstPause is the time before a replica that ended is started again, doubled each
	// time up to lastPause, as long as it does not run for steadyTime.
	firstPause = 250 * time.Millisecond
	lastPause  = 30 * time.Second
	steadyTime = 30 * time.Second
	// maxStarts is how often a replica is started that ends by itself before it serves
	// anything: what it says of the reason will not be another the next time.
	maxStarts    = 3
	stopTimeout  = 8 * time.Second
	pollInterval = 100 * time.Millisecond
	pollTimeout  = 2 * time.Second
)

// supervised is a replica that is kept running as a process of its own.
type supervised struct {
	index   int
	record  registry.Node
	folder  string
	at      *addresses
	verbose bool
	// say prints a line for people. changed tells that the replica serves, or does no longer.
	say     func(string)
	changed func(index int, c condition)
}

// condition is what a supervised replica is like.
type condition uint8

const (
	starting condition = iota
	serving
	broken // it does not start
)

// name is how lines call the replica.
func (s *supervised) name() string {
	id, _, _ := strings.Cut(s.record.ID.String(), "-")
	return fmt.Sprintf("node %d (%s)", s.index, id)
}

// keep runs the replica until the context ends, and then stops it in order.
func (s *supervised) keep(ctx context.Context) error {
	pause, failures := firstPause, 0
	for lives := 0; ; lives++ {
		began := time.Now()
		served, ended, err := s.live(ctx, lives)
		if ctx.Err() != nil {
			return err
		}
		s.changed(s.index, starting)
		if failures++; served {
			failures = 0
		}
		if failures == maxStarts {
			s.say(fmt.Sprintf("%s does not start: %s; see what it says above", s.name(), ended))
			s.changed(s.index, broken)
			<-ctx.Done()
			return nil
		}
		if time.Since(began) > steadyTime {
			pause = firstPause
		}
		s.say(fmt.Sprintf("%s stopped (%s); it is started again in %s", s.name(), ended, pause))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// live is one life of the replica. It says whether it served anything and how it ended.
func (s *supervised) live(ctx context.Context, lives int) (served bool, ended string, err error) {
	cmd, err := s.start()
	if err != nil {
		return false, err.Error(), nil
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return served, "", s.stop(cmd, exited)
		case err := <-exited:
			return served, describe(err), nil
		case <-poll.C:
		}
		height, ok := healthy(ctx, "http://"+s.at.api.address)
		if !ok {
			continue
		}
		served = true
		poll.Stop() // from here on its end is all there is to wait for
		if lives > 0 {
			s.say(fmt.Sprintf("%s is back at height %d", s.name(), height))
		}
		s.changed(s.index, serving)
	}
}

// start starts the replica, which ends with this process.
func (s *supervised) start() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "replica", "-config", filepath.Join(s.folder, replicaFile), "-verbose="+strconv.FormatBool(s.verbose))
	cmd.Stderr = &prefixed{to: os.Stderr, prefix: fmt.Sprintf("node %d: ", s.index)}
	// its own group: an interrupt from the terminal reaches only us, and we stop it in order
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	return cmd, cmd.Start()
}

// stop ends the replica in order, or by force if it takes too long.
func (s *supervised) stop(cmd *exec.Cmd, exited <-chan error) error {
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have exited already
	select {
	case <-exited:
		return nil
	case <-time.After(stopTimeout):
		_ = cmd.Process.Kill()
		<-exited
		return fmt.Errorf("%s did not stop in time and was killed; nothing is lost", s.name())
	}
}

// describe says how a process ended.
func describe(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "exit status 0"
	case errors.As(err, &exit):
		if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			return w.Signal().String()
		}
		return exit.String()
	default:
		return err.Error()
	}
}

// healthy asks a replica whether it has a certified state, and of which height.
func healthy(ctx context.Context, url string) (height uint64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v2/status", nil)
	if err != nil {
		return 0, false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, false
	}
	defer response.Body.Close()
	var status struct {
		Health string `cbor:"replica_health_status"`
		Height uint64 `cbor:"certified_height"`
	}
	b, err := io.ReadAll(response.Body)
	if err != nil || cbor.Unmarshal(b, &status) != nil {
		return 0, false
	}
	return status.Height, status.Health == "healthy"
}

// prefixed writes whole lines, each with a prefix that says whose it is.
type prefixed struct {
	to     io.Writer
	prefix string
	rest   []byte
}

// maxLineBytes is how long a line may be before it is written in pieces.
const maxLineBytes = 64 << 10

func (p *prefixed) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		line, rest, ok := strings.Cut(string(p.rest), "\n")
		if !ok && len(line) < maxLineBytes {
			return len(b), nil
		}
		p.rest = []byte(rest)
		if _, err := fmt.Fprintf(p.to, "%s%s\n", p.prefix, line); err != nil {
			return 0, err
		}
	}
}
