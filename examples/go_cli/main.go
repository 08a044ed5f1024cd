// Command go_cli fetches URLs through a fetchd service, and prints a line for
// each result as it arrives. It takes the URLs from its arguments, or one a line
// from standard input:
//
//	go run . https://example.com/ https://go.dev/
//	go run . < urls.txt
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

func main() {
	log.SetFlags(0)
	server := flag.String("server", "localhost:50051", "addresses of the service, separated by commas")
	concurrency := flag.Int("concurrency", 50, "requests in flight at once")
	timeout := flag.Duration("timeout", 30*time.Second, "time limit of each request")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: go_cli [flags] [URL ...]")
		flag.PrintDefaults()
	}
	flag.Parse()

	// Ctrl-C cancels all requests, and the service stops fetching them.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, *server, flag.Args(),
		fetchd.WithConcurrency(*concurrency),
		fetchd.WithRequestDefaults(fetchd.Options{Timeout: *timeout}),
	)
	if err != nil {
		log.Fatal(err)
	}
}

// run fetches urls, or those of standard input if there are none.
func run(ctx context.Context, server string, urls []string, options ...fetchd.FetchOption) error {
	client, err := fetchd.New(server)
	if err != nil {
		return err
	}
	defer client.Close()

	input := &lines{reader: os.Stdin}
	list := input.all()
	if len(urls) > 0 {
		list = slices.Values(urls)
	}
	failed := 0
	for _, result := range client.FetchSeq(ctx, requests(list), options...) {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if result.Err != nil {
			failed++
		}
		fmt.Println(describe(result))
	}
	if input.err != nil {
		return fmt.Errorf("reading standard input: %w", input.err)
	}
	if failed > 0 {
		return fmt.Errorf("%d of the requests failed", failed)
	}
	return nil
}

// requests returns a request for each URL.
func requests(urls iter.Seq[string]) iter.Seq[fetchd.Request] {
	return func(yield func(fetchd.Request) bool) {
		for url := range urls {
			if !yield(fetchd.Request{URL: url}) {
				return
			}
		}
	}
}

// lines are the lines of a file.
type lines struct {
	reader io.Reader
	// err tells why not all lines were read.
	err error
}

// all returns the lines without the empty ones. It reads each when it is wanted.
func (l *lines) all() iter.Seq[string] {
	return func(yield func(string) bool) {
		scanner := bufio.NewScanner(l.reader)
		for scanner.Scan() {
			line := strings.TrimSpace(scanner.Text())
			if line != "" && !yield(line) {
				return
			}
		}
		l.err = scanner.Err()
	}
}

// describe returns the line for a result.
func describe(result fetchd.Result) string {
	var failure *fetchd.Error
	if errors.As(result.Err, &failure) {
		return fmt.Sprintf("%s %s: %s", result.Request.URL, failure.Reason, failure.Message)
	}
	return fmt.Sprintf("%s %d, %d bytes in %v", result.Request.URL, result.Response.StatusCode,
		len(result.Response.Body), result.Stats.Total.Round(time.Millisecond))
}
