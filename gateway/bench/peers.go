package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// besideNginx lets the gateway and nginx answer with the same bytes, in turns.
func (b *bench) besideNginx(ctx context.Context, rounds int, each time.Duration, connections int) error {
	n, err := startNginx(ctx, b.small)
	if err != nil {
		return err
	}
	defer n.stop()
	if err := b.get(ctx, b.kept, "/small.png", nil); err != nil {
		return err
	}
	var ours, theirs, ourTail, theirTail []float64
	for range rounds {
		a, err := wrk(ctx, b.kept+"/small.png", b.host(), connections, each, nil)
		if err != nil {
			return err
		}
		c, err := wrk(ctx, n.url+"/small.png", domain, connections, each, nil)
		if err != nil {
			return err
		}
		if a.failed+c.failed > 0 {
			return fmt.Errorf("%d and %d requests failed", a.failed, c.failed)
		}
		ours, theirs = append(ours, a.perSecond), append(theirs, c.perSecond)
		ourTail, theirTail = append(ourTail, a.p99), append(theirTail, c.p99)
	}
	fmt.Printf("cached: %d bytes, %d connections: gateway %.0f/s, p99 %.1f ms; nginx %.0f/s, p99 %.1f ms; gateway/nginx %.0f %%\n",
		len(b.small), connections, median(ours), median(ourTail), median(theirs), median(theirTail), 100*median(ours)/median(theirs))
	return nil
}

// nginx is a running nginx with one file.
type nginx struct {
	cmd *exec.Cmd
	dir string
	url string
}

const nginxConfig = `
worker_processes auto;
daemon off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 100000000;
	open_file_cache max=100 inactive=1h;
	open_file_cache_valid 1h;
	types { image/png png; }
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server {
		listen 127.0.0.1:%[2]d;
		root %[1]s;
		add_header Cache-Control "public, max-age=3600";
	}
}
`

func startNginx(ctx context.Context, content []byte) (*nginx, error) {
	dir, err := os.MkdirTemp("", "portico-nginx-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	n := &nginx{dir: dir, url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	err = errors.Join(
		err,
		os.Chmod(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "small.png"), content, 0o644),
		os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(fmt.Sprintf(nginxConfig, dir, port)), 0o644),
	)
	if err == nil {
		n.cmd = exec.CommandContext(ctx, "nginx", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
		n.cmd.Stderr = os.Stderr
		err = n.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return n, nil
}

// freePort is a port that nobody listens at, for a program that cannot choose one itself.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func (n *nginx) stop() {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	_ = n.cmd.Wait()
	_ = os.RemoveAll(n.dir)
}

// outcome is what wrk says.
type outcome struct {
	perSecond, p99 float64 // p99 in milliseconds
	requests       int
	failed         int // of all kinds
	text           string
}

var (
	rateLine   = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	countLine  = regexp.MustCompile(`(\d+) requests in`)
	tailLine   = regexp.MustCompile(`99%\s+([\d.]+)(us|ms|s)`)
	socketLine = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
	statusLine = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
)

// wrk loads a URL for a time, with further arguments before and after the URL.
func wrk(ctx context.Context, url, host string, connections int, d time.Duration, options []string, after ...string) (outcome, error) {
	threads := strconv.Itoa(min(2, connections))
	args := append(options, "-t", threads, "-c", strconv.Itoa(connections), "-d", strconv.Itoa(max(1, int(d.Seconds())))+"s", "--latency", "-H", "Host: "+host, url)
	args = append(args, after...)
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "wrk", args...)
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return outcome{}, fmt.Errorf("wrk: %w", err)
	}
	o := outcome{text: out.String()}
	number := func(r *regexp.Regexp, group int) float64 {
		m := r.FindStringSubmatch(o.text)
		if m == nil {
			return 0
		}
		f, _ := strconv.ParseFloat(m[group], 64)
		return f
	}
	o.perSecond, o.requests = number(rateLine, 1), int(number(countLine, 1))
	o.p99 = number(tailLine, 1)
	if m := tailLine.FindStringSubmatch(o.text); m != nil {
		o.p99 *= map[string]float64{"us": 0.001, "ms": 1, "s": 1000}[m[2]]
	}
	o.failed = int(number(statusLine, 1))
	for i := range 4 {
		o.failed += int(number(socketLine, i+1))
	}
	if o.perSecond == 0 {
		return o, errors.New("wrk says nothing of requests: " + o.text)
	}
	return o, nil
}
