package fetchd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

// binary returns the path of the service.
func binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("FETCHD")
	if path == "" {
		target := os.Getenv("CARGO_TARGET_DIR")
		if target == "" {
			target = filepath.Join("..", "..", "target")
		}
		path = filepath.Join(target, "debug", "fetchd")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("build the service with `cargo build`, or set FETCHD to its path: %v", err)
	}
	return path
}

// A process is a running service.
type process struct {
	address string
	command *exec.Cmd
}

// serve starts a service that may reach loopback addresses only.
func serve(t testing.TB, arguments ...string) *process {
	t.Helper()
	return serveAt(t, "127.0.0.1:0", arguments...)
}

func serveAt(t testing.TB, listen string, arguments ...string) *process {
	t.Helper()
	all := append([]string{
		"serve", "--listen", listen, "--admin-listen", "off",
		"--allow-net", "127.0.0.0/8", "--log-format", "json",
	}, arguments...)
	command := exec.Command(binary(t), all...)
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	service := &process{command: command}
	t.Cleanup(func() {
		service.signal(syscall.SIGKILL)
		command.Wait()
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line struct{ Address string }
		if json.Unmarshal(lines.Bytes(), &line); line.Address != "" {
			service.address = line.Address
			break
		}
	}
	if service.address == "" {
		t.Fatal("the service has not logged its address")
	}
	go func() {
		// A full pipe would stop the service.
		for lines.Scan() {
		}
	}()
	return service
}

func (p *process) signal(signal syscall.Signal) {
	p.command.Process.Signal(signal)
}

// newClient returns a client of the services at these addresses.
func newClient(t testing.TB, addresses string, options ...fetchd.Option) *fetchd.Client {
	t.Helper()
	client, err := fetchd.New(addresses, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// origin starts an HTTP server.
func origin(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// urls returns count different URLs of a server.
func urls(server *httptest.Server, count int) []string {
	urls := make([]string, count)
	for index := range urls {
		urls[index] = fmt.Sprintf("%s/%d", server.URL, index)
	}
	return urls
}

// echo answers with the path.
func echo(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, strings.TrimPrefix(r.URL.Path, "/"))
}

// testContext ends before the test does.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
