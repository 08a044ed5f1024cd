// Fetches with net/http, in one goroutine for each concurrent fetch. Reads jobs from
// standard input and writes results to standard output, as lines of JSON.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

type job struct {
	URL         string `json:"url"`
	Count       int64  `json:"count"`
	Concurrency int    `json:"concurrency"`
}

func main() {
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var job job
		if err := json.Unmarshal(lines.Bytes(), &job); err != nil {
			panic(err)
		}
		work(job)
	}
}

func work(job job) {
	transport := &http.Transport{MaxIdleConnsPerHost: job.Concurrency}
	client := &http.Client{Transport: transport}
	started := time.Now()
	var next, first, bytes atomic.Int64
	times := make([][]time.Duration, job.Concurrency)
	var workers sync.WaitGroup
	for worker := range times {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for next.Add(1) <= job.Count {
				start := time.Now()
				response, err := client.Get(job.URL)
				if err != nil {
					panic(err)
				}
				count, err := io.Copy(io.Discard, response.Body)
				if err != nil {
					panic(err)
				}
				response.Body.Close()
				bytes.Add(count)
				times[worker] = append(times[worker], time.Since(start))
				first.CompareAndSwap(0, int64(time.Since(started)))
			}
		}()
	}
	workers.Wait()
	wall := time.Since(started)
	transport.CloseIdleConnections()
	var all []time.Duration
	for _, some := range times {
		all = append(all, some...)
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	milliseconds := func(time time.Duration) float64 { return time.Seconds() * 1e3 }
	result, err := json.Marshal(map[string]any{
		"wall_s":   wall.Seconds(),
		"bytes":    bytes.Load(),
		"first_ms": milliseconds(time.Duration(first.Load())),
		"p50_ms":   milliseconds(all[len(all)/2]),
		"p99_ms":   milliseconds(all[len(all)*99/100]),
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(result))
}
