package fetchd_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

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

// An endpoint has not failed if the caller cancels.
func TestCancelledCallsEjectNoEndpoint(t *testing.T) {
	var probes atomic.Int32
	fake := newFake(t, func(_ batch, stream stream) error {
		stream.Send(results(0, 1))
		<-stream.Context().Done()
		return stream.Context().Err()
	})
	fake.probe = func() error { probes.Add(1); return nil }
	client := newClient(t, fake.address)
	for range 10 {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		for range client.Fetch(ctx, requests(2)) {
			cancel()
			time.Sleep(10 * time.Millisecond) // The call fails meanwhile.
		}
	}
	if got := probes.Load(); got != 1 {
		t.Errorf("%d probes", got)
	}
}

// A sequence may be slower than the client is patient.
func TestSequenceThatWaitsIsNoOutage(t *testing.T) {
	t.Parallel()
	var isUp atomic.Bool
	fake := newFake(t, func(request batch, stream stream) error {
		if isUp.Load() {
			return answerAll(request, stream)
		}
		return withDetails(codes.Internal)
	})
	fake.probe = func() error {
		if isUp.Load() || len(fake.received()) == 0 {
			return nil
		}
		return withDetails(codes.Unavailable)
	}
	client := newClient(t, fake.address, fetchd.WithGiveUpAfter(400*time.Millisecond))
	first := make(chan bool)
	for index, result := range client.FetchSeq(testContext(t), func(yield func(fetchd.Request) bool) {
		if yield(fetchd.Request{URL: "http://a/", Method: "POST"}) {
			<-first
			time.Sleep(600 * time.Millisecond)
			isUp.Store(true)
			yield(fetchd.Request{URL: "http://b/"})
		}
	}) {
		if index == 0 {
			close(first)
		}
		if (index == 0) != (result.Err != nil) {
			t.Errorf("result %d: %v", index, result.Err)
		}
	}
}

// After the client has given up, requests fail at once, until a service answers.
func TestListRecoversAfterGivingUp(t *testing.T) {
	var isUp atomic.Bool
	fake := newFake(t, answerAll)
	fake.probe = func() error {
		if isUp.Load() {
			return nil
		}
		return withDetails(codes.Unavailable)
	}
	client := newClient(t, fake.address, fetchd.WithGiveUpAfter(100*time.Millisecond))
	failed, hasRecovered := 0, false
	for _, result := range client.FetchSeq(testContext(t), func(yield func(fetchd.Request) bool) {
		for range 5000 {
			if !yield(fetchd.Request{URL: "http://a/", Method: "POST"}) {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}) {
		if result.Err == nil {
			hasRecovered = true
			break
		}
		if failureOf(t, result.Err).Reason != fetchd.ReasonServiceLost {
			t.Fatal(result.Err)
		}
		failed++
		isUp.Store(failed >= 200)
	}
	if failed < 200 || !hasRecovered {
		t.Errorf("%d failed, has recovered: %v", failed, hasRecovered)
	}
}

// Whatever way requests end, no goroutine is left.
func TestNoGoroutineIsLeft(t *testing.T) {
	fake := newFake(t, func(request batch, stream stream) error {
		stream.Send(results(0, 1))
		if len(request.Requests) > 1 {
			<-stream.Context().Done()
		}
		return nil
	})
	before := runtime.NumGoroutine()
	client, err := fetchd.New(fake.address)
	if err != nil {
		t.Fatal(err)
	}
	client.FetchAll(testContext(t), requests(1))
	for range client.Fetch(testContext(t), requests(2)) {
		break
	}
	for range client.FetchSeq(testContext(t), slices.Values(requests(2000))) {
		break
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	client.FetchAll(ctx, requests(2))
	response, err := client.Stream(testContext(t), requests(1)[0])
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	client.Close()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, and now:\n%s", before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
