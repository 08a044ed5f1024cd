package fetchd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

// isOrigin makes this program the origin of BenchmarkCaller, so that the origin
// does not count.
const isOrigin = "FETCHD_BENCH_ORIGIN"

func TestMain(m *testing.M) {
	if os.Getenv(isOrigin) == "" {
		os.Exit(m.Run())
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("http://%s/\n", listener.Addr())
	page := bytes.Repeat([]byte("x"), 1<<10)
	http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(page) }))
}

// BenchmarkCaller measures the CPU time of a caller of pages of 1 KiB, 50 at once.
// The service and the origin are other processes.
func BenchmarkCaller(b *testing.B) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), isOrigin+"=1")
	output, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { command.Process.Kill(); command.Wait() })
	var page string
	if _, err := fmt.Fscanln(output, &page); err != nil {
		b.Fatal(err)
	}
	client := newClient(b, serve(b).address)
	list := func(count int) {
		requests := make([]fetchd.Request, count)
		for index := range requests {
			requests[index].URL = page
		}
		for _, result := range client.FetchAll(context.Background(), requests) {
			if result.Err != nil {
				b.Fatal(result.Err)
			}
		}
	}
	for _, contender := range []struct {
		name  string
		fetch func(count int)
	}{
		{"http.Transport", each(b, page, &http.Transport{MaxIdleConnsPerHost: 50})},
		{"FetchAll", list},
		{"RoundTripper", each(b, page, client.RoundTripper())},
	} {
		b.Run(contender.name, func(b *testing.B) {
			contender.fetch(500) // Connects, and fills caches.
			before := cpuTime()
			b.ResetTimer()
			contender.fetch(b.N)
			b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
		})
	}
}

// each fetches a page many times with a transport, in 50 goroutines.
func each(b *testing.B, page string, transport http.RoundTripper) func(int) {
	client := &http.Client{Transport: transport}
	return func(count int) {
		var next atomic.Int64
		var running sync.WaitGroup
		for range 50 {
			running.Add(1)
			go func() {
				defer running.Done()
				for next.Add(1) <= int64(count) {
					response, err := client.Get(page)
					if err != nil {
						b.Error(err)
						return
					}
					io.ReadAll(response.Body)
					response.Body.Close()
				}
			}()
		}
		running.Wait()
	}
}

// cpuTime returns the CPU time of this process.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
