// Fetches through the service with the Go client.
package main

import (
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"compare/jobs"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

func main() {
	jobs.Serve(work)
}

func work(job jobs.Job) jobs.Result {
	client, err := fetchd.New(job.Server)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	started := time.Now()
	size := 0
	for range job.Repeat {
		switch job.Mode {
		case jobs.Arrive:
			size += arrive(client, job)
		case jobs.Collect:
			size += collect(client, job)
		case jobs.Stream:
			size += stream(client, job)
		}
	}
	return jobs.Result{WallS: time.Since(started).Seconds(), Bytes: int64(size)}
}

// arrive reads each result of a list when it arrives, and returns the total size of the
// bodies.
func arrive(client *fetchd.Client, job jobs.Job) (total int) {
	concurrency := fetchd.WithConcurrency(job.Concurrency)
	for _, result := range client.Fetch(context.Background(), requests(job), concurrency) {
		total += size(result)
	}
	return total
}

// collect fetches a list into memory, and returns the total size of the bodies.
func collect(client *fetchd.Client, job jobs.Job) (total int) {
	concurrency := fetchd.WithConcurrency(job.Concurrency)
	for _, result := range client.FetchAll(context.Background(), requests(job), concurrency) {
		total += size(result)
	}
	return total
}

func size(result fetchd.Result) int {
	if result.Err != nil {
		panic(result.Err)
	}
	if result.Response.StatusCode != http.StatusOK {
		panic(result.Response.StatusCode)
	}
	return len(result.Response.Body)
}

// stream fetches one body as a stream, and returns its size.
func stream(client *fetchd.Client, job jobs.Job) int {
	response, err := client.Stream(context.Background(), request(job))
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	size, err := io.Copy(io.Discard, response.Body)
	if err != nil {
		panic(err)
	}
	return int(size)
}

func requests(job jobs.Job) []fetchd.Request {
	return slices.Repeat([]fetchd.Request{request(job)}, job.Count)
}

func request(job jobs.Job) fetchd.Request {
	options := fetchd.Options{MaxBodyBytes: job.MaxBodyBytes}
	return fetchd.Request{URL: job.URL, Options: options}
}
