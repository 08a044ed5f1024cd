// Fetches with net/http, in one goroutine for each concurrent fetch.
package main

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"compare/jobs"
)

func main() {
	jobs.Serve(fetchAll)
}

func fetchAll(job jobs.Job) jobs.Result {
	transport := &http.Transport{MaxIdleConnsPerHost: job.Concurrency}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	started := time.Now()
	var next, first, bytes atomic.Int64
	times := make([][]time.Duration, job.Concurrency)
	kept := make([][]result, job.Concurrency)
	var workers sync.WaitGroup
	for worker := range times {
		workers.Go(func() {
			for next.Add(1) <= int64(job.Count) {
				start := time.Now()
				size, result := fetch(client, job)
				bytes.Add(size)
				if job.Mode == jobs.Collect {
					kept[worker] = append(kept[worker], result)
				}
				times[worker] = append(times[worker], time.Since(start))
				first.CompareAndSwap(0, int64(time.Since(started)))
			}
		})
	}
	workers.Wait()
	wall := time.Since(started)
	all := slices.Concat(times...)
	slices.Sort(all)
	return jobs.Result{
		WallS:   wall.Seconds(),
		Bytes:   bytes.Load(),
		FirstMS: milliseconds(time.Duration(first.Load())),
		P50MS:   milliseconds(all[len(all)/2]),
		P99MS:   milliseconds(all[len(all)*99/100]),
	}
}

type result struct {
	status int
	header http.Header
	body   []byte
}

// fetch returns the size of the body, and the result unless it is a stream.
func fetch(client *http.Client, job jobs.Job) (int64, result) {
	response, err := client.Get(job.URL)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		panic(response.Status)
	}
	if job.Mode == jobs.Stream {
		size, err := io.Copy(io.Discard, response.Body)
		if err != nil {
			panic(err)
		}
		return size, result{}
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		panic(err)
	}
	return int64(len(body)), result{response.StatusCode, response.Header, body}
}

func milliseconds(time time.Duration) *float64 {
	milliseconds := time.Seconds() * 1e3
	return &milliseconds
}
