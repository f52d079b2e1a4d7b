// Command example is a web server that is not on the Internet Computer and lets people
// log in with Internet Identity. It is there to be read and copied:
//
//	go run ./identity/example -identity http://id.ai.localhost:8000/authorize -root-key root-key.hex -listen 127.0.0.1:9000
//
// It keeps one note for every principal, in memory. Everything about log-ins is in package
// identity; what is here is a page, its script (ts/page.ts) and two handlers.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"portico/identity"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("example: ")
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	var (
		provider = flag.String("identity", "https://id.ai/authorize", "the page of Internet Identity that people log in at")
		rootKey  = flag.String("root-key", "", "the network's root key: 266 hexadecimal digits, or a file with them or with the DER bytes")
		listen   = flag.String("listen", "127.0.0.1:9000", "address to listen on")
		origin   = flag.String("origin", "", "this server's origin as browsers see it (default http://localhost with the port of -listen)")
		script   = flag.String("script", "build/example/page.js", "the page's script, which make example builds")
	)
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if *rootKey == "" {
		return errors.New("-root-key is missing: without the network's key nobody's log-in can be checked. " +
			"That of a local network is root_key in its status.json; never ask a server for it that you do not trust as much as yourself")
	}
	key, err := readKey(*rootKey)
	if err != nil {
		return fmt.Errorf("-root-key: %w", err)
	}
	js, err := os.ReadFile(*script)
	if err != nil {
		return fmt.Errorf("-script: %w (make example builds it)", err)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	if *origin == "" {
		*origin = fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	}
	site, err := newSite(identity.Config{RootKey: key, Origin: *origin}, *provider, js)
	if err != nil {
		return err
	}
	fmt.Printf("%s: log-ins of %s, checked offline with the root key …%x\n", *origin, *provider, key[len(key)-8:])
	return serve(listener, site)
}

// serve answers until SIGINT or SIGTERM.
func serve(listener net.Listener, handler http.Handler) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return server.Shutdown(grace)
}

// readKey takes hexadecimal digits, or the name of a file with digits or DER bytes.
func readKey(s string) ([]byte, error) {
	if key, err := hex.DecodeString(s); err == nil {
		return key, nil
	}
	b, err := os.ReadFile(s)
	if err != nil {
		return nil, err
	}
	if key, err := hex.DecodeString(strings.TrimSpace(string(b))); err == nil {
		return key, nil
	}
	return b, nil
}
