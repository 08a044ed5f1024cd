// Package jobs reads jobs from standard input and writes results to standard output, as
// lines of JSON.
package jobs

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// A Job is a number of fetches of one URL.
type Job struct {
	URL         string `json:"url"`
	Count       int    `json:"count"`
	Concurrency int    `json:"concurrency"`
	// Repeat is the number of repetitions, one after another.
	Repeat int `json:"repeat"`
	// Server is the URL of the service, for its callers.
	Server string `json:"server"`
	Mode   Mode   `json:"mode"`
	// MaxBodyBytes is the limit of a body, for callers of the service. 0 is the default.
	MaxBodyBytes int64 `json:"max_body_bytes"`
}

// A Mode is how a program reads the results.
type Mode string

const (
	// Arrive reads each result when it arrives, and drops it.
	Arrive Mode = "arrive"
	// Collect keeps all results in memory until the last one has arrived.
	Collect Mode = "collect"
	// Stream reads the body of the only result as a stream.
	Stream Mode = "stream"
)

// A Result is the outcome of a job. Times that were not taken are nil.
type Result struct {
	WallS   float64  `json:"wall_s"`
	Bytes   int64    `json:"bytes"`
	FirstMS *float64 `json:"first_ms"`
	P50MS   *float64 `json:"p50_ms"`
	P99MS   *float64 `json:"p99_ms"`
}

// Serve runs each job from standard input with work, and prints its result.
func Serve(work func(Job) Result) {
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var job Job
		if err := json.Unmarshal(lines.Bytes(), &job); err != nil {
			panic(err)
		}
		result, err := json.Marshal(work(job))
		if err != nil {
			panic(err)
		}
		fmt.Println(string(result))
	}
}
