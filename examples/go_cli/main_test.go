package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// serve starts the service, and returns its address. FETCHD is its path; by
// default, it is where `cargo build` leaves it.
func serve(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("FETCHD")
	if binary == "" {
		binary = filepath.Join("..", "..", "target", "debug", "fetchd")
	}
	service := exec.Command(binary, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "off",
		"--allow-net", "127.0.0.0/8", "--log-format", "json")
	log, err := service.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Start(); err != nil {
		t.Fatalf("build the service with `cargo build`, or set FETCHD to its path: %v", err)
	}
	t.Cleanup(func() {
		service.Process.Kill()
		service.Wait()
	})
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			t.Fatalf("the service has not logged its address: %v", err)
		}
		var entry struct{ Address string }
		if json.Unmarshal(line, &entry); entry.Address != "" {
			go io.Copy(io.Discard, lines)
			return entry.Address
		}
	}
}

// command returns the built program.
func command(t *testing.T, server string, arguments ...string) *exec.Cmd {
	t.Helper()
	program := filepath.Join(t.TempDir(), "go_cli")
	if output, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return exec.Command(program, append([]string{"-server", server}, arguments...)...)
}

func origin(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "there")
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestURLsOfTheArguments(t *testing.T) {
	url := origin(t)
	command := command(t, serve(t), url+"/a", "http://[::1]/", url+"/b")
	var output, problems bytes.Buffer
	command.Stdout, command.Stderr = &output, &problems
	var exit *exec.ExitError
	if err := command.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("got %v", err)
	}
	if got := problems.String(); got != "1 of the requests failed\n" {
		t.Errorf("got %q", got)
	}
	lines := strings.Split(strings.TrimSpace(output.String()), "\n")
	slices.Sort(lines)
	for index, pattern := range []string{
		`^` + url + `/a 200, 5 bytes in \d+ms$`,
		`^` + url + `/b 200, 5 bytes in \d+ms$`,
		`^http://\[::1\]/ BLOCKED: `,
	} {
		if index >= len(lines) || !regexp.MustCompile(pattern).MatchString(lines[index]) {
			t.Errorf("got %q, expected %s", lines, pattern)
		}
	}
}

// A result is printed while standard input is still open.
func TestURLsOfStandardInput(t *testing.T) {
	url := origin(t)
	command := command(t, serve(t))
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(output)
	for index := range 3 {
		fmt.Fprintf(input, "%s/%d\n\n", url, index)
		if line, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, fmt.Sprintf("%s/%d 200,", url, index)) {
			t.Errorf("got %q, %v", line, err)
		}
	}
	input.Close()
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}

func TestInterrupt(t *testing.T) {
	command := command(t, serve(t))
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	arrived, gone := make(chan bool, 1), make(chan bool, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-r.Context().Done()
		gone <- true
	}))
	defer server.Close()
	var problems bytes.Buffer
	command.Stderr = &problems
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(input, server.URL)
	<-arrived
	command.Process.Signal(os.Interrupt)
	if err := command.Wait(); err == nil || problems.String() != "interrupted\n" {
		t.Errorf("got %v and %q", err, problems.String())
	}
	<-gone
}
