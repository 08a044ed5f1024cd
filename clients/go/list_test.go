package fetchd_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	fetchd "github.com/fetchd/fetchd/clients/go"
	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

func requests(count int) []fetchd.Request {
	requests := make([]fetchd.Request, count)
	for index := range requests {
		requests[index].URL = fmt.Sprintf("http://origin.example/%d", index)
	}
	return requests
}

func TestListThatFitsOneCallIsOneCall(t *testing.T) {
	fake := newFake(t, answerAll)
	client := newClient(t, fake.address)
	client.FetchAll(context.Background(), requests(10_000))
	client.FetchAll(context.Background(), requests(10), fetchd.WithConcurrency(200), fetchd.WithTimeout(time.Hour),
		fetchd.WithRequestDefaults(fetchd.Options{MaxAttempts: 7}))
	if all := client.FetchAll(testContext(t), nil); len(all) != 0 {
		t.Errorf("an empty list has the results %v", all)
	}
	calls := fake.received()
	if len(calls) != 2 || len(calls[0].Requests) != 10_000 || calls[0].Concurrency != 0 || calls[0].Timeout != nil || calls[0].Options != nil {
		t.Fatalf("got %d calls", len(calls))
	}
	if timeout := calls[1].Timeout.AsDuration(); timeout <= 59*time.Minute || timeout > time.Hour {
		t.Errorf("got the timeout %v", timeout)
	}
	if calls[1].Concurrency != 200 || calls[1].Options.GetMaxAttempts() != 7 {
		t.Errorf("got the concurrency %d and the options %v", calls[1].Concurrency, calls[1].Options)
	}
}

func TestLongListsAreSplit(t *testing.T) {
	large := requests(6)
	for index := range large {
		large[index].Body = bytes.Repeat([]byte("x"), 3<<20)
	}
	large[5].Body = bytes.Repeat([]byte("x"), 9<<20)
	for name, test := range map[string]struct {
		requests []fetchd.Request
		sizes    []int
	}{
		"by count": {requests(10_001), []int{1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1}},
		"by size":  {large, []int{2, 2, 1, 1}},
	} {
		fake := newFake(t, answerAll, maxMessage)
		all := newClient(t, fake.address).FetchAll(testContext(t), test.requests, fetchd.WithConcurrency(1))
		for index, result := range all {
			if result.Err != nil || result.Index != index || result.Request != &test.requests[index] {
				t.Fatalf("%s: result %d: %v", name, index, result.Err)
			}
		}
		var sizes []int
		for _, call := range fake.received() {
			sizes = append(sizes, len(call.Requests))
		}
		if !slices.Equal(sizes, test.sizes) {
			t.Errorf("%s: got calls of %v requests", name, sizes)
		}
	}
}

// The calls that are open at once have no more slots than the list, and the next
// one waits until half of them are free.
func TestConcurrencyIsThatOfAllCalls(t *testing.T) {
	second := make(chan struct{})
	closeSecond := sync.OnceFunc(func() { close(second) })
	fake := newFake(t, func(request batch, stream stream) error {
		if request.Concurrency != 40 {
			closeSecond()
			return answerAll(request, stream)
		}
		stream.Send(results(0, 979)) // 21 are left, so 19 slots are free.
		time.Sleep(50 * time.Millisecond)
		stream.Send(results(979, 985)) // 15 are left, so 25 slots are free.
		<-second
		return stream.Send(results(985, 1000))
	})
	client := newClient(t, fake.address)
	for _, result := range client.FetchAll(testContext(t), requests(10_001), fetchd.WithConcurrency(40)) {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
	}
	if calls := fake.received(); calls[0].Concurrency != 40 || calls[1].Concurrency != 25 {
		t.Errorf("the first calls have the concurrency %d and %d", calls[0].Concurrency, calls[1].Concurrency)
	}
}

// An endless sequence is read only as far as its results are taken.
func TestSequenceIsReadLazily(t *testing.T) {
	fake := newFake(t, answerAll)
	var read atomic.Int64
	endless := func(yield func(fetchd.Request) bool) {
		for yield(fetchd.Request{URL: fmt.Sprintf("http://origin.example/%d", read.Add(1))}) {
		}
	}
	taken := 0
	for index, result := range newClient(t, fake.address).FetchSeq(testContext(t), endless) {
		url := fmt.Sprintf("http://origin.example/%d", index+1)
		if result.Err != nil || index != result.Index || result.Request.URL != url {
			t.Fatalf("%d: %+v", index, result)
		}
		if taken++; taken == 2500 {
			break
		}
	}
	if got := read.Load(); got > 2500+3*1000 {
		t.Errorf("%d requests were read", got)
	}
}

// The first results arrive while the sequence waits for them.
func TestSequenceMayDependOnItsResults(t *testing.T) {
	fake := newFake(t, answerAll)
	found := make(chan string, 10)
	found <- "http://origin.example/"
	depth := 0
	for _, result := range newClient(t, fake.address).FetchSeq(testContext(t), func(yield func(fetchd.Request) bool) {
		for url := range found {
			if !yield(fetchd.Request{URL: url}) {
				return
			}
		}
	}) {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		if depth++; depth == 20 {
			close(found)
			continue
		}
		found <- fmt.Sprintf("http://origin.example/%d", depth)
	}
	if depth != 20 {
		t.Errorf("%d results", depth)
	}
}

// Results that nobody takes are not received, so that the service waits.
func TestSlowLoopSlowsTheService(t *testing.T) {
	var sent atomic.Int64
	fake := newFake(t, func(request batch, stream stream) error {
		for index := range request.Requests {
			message := results(index, index+1)
			message.Parts[0].Body = bytes.Repeat([]byte("x"), 64<<10)
			message.Parts[0].End.BodyBytes = 64 << 10
			if err := stream.Send(message); err != nil {
				return err
			}
			sent.Add(1)
		}
		return nil
	})
	client := newClient(t, fake.address)
	for range client.Fetch(testContext(t), requests(2000)) {
		// Wait until the service sends nothing anymore.
		for before := int64(-1); before != sent.Load(); time.Sleep(50 * time.Millisecond) {
			before = sent.Load()
		}
		break
	}
	if got := sent.Load(); got*64<<10 > 8<<20 {
		t.Errorf("the service has sent %d results", got)
	}
}

func TestOptionsReachTheService(t *testing.T) {
	fake := newFake(t, answerAll)
	request := fetchd.Request{
		URL:    "http://origin.example/",
		Method: "PUT",
		Header: map[string][]string{"X-Name": {"caf\xe9", "two"}},
		Body:   []byte("sent"),
		Options: fetchd.Options{
			Timeout:        time.Second,
			IdleTimeout:    2 * time.Second,
			ConnectTimeout: 3 * time.Second,
			MaxRedirects:   -1,
			MaxBodyBytes:   -1,
			Truncate:       true,
			MaxAttempts:    4,
		},
	}
	newClient(t, fake.address).FetchAll(testContext(t), []fetchd.Request{request})
	got := fake.received()[0].Requests[0]
	options := got.Options
	if options.Timeout.AsDuration() != time.Second || options.IdleTimeout.AsDuration() != 2*time.Second ||
		options.ConnectTimeout.AsDuration() != 3*time.Second || options.MaxRedirects == nil || *options.MaxRedirects != 0 ||
		options.MaxBodyBytes == nil || *options.MaxBodyBytes != 0 || *options.MaxAttempts != 4 ||
		options.BodyOverflow != fetchdv1.BodyOverflow_BODY_OVERFLOW_TRUNCATE {
		t.Errorf("got %v", options)
	}
	if got.Method != "PUT" || string(got.Body) != "sent" || len(got.Headers) != 2 || string(got.Headers[0].Value) != "caf\xe9" {
		t.Errorf("got %v", got)
	}
}

// Endpoints share a list: slow requests evenly, fast ones in larger calls.
func TestEndpointsShareAList(t *testing.T) {
	var delay atomic.Int64
	slow := func(request batch, stream stream) error {
		time.Sleep(time.Duration(delay.Load()))
		return answerAll(request, stream)
	}
	fakes := []*fake{newFake(t, slow), newFake(t, slow)}
	client := newClient(t, fakes[0].address+","+fakes[1].address)
	fetch := func(count int) {
		t.Helper()
		for _, result := range client.FetchAll(testContext(t), requests(count)) {
			if result.Err != nil {
				t.Fatal(result.Err)
			}
		}
	}
	delay.Store(int64(100 * time.Millisecond))
	fetch(100)
	for _, fake := range fakes {
		calls := fake.received()
		if len(calls) != 2 || len(calls[0].Requests) != 25 || calls[0].Concurrency != 25 || len(calls[1].Requests) != 25 {
			t.Errorf("got %d calls, the first with %d requests", len(calls), len(calls[0].Requests))
		}
	}
	delay.Store(int64(time.Millisecond))
	fetch(20_000)
	for _, fake := range fakes {
		if count := len(fake.received()); count > 150 {
			t.Errorf("got %d calls", count)
		}
	}
}

func TestMetadataReachesTheService(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	var got, agent []string
	fake := newFake(t, func(request batch, stream stream) error {
		incoming, _ := metadata.FromIncomingContext(stream.Context())
		got = append(got, incoming.Get("traceparent")...)
		agent = incoming.Get("user-agent")
		return answerAll(request, stream)
	})
	ctx := metadata.AppendToOutgoingContext(testContext(t), "traceparent", parent)
	client := newClient(t, fake.address)
	client.FetchAll(ctx, requests(1))
	response, err := client.Stream(ctx, requests(1)[0])
	read(t, response, err)
	if !slices.Equal(got, []string{parent, parent}) || !strings.HasPrefix(agent[0], "fetchd-go/"+fetchd.Version+" ") {
		t.Errorf("got %q and %q", got, agent)
	}
}
