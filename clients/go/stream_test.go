package fetchd_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

func TestStreamFollowsRedirects(t *testing.T) {
	server := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/to", http.StatusFound)
			return
		}
		fmt.Fprint(w, r.Header.Get("X-Name"))
	})
	request := fetchd.Request{URL: server.URL + "/from", Header: http.Header{"X-Name": {"value"}}}
	response, err := newClient(t, serve(t).address).Stream(testContext(t), request)
	if got := read(t, response, err); got != "value" {
		t.Errorf("got %q", got)
	}
	if got := response.Request.URL.String(); got != server.URL+"/to" || response.Request.Method != "GET" {
		t.Errorf("got the request %s %s", response.Request.Method, got)
	}
	if stats, ok := fetchd.StatsOf(response); !ok || stats.Redirects != 1 || stats.BodyBytes != 5 || stats.Total == 0 {
		t.Errorf("got %+v, %v", stats, ok)
	}
}

func TestStreamIsTruncated(t *testing.T) {
	server := origin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(bytes.Repeat([]byte("x"), 1<<20))
	})
	client := newClient(t, serve(t).address)
	request := fetchd.Request{URL: server.URL, Options: fetchd.Options{MaxBodyBytes: 100_000, Truncate: true}}
	response, err := client.Stream(testContext(t), request)
	if got := len(read(t, response, err)); got != 100_000 {
		t.Errorf("got %d bytes", got)
	}
	if stats, ok := fetchd.StatsOf(response); !ok || !stats.Truncated {
		t.Errorf("got %+v, %v", stats, ok)
	}
	request.Truncate = false
	response, err = client.Stream(testContext(t), request)
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	if failureOf(t, err).Reason != fetchd.ReasonBodyTooLarge {
		t.Errorf("got %v", err)
	}
}

// The service and its origin wait for a reader that is slow, and the memory of
// both clients and services is bounded.
func TestSlowReaderSlowsTheOrigin(t *testing.T) {
	const size = 256 << 20
	var sent atomic.Int64
	server := origin(t, func(w http.ResponseWriter, r *http.Request) {
		chunk := bytes.Repeat([]byte("x"), 64<<10)
		for range size / len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
			sent.Add(int64(len(chunk)))
		}
	})
	response, err := newClient(t, serve(t).address).Stream(testContext(t), fetchd.Request{
		URL:     server.URL,
		Options: fetchd.Options{MaxBodyBytes: size},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.CopyN(io.Discard, response.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	for before := int64(-1); before != sent.Load(); time.Sleep(50 * time.Millisecond) {
		before = sent.Load()
	}
	if got := sent.Load(); got > 32<<20 {
		t.Errorf("the origin has sent %d MiB", got>>20)
	}
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	if memory.HeapAlloc > 16<<20 {
		t.Errorf("%d MiB are allocated", memory.HeapAlloc>>20)
	}
	rest, err := io.Copy(io.Discard, response.Body)
	if err != nil || rest != size-1<<20 {
		t.Errorf("got %d bytes, %v", rest, err)
	}
}

// A body that is complete has been received as a whole before it is read.
func TestShortBodyNeedsNoReader(t *testing.T) {
	server := origin(t, echo)
	client := newClient(t, serve(t).address)
	response, err := client.Stream(testContext(t), fetchd.Request{URL: server.URL + "/short"})
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	var text strings.Builder
	if _, err := io.Copy(&text, response.Body); err != nil || text.String() != "short" {
		t.Errorf("got %q, %v", text.String(), err)
	}
	response.Body.Close()
}
