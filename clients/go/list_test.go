package fetchd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// The calls that are open at once have no more slots than the list.
func TestConcurrencyIsThatOfAllCalls(t *testing.T) {
	const concurrency = 40
	var slots, most atomic.Int64
	fake := newFake(t, func(request batch, stream stream) error {
		count, own := len(request.Requests), int64(request.Concurrency)
		now := slots.Add(min(own, int64(count)))
		for {
			seen := most.Load()
			if now <= seen || most.CompareAndSwap(seen, now) {
				break
			}
		}
		// A slot is free once no request is left for it.
		for index := range count {
			if remaining := int64(count - index); remaining <= own {
				slots.Add(-1)
			}
			stream.Send(results(index, index+1))
		}
		return nil
	})
	client := newClient(t, fake.address)
	count := 0
	for _, result := range client.FetchSeq(testContext(t), slices.Values(requests(5000)), fetchd.WithConcurrency(concurrency)) {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		count++
	}
	if count != 5000 || most.Load() > concurrency || most.Load() < concurrency/2 {
		t.Errorf("%d results with %d slots", count, most.Load())
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

func TestLeavingTheLoopCancels(t *testing.T) {
	stalling := newStalling(t)
	var at time.Time
	client := newClient(t, serve(t).address)
	list := fetchd.Get(origin(t, echo).URL, stalling.url+"/head")
	for range client.Fetch(testContext(t), list) {
		<-stalling.reached
		at = time.Now()
		break
	}
	stalling.waitUntilGone(t, at)
}

func TestContextEndsAList(t *testing.T) {
	stalling := newStalling(t)
	client := newClient(t, serve(t).address)
	list := fetchd.Get(origin(t, echo).URL, stalling.url+"/head", stalling.url+"/head")
	for name, test := range map[string]struct {
		context func() (context.Context, context.CancelFunc)
		reason  fetchd.Reason
		err     error
	}{
		"canceled": {func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(200*time.Millisecond, cancel)
			return ctx, cancel
		}, fetchd.ReasonCanceled, context.Canceled},
		"deadline": {func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 200*time.Millisecond)
		}, fetchd.ReasonBatchDeadline, context.DeadlineExceeded},
	} {
		ctx, cancel := test.context()
		begun := time.Now()
		all := client.FetchAll(ctx, list)
		if took := time.Since(begun); took < 190*time.Millisecond || took > time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
		if all[0].Err != nil {
			t.Errorf("%s: a complete result has the error %v", name, all[0].Err)
		}
		for _, result := range all[1:] {
			if failureOf(t, result.Err).Reason != test.reason || !errors.Is(result.Err, test.err) {
				t.Errorf("%s: got %v", name, result.Err)
			}
		}
		stalling.waitUntilGone(t, time.Now())
		stalling.waitUntilGone(t, time.Now())
		// It ended before the list began.
		for index, result := range client.FetchAll(ctx, list) {
			if result.Request != &list[index] || !errors.Is(result.Err, test.err) {
				t.Errorf("%s: got %v", name, result.Err)
			}
		}
		cancel()
	}
}

func TestClosingTheClientEndsItsLists(t *testing.T) {
	stalling := newStalling(t)
	client, err := fetchd.New(serve(t).address)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, func() { client.Close() })
	for range 2 {
		all := client.FetchAll(testContext(t), fetchd.Get(stalling.url+"/head"))
		if !errors.Is(all[0].Err, net.ErrClosed) || failureOf(t, all[0].Err).Reason != fetchd.ReasonCanceled {
			t.Errorf("got %v", all[0].Err)
		}
		_, err := client.Stream(testContext(t), fetchd.Request{URL: stalling.url})
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	if err := client.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

// The service reports the end of the requests at the deadline.
func TestTimeoutOfAList(t *testing.T) {
	stalling := newStalling(t)
	client := newClient(t, serve(t).address)
	begun := time.Now()
	all := client.FetchAll(testContext(t), fetchd.Get(stalling.url+"/head"), fetchd.WithTimeout(200*time.Millisecond))
	if failureOf(t, all[0].Err).Reason != fetchd.ReasonBatchDeadline || all[0].Stats.Attempts != 1 {
		t.Errorf("got %+v", all[0])
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

// If the service does not, the client does, a second later.
func TestTimeoutOfAListWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	silent := newFake(t, func(_ batch, stream stream) error {
		<-stream.Context().Done()
		return nil
	})
	for _, addresses := range []string{silent.address, "127.0.0.1:1"} {
		begun := time.Now()
		client := newClient(t, addresses)
		all := client.FetchAll(testContext(t), requests(2), fetchd.WithTimeout(100*time.Millisecond))
		for _, result := range all {
			if failureOf(t, result.Err).Reason != fetchd.ReasonBatchDeadline || !errors.Is(result.Err, context.DeadlineExceeded) {
				t.Errorf("got %v", result.Err)
			}
		}
		if took := time.Since(begun); took > 1300*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	}
}

func TestInvalidRequestsFailInTheirPlace(t *testing.T) {
	fake := newFake(t, answerAll)
	client := newClient(t, fake.address)
	list := requests(9)
	list[0].URL = "http://origin.example/\xff"
	list[1].Timeout = -time.Second
	list[2].MaxAttempts = -1
	list[4].Header = map[string][]string{"Ä": {"a"}}
	list[5].Method = "G\xff"
	list[6].IdleTimeout = -1
	list[7].ConnectTimeout = -1
	messages := map[int]string{
		0: "URL: expected UTF-8 text",
		1: "Options.Timeout: expected a duration greater than 0, got -1s",
		2: "Options.MaxAttempts: expected 1 or more, got -1",
		4: `Header: expected an ASCII name, got "Ä"`,
		5: `Method: expected UTF-8, got "G\xff"`,
		6: "Options.IdleTimeout: expected a duration greater than 0, got -1ns",
		7: "Options.ConnectTimeout: expected a duration greater than 0, got -1ns",
	}
	for index, result := range client.FetchAll(testContext(t), list) {
		message, isInvalid := messages[index]
		if isInvalid != (result.Err != nil) {
			t.Errorf("result %d: %v", index, result.Err)
		}
		if isInvalid {
			failure := failureOf(t, result.Err)
			if failure.Reason != fetchd.ReasonInvalidRequest || failure.Message != message {
				t.Errorf("result %d: got %v", index, failure)
			}
		}
	}
	if calls := fake.received(); len(calls) != 1 || len(calls[0].Requests) != 2 {
		t.Errorf("got the calls %v", calls)
	}
}

func TestInvalidOptionsFailAllRequests(t *testing.T) {
	fake := newFake(t, answerAll)
	client := newClient(t, fake.address)
	for _, test := range []struct {
		option  fetchd.FetchOption
		message string
	}{
		{fetchd.WithConcurrency(-1), "WithConcurrency: expected 0 or more, got -1"},
		{fetchd.WithTimeout(0), "WithTimeout: expected a duration greater than 0, got 0s"},
		{fetchd.WithRequestDefaults(fetchd.Options{Timeout: -1}), "Options.Timeout: expected a duration greater than 0, got -1ns"},
	} {
		for _, all := range []iter.Seq2[int, fetchd.Result]{
			client.Fetch(testContext(t), requests(3), test.option),
			client.FetchSeq(testContext(t), slices.Values(requests(3)), test.option),
		} {
			count := 0
			for index, result := range all {
				if failure := failureOf(t, result.Err); failure.Message != test.message || index != count {
					t.Errorf("got %v", failure)
				}
				count++
			}
			if count != 3 {
				t.Errorf("%d results", count)
			}
		}
		if _, err := fetchd.New(fake.address, fetchd.WithFetchOptions(test.option)); err == nil || !strings.HasSuffix(err.Error(), test.message) {
			t.Errorf("New: got %v", err)
		}
	}
	if len(fake.received()) != 0 {
		t.Error("something was sent")
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
