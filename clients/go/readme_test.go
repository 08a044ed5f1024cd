package fetchd_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// blocks returns the code blocks of a language in the README.
func blocks(readme, language string) []string {
	pattern := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$")
	var blocks []string
	for _, match := range pattern.FindAllStringSubmatch(readme, -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

// shell runs a command and returns its output.
func shell(t testing.TB, folder, command string) string {
	t.Helper()
	run := exec.Command("bash", "-c", command)
	run.Dir = folder
	// The module has to work by itself, without the settings of this one.
	run.Env = append(os.Environ(), "GOFLAGS=-modcacherw", "GOWORK=off")
	output, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, output)
	}
	return string(output)
}

// The commands and the samples of the README work as printed, in an empty
// module. Only addresses, paths and URLs are replaced.
func TestREADME(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles gRPC if that is not cached")
	}
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	page := originURL(t, echo)
	authority := newAuthority(t)
	cert, key := authority.pair(t, "service")
	tokens := filepath.Join(t.TempDir(), "tokens")
	write(t, tokens, "caller right-token\n")
	plain := serve(t)
	secured := serve(t, "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", authority.file, "--auth-token-file", tokens)
	ownCert, ownKey := authority.pair(t, "caller")
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "right-token\n")
	_, port, _ := net.SplitHostPort(secured.address)
	readme := strings.NewReplacer(
		"localhost:50051", plain.address,
		"https://fetchd.example", "https://localhost:"+port,
		"/etc/fetchd/ca.crt", authority.file,
		"/etc/fetchd/tls.crt", ownCert,
		"/etc/fetchd/tls.key", ownKey,
		"/etc/fetchd/token", token,
		"https://example.com/", page+"/first",
		"https://go.dev/", page+"/second",
	).Replace(string(text))

	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	if err := os.Symlink(root, filepath.Join(work, "fetchd")); err != nil {
		t.Fatal(err)
	}
	module := filepath.Join(work, "app")
	if err := os.Mkdir(module, 0o700); err != nil {
		t.Fatal(err)
	}
	shell(t, module, "go mod init example.com/app")
	for _, block := range blocks(readme, "console") {
		for _, line := range strings.Split(strings.TrimSpace(block), "\n") {
			shell(t, module, strings.TrimPrefix(line, "$ "))
		}
	}
	samples := blocks(readme, "go")
	write(t, filepath.Join(module, "main.go"), samples[0])
	if unformatted := shell(t, module, "gofmt -l ."); unformatted != "" {
		t.Errorf("not formatted: %s", unformatted)
	}
	if got, want := shell(t, module, "go run ."), fmt.Sprintf("%[1]s/first 200 5\n%[1]s/second 200 6\n", page); got != want {
		t.Errorf("got %q, expected %q", got, want)
	}
	fragments := filepath.Join(module, "fragments")
	if err := os.Mkdir(fragments, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(fragments, "main.go"), program(samples[1:], plain.address, page))
	got := shell(t, module, "go run ./fragments")
	if count := strings.Count(got, "done\n"); count != len(samples) || !strings.Contains(got, "200 text/plain") {
		t.Errorf("got %q", got)
	}
}

// program returns a program that runs pieces of code.
func program(samples []string, address, page string) string {
	var text strings.Builder
	text.WriteString(`package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

// Not every sample uses all imports.
var (
	_ = errors.As
	_ = io.Copy
	_ = http.Get
	_ = time.Second
)
`)
	var calls strings.Builder
	for index, sample := range samples {
		fmt.Fprintf(&text, "\nfunc sample%d(ctx context.Context, client *fetchd.Client, urls []string) error {\n%s\nreturn nil\n}\n", index, sample)
		fmt.Fprintf(&calls, "check(sample%d(context.Background(), client, urls))\n", index)
	}
	fmt.Fprintf(&text, `
func main() {
	client, err := fetchd.New(%q)
	check(err)
	urls := []string{%q, %q}
	%s}

func check(err error) {
	if err != nil {
		panic(err)
	}
	fmt.Println("done")
}
`, address, page+"/first", page+"/second", strings.Replace(calls.String(), "\n", "\n\t", -1))
	return text.String()
}
