package fetchd_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	fetchd "github.com/fetchd/fetchd/clients/go"
	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

type (
	batch  = *fetchdv1.FetchBatchRequest
	stream = grpc.ServerStreamingServer[fetchdv1.FetchBatchResponse]
)

func withDetails(code codes.Code, details ...protoadapt.MessageV1) error {
	status, err := status.New(code, "as the test wants").WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return status.Err()
}

var (
	draining = withDetails(codes.Unavailable, &errdetails.ErrorInfo{Reason: "DRAINING", Domain: "fetchd"})
	full     = withDetails(codes.ResourceExhausted, &errdetails.RetryInfo{RetryDelay: durationpb.New(10 * time.Millisecond)})
)

func failureOf(t testing.TB, err error) *fetchd.Error {
	t.Helper()
	var failure *fetchd.Error
	if !errors.As(err, &failure) {
		t.Fatalf("expected a *fetchd.Error, got %v", err)
	}
	return failure
}

// end returns a message with the end of the first request.
func end(reason fetchdv1.Reason, attempts uint32) *fetchdv1.FetchBatchResponse {
	return &fetchdv1.FetchBatchResponse{Parts: []*fetchdv1.ResultPart{{End: &fetchdv1.FetchEnd{
		Attempts: attempts,
		Error:    &fetchdv1.FetchError{Reason: reason, Message: "as the test wants", Retryable: true},
	}}}}
}

// A request is sent again after the first call has failed, if that is safe.
func TestRequestsAreSentAgainIfThatIsSafe(t *testing.T) {
	fails := func(err error) answer {
		return func(batch, stream) error { return err }
	}
	sends := func(message *fetchdv1.FetchBatchResponse) answer {
		return func(_ batch, stream stream) error { return stream.Send(message) }
	}
	const (
		both  = "GET POST"
		gets  = "GET"
		none  = ""
		maybe = "; the request may have reached its origin and was not sent again"
	)
	for name, test := range map[string]struct {
		first answer
		// again are the methods that are sent again.
		again string
		// reason and message are those of the others.
		reason  fetchd.Reason
		message string
	}{
		"draining":                 {fails(draining), both, "", ""},
		"full":                     {fails(full), both, "", ""},
		"unavailable":              {fails(withDetails(codes.Unavailable)), gets, fetchd.ReasonServiceLost, maybe},
		"another drain":            {fails(withDetails(codes.Unavailable, &errdetails.ErrorInfo{Reason: "DRAINING", Domain: "proxy"})), gets, fetchd.ReasonServiceLost, maybe},
		"exhausted":                {fails(withDetails(codes.ResourceExhausted)), gets, fetchd.ReasonServiceLost, maybe},
		"internal":                 {fails(withDetails(codes.Internal)), gets, fetchd.ReasonServiceLost, maybe},
		"deadline":                 {fails(withDetails(codes.DeadlineExceeded)), gets, fetchd.ReasonServiceLost, maybe},
		"cancelled":                {fails(withDetails(codes.Canceled)), gets, fetchd.ReasonServiceLost, maybe},
		"unknown":                  {fails(withDetails(codes.Unknown)), gets, fetchd.ReasonServiceLost, maybe},
		"invalid":                  {fails(withDetails(codes.InvalidArgument)), none, fetchd.ReasonCallFailed, "as the test wants"},
		"too large":                {fails(withDetails(codes.OutOfRange)), none, fetchd.ReasonCallFailed, "as the test wants"},
		"unauthenticated":          {fails(withDetails(codes.Unauthenticated)), none, fetchd.ReasonCallFailed, "as the test wants"},
		"unimplemented":            {fails(withDetails(codes.Unimplemented)), none, fetchd.ReasonCallFailed, "as the test wants"},
		"denied":                   {fails(withDetails(codes.PermissionDenied)), none, fetchd.ReasonCallFailed, "as the test wants"},
		"shutting down, unsent":    {sends(end(fetchdv1.Reason_REASON_SHUTTING_DOWN, 0)), both, "", ""},
		"shutting down, sent":      {sends(end(fetchdv1.Reason_REASON_SHUTTING_DOWN, 1)), gets, fetchd.ReasonShuttingDown, "as the test wants"},
		"a failed fetch":           {sends(end(fetchdv1.Reason_REASON_TIMEOUT, 3)), none, fetchd.ReasonTimeout, "as the test wants"},
		"a reason of the future":   {sends(end(99, 1)), none, "REASON_99", "as the test wants"},
		"no end":                   {sends(&fetchdv1.FetchBatchResponse{}), gets, fetchd.ReasonContractBroken, "without an end for each request"},
		"an index out of range":    {sends(results(1, 2)), gets, fetchd.ReasonContractBroken, "index out of range"},
		"draining after a message": {func(_ batch, stream stream) error { stream.Send(&fetchdv1.FetchBatchResponse{}); return draining }, gets, fetchd.ReasonServiceLost, maybe},
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(name+", "+method, func(t *testing.T) {
				t.Parallel()
				var calls atomic.Int32
				fake := newFake(t, func(request batch, stream stream) error {
					if calls.Add(1) == 1 {
						return test.first(request, stream)
					}
					return answerAll(request, stream)
				})
				request := fetchd.Request{URL: "http://origin.example/", Method: method}
				client := newClient(t, fake.address)
				check := func(err error) {
					t.Helper()
					isSentAgain := strings.Contains(test.again, method)
					if isSentAgain != (calls.Load() == 2) || isSentAgain != (err == nil) {
						t.Fatalf("%d calls, and the error %v", calls.Load(), err)
					}
					if err == nil {
						return
					}
					failure := failureOf(t, err)
					if failure.Reason != test.reason || !strings.HasSuffix(failure.Message, test.message) {
						t.Errorf("got %v", err)
					}
				}
				check(client.FetchAll(testContext(t), []fetchd.Request{request})[0].Err)
				calls.Store(0)
				response, err := client.Stream(testContext(t), request)
				if err == nil {
					response.Body.Close()
				}
				check(err)
			})
		}
	}
}

func TestCodeOfAFailedCall(t *testing.T) {
	fake := newFake(t, func(batch, stream) error { return withDetails(codes.Unauthenticated) })
	results := newClient(t, fake.address).FetchAll(testContext(t), fetchd.Get("http://origin.example/"))
	failure := failureOf(t, results[0].Err)
	if failure.Code != codes.Unauthenticated || status.Code(failure) != codes.Unauthenticated || failure.Retryable {
		t.Errorf("got %+v", failure)
	}
}

// Results that arrived before a call fails stay, and only the others are sent
// again.
func TestPartialResultsAreKept(t *testing.T) {
	var calls atomic.Int32
	fake := newFake(t, func(request batch, stream stream) error {
		if calls.Add(1) == 1 {
			stream.Send(results(0, 3))
			return withDetails(codes.Unavailable)
		}
		return answerAll(request, stream)
	})
	requests := fetchd.Get("http://a/", "http://b/", "http://c/", "http://d/", "http://e/")
	requests[4].Method = "POST"
	all := newClient(t, fake.address).FetchAll(testContext(t), requests)
	for index, result := range all {
		if (result.Err != nil) != (index == 4) {
			t.Errorf("result %d: %v", index, result.Err)
		}
	}
	received := fake.received()
	if len(received) != 2 || len(received[1].Requests) != 1 || received[1].Requests[0].Url != "http://d/" {
		t.Errorf("got the calls %v", received)
	}
}

func TestAnotherEndpointMayAcceptARefusedCall(t *testing.T) {
	for _, code := range []codes.Code{codes.Unauthenticated, codes.Unimplemented, codes.InvalidArgument} {
		refuses := newFake(t, func(batch, stream) error { return withDetails(code) })
		accepts := newFake(t, answerAll)
		client := newClient(t, refuses.address+","+accepts.address)
		for range 10 {
			results := client.FetchAll(testContext(t), fetchd.Get("http://origin.example/"))
			if results[0].Err != nil {
				t.Errorf("%v: %v", code, results[0].Err)
			}
		}
		if len(accepts.received()) != 10 {
			t.Errorf("%v: %d calls accepted", code, len(accepts.received()))
		}
	}
}

// There is no waiting for an endpoint that does not answer, if all others have
// refused.
func TestRefusalOfAllThatAnswerIsFinal(t *testing.T) {
	refuses := newFake(t, func(batch, stream) error { return withDetails(codes.Unauthenticated) })
	begun := time.Now()
	results := newClient(t, "127.0.0.1:1,"+refuses.address).
		FetchAll(testContext(t), fetchd.Get("http://origin.example/"))
	if failure := failureOf(t, results[0].Err); failure.Code != codes.Unauthenticated {
		t.Errorf("got %v", failure)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}

// What refuses even a probe is no service, and there is nothing to wait for.
func TestPeerThatIsNoServiceIsFinal(t *testing.T) {
	fake := newFake(t, answerAll)
	fake.probe = func() error { return withDetails(codes.Unimplemented) }
	begun := time.Now()
	client := newClient(t, fake.address)
	results := client.FetchAll(testContext(t), fetchd.Get("http://origin.example/"))
	if failure := failureOf(t, results[0].Err); failure.Reason != fetchd.ReasonCallFailed || failure.Code != codes.Unimplemented {
		t.Errorf("got %v", failure)
	}
	if _, err := client.Stream(testContext(t), fetchd.Request{URL: "http://origin.example/"}); failureOf(t, err).Code != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestClientGivesUp(t *testing.T) {
	busy := newFake(t, func(batch, stream) error { return full })
	for name, test := range map[string]struct {
		address string
		wait    time.Duration
		message string
	}{
		"gone": {"127.0.0.1:1", 300 * time.Millisecond, "no replica accepted a request for 300ms (of 127.0.0.1:1); last error: 127.0.0.1:1: "},
		"full": {busy.address, 1200 * time.Millisecond, "no replica accepted a request for 1.2s (of " + busy.address + "); last error: " + busy.address + ": as the test wants"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, test.address, fetchd.WithGiveUpAfter(300*time.Millisecond))
			check := func(begun time.Time, err error) {
				t.Helper()
				failure := failureOf(t, err)
				if failure.Reason != fetchd.ReasonServiceLost || !failure.Retryable || !strings.HasPrefix(failure.Message, test.message) {
					t.Errorf("got %v", failure)
				}
				if took := time.Since(begun); took < test.wait || took > test.wait+500*time.Millisecond {
					t.Errorf("it took %v", took)
				}
			}
			begun := time.Now()
			requests := fetchd.Get("http://a/", "http://b/")
			requests[1].Method = "POST"
			for _, result := range client.FetchAll(testContext(t), requests) {
				check(begun, result.Err)
			}
			begun = time.Now()
			_, err := client.Stream(testContext(t), requests[1])
			check(begun, err)
		})
	}
}

// gRPC cannot tell whether a failed call has left. So a request that must not be
// sent twice goes to an endpoint that has just answered.
func TestPOSTFollowsAnAnswer(t *testing.T) {
	var probes atomic.Int32
	fake := newFake(t, answerAll)
	fake.probe = func() error { probes.Add(1); return nil }
	client := newClient(t, fake.address)
	request := fetchd.Request{URL: "http://origin.example/"}
	list := func(method string) error {
		request.Method = method
		return client.FetchAll(testContext(t), []fetchd.Request{request})[0].Err
	}
	single := func(method string) error {
		request.Method = method
		response, err := client.Stream(testContext(t), request)
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	for index, step := range []struct {
		send   func(string) error
		method string
		age    time.Duration
		probes int32
	}{
		{list, "GET", 0, 1}, // The endpoint has never answered.
		{list, "POST", 0, 1},
		{single, "POST", 0, 1},
		{list, "GET", 2 * time.Second, 1},
		{single, "GET", 2 * time.Second, 1},
		{list, "POST", 2 * time.Second, 2},
		{single, "POST", 2 * time.Second, 3},
	} {
		client.AgeAnswers(step.age)
		if err := step.send(step.method); err != nil {
			t.Errorf("step %d: %v", index, err)
		}
		if got := probes.Load(); got != step.probes {
			t.Errorf("step %d: %d probes", index, got)
		}
	}
}

func TestSilentServiceIsLost(t *testing.T) {
	for _, messages := range []int{0, 1} {
		silent := newFake(t, func(_ batch, stream stream) error {
			for range messages {
				stream.Send(&fetchdv1.FetchBatchResponse{})
			}
			<-stream.Context().Done()
			return nil
		})
		client := newClient(t, silent.address, fetchd.WithSilenceTimeout(200*time.Millisecond))
		begun := time.Now()
		results := client.FetchAll(testContext(t), []fetchd.Request{{URL: "http://a/", Method: "POST"}})
		message := failureOf(t, results[0].Err).Message
		if !strings.Contains(message, "sent nothing for 200ms while requests were open; the request may have") {
			t.Errorf("after %d messages: got %q", messages, message)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("after %d messages: it took %v", messages, took)
		}
	}
}

func TestEmptyMessagesKeepACallAlive(t *testing.T) {
	fake := newFake(t, func(request batch, stream stream) error {
		for range 8 {
			time.Sleep(100 * time.Millisecond)
			stream.Send(&fetchdv1.FetchBatchResponse{})
		}
		return answerAll(request, stream)
	})
	client := newClient(t, fake.address, fetchd.WithSilenceTimeout(400*time.Millisecond))
	results := client.FetchAll(testContext(t), []fetchd.Request{{URL: "http://a/", Method: "POST"}})
	if results[0].Err != nil {
		t.Error(results[0].Err)
	}
}

// A service that has sent all results may end the call late, or never.
func TestResultsDoNotWaitForTheEndOfTheCall(t *testing.T) {
	fake := newFake(t, func(request batch, stream stream) error {
		answerAll(request, stream)
		<-stream.Context().Done()
		return nil
	})
	begun := time.Now()
	results := newClient(t, fake.address).FetchAll(testContext(t), fetchd.Get("http://a/"))
	if took := time.Since(begun); results[0].Err != nil || took > time.Second {
		t.Errorf("got %v after %v", results[0].Err, took)
	}
}

// The service would count a call as cancelled if it ended before the service
// ends it.
func TestCompleteCallIsNotCancelled(t *testing.T) {
	ended := make(chan error, 2)
	fake := newFake(t, func(request batch, stream stream) error {
		answerAll(request, stream)
		select {
		case <-stream.Context().Done():
		case <-time.After(200 * time.Millisecond):
		}
		ended <- stream.Context().Err()
		return nil
	})
	client := newClient(t, fake.address)
	client.FetchAll(testContext(t), fetchd.Get("http://a/"))
	response, err := client.Stream(testContext(t), fetchd.Request{URL: "http://a/"})
	read(t, response, err)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
