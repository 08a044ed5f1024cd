package fetchd_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	fetchd "github.com/fetchd/fetchd/clients/go"
	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

// httpClient returns a client of net/http that goes through a service.
func httpClient(t testing.TB) *http.Client {
	return &http.Client{Transport: newClient(t, serve(t).address).RoundTripper()}
}

// read returns the body of a response.
func read(t testing.TB, response *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestHTTPClientFollowsRedirects(t *testing.T) {
	server := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if code, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/")); err == nil {
			http.Redirect(w, r, "/to", code)
			return
		}
		if r.URL.Path == "/loop" {
			http.Redirect(w, r, "/loop", http.StatusFound)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
	})
	client := httpClient(t)
	for code, want := range map[int]string{302: "GET /to ", 303: "GET /to ", 307: "POST /to sent", 308: "POST /to sent"} {
		response, err := client.Post(fmt.Sprintf("%s/%d", server.URL, code), "text/plain", strings.NewReader("sent"))
		if got := read(t, response, err); got != want {
			t.Errorf("%d: got %q, expected %q", code, got, want)
		}
		if got := response.Request.URL.Path; got != "/to" {
			t.Errorf("%d: got the final path %s", code, got)
		}
	}
	if _, err := client.Get(server.URL + "/loop"); err == nil || !strings.Contains(err.Error(), "stopped after 10 redirects") {
		t.Errorf("a loop: got %v", err)
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Get(server.URL + "/302")
	read(t, response, err)
	if response.StatusCode != 302 || response.Header.Get("Location") != "/to" {
		t.Errorf("the last response: got %d to %q", response.StatusCode, response.Header.Get("Location"))
	}
}

func TestHTTPClientKeepsCookiesAndCredentials(t *testing.T) {
	server := origin(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "7"})
		cookie, _ := r.Cookie("session")
		fmt.Fprintf(w, "%v%v", cookie, r.Header["Authorization"])
	})
	client := httpClient(t)
	client.Jar, _ = cookiejar.New(nil)
	first, err := client.Get(server.URL)
	if got := read(t, first, err); got != "[]" {
		t.Errorf("the first time: got %s", got)
	}
	withUser := strings.Replace(server.URL, "//", "//user:password@", 1)
	second, err := client.Get(withUser)
	basic := base64.StdEncoding.EncodeToString([]byte("user:password"))
	if got := read(t, second, err); got != "session=7[Basic "+basic+"]" {
		t.Errorf("the second time: got %s", got)
	}
}

// A body records whether it was closed.
type body struct {
	io.Reader
	closed atomic.Bool
}

func (b *body) Close() error {
	b.closed.Store(true)
	return nil
}

func TestRoundTripperKeepsTheContract(t *testing.T) {
	server := origin(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	})
	transport := httpClient(t).Transport
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, test := range map[string]struct {
		change  func(*http.Request)
		problem string
	}{
		"valid":             {func(*http.Request) {}, ""},
		"unknown length":    {func(r *http.Request) { r.ContentLength = -1 }, ""},
		"wrong length":      {func(r *http.Request) { r.ContentLength = 3 }, "INVALID_REQUEST: ContentLength: expected that of the body, 4, got 3"},
		"no URL":            {func(r *http.Request) { r.URL = nil }, "INVALID_REQUEST: URL: expected an absolute URL, got nil"},
		"no scheme":         {func(r *http.Request) { r.URL.Scheme = "" }, "INVALID_REQUEST"},
		"another scheme":    {func(r *http.Request) { r.URL.Scheme = "ftp" }, "INVALID_REQUEST"},
		"another host":      {func(r *http.Request) { r.Host = "other.example" }, "INVALID_REQUEST: Host: expected the host of the URL"},
		"trailers":          {func(r *http.Request) { r.Trailer = http.Header{"A": nil} }, "INVALID_REQUEST: Trailer: expected none"},
		"lower case":        {func(r *http.Request) { r.Method = "post" }, "INVALID_REQUEST"},
		"a wrong header":    {func(r *http.Request) { r.Header["A b"] = []string{""} }, "INVALID_REQUEST"},
		"a non-ASCII name":  {func(r *http.Request) { r.Header["Ä"] = []string{""} }, "INVALID_REQUEST: Header: expected an ASCII name, got \"Ä\""},
		"a control char":    {func(r *http.Request) { r.Header.Set("A", "a\r\nB: b") }, "INVALID_REQUEST"},
		"canceled":          {func(r *http.Request) { *r = *r.WithContext(canceled) }, "context canceled"},
		"blocked":           {func(r *http.Request) { r.URL.Host, r.Host = "[::1]:1", "" }, "BLOCKED"},
		"refused":           {func(r *http.Request) { r.URL.Host, r.Host = "127.0.0.1:1", "" }, "CONNECT"},
		"no header":         {func(r *http.Request) { r.Header = nil }, ""},
		"no method":         {func(r *http.Request) { r.Method = "" }, ""},
		"user and password": {func(r *http.Request) { r.URL.User = url.UserPassword("u", "p") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequest("POST", server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			sent := &body{Reader: strings.NewReader("sent")}
			request.Body = sent
			request.ContentLength = 4
			test.change(request)
			before := request.Clone(request.Context())
			response, err := transport.RoundTrip(request)
			if test.problem == "" {
				if got := read(t, response, err); got != "sent" {
					t.Errorf("got %q", got)
				}
				if response.Request != request {
					t.Error("the response has another request")
				}
			} else if err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("got the error %v, expected %q", err, test.problem)
			}
			if (response == nil) != (err != nil) {
				t.Errorf("got the response %v and the error %v", response, err)
			}
			if !sent.closed.Load() {
				t.Error("the body is open")
			}
			if before.Body = request.Body; !reflect.DeepEqual(request, before) {
				t.Errorf("the request was changed from %+v to %+v", before, request)
			}
		})
	}
}

func TestRoundTripperIsSafeForConcurrentUse(t *testing.T) {
	server := origin(t, echo)
	client := httpClient(t)
	var running sync.WaitGroup
	for worker := range 20 {
		running.Add(1)
		go func() {
			defer running.Done()
			for round := range 10 {
				path := fmt.Sprintf("%d-%d", worker, round)
				response, err := client.Get(server.URL + "/" + path)
				if err != nil {
					t.Error(err)
					return
				}
				defer response.Body.Close()
				if got, err := io.ReadAll(response.Body); err != nil || string(got) != path {
					t.Errorf("got %q, %v", got, err)
				}
			}
		}()
	}
	running.Wait()
}

// A stalling origin sends a part of a body, then nothing until its caller is
// gone.
type stalling struct {
	url string
	// reached receives when a request arrives, and gone when its caller has left.
	reached, gone chan time.Time
}

func newStalling(t testing.TB) *stalling {
	origin := &stalling{reached: make(chan time.Time, 10), gone: make(chan time.Time, 10)}
	origin.url = originURL(t, func(w http.ResponseWriter, r *http.Request) {
		origin.reached <- time.Now()
		if r.URL.Path == "/body" {
			w.Header().Set("Content-Length", "1000000")
			w.Write(bytes.Repeat([]byte("x"), 200_000))
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
		origin.gone <- time.Now()
	})
	return origin
}

// waitUntilGone checks that the caller leaves soon after from.
func (s *stalling) waitUntilGone(t testing.TB, from time.Time) {
	t.Helper()
	select {
	case at := <-s.gone:
		if took := at.Sub(from); took > 500*time.Millisecond {
			t.Errorf("the origin noticed after %v", took)
		}
	case <-time.After(5 * time.Second):
		t.Error("the origin has not noticed")
	}
}

func originURL(t testing.TB, handler http.HandlerFunc) string {
	return origin(t, handler).URL
}

func TestContextCancelsAnHTTPRequest(t *testing.T) {
	stalling := newStalling(t)
	client := httpClient(t)
	for _, path := range []string{"/head", "/body"} {
		cause := errors.New("changed my mind")
		ctx, cancel := context.WithCancelCause(context.Background())
		var at time.Time
		time.AfterFunc(200*time.Millisecond, func() {
			at = time.Now()
			cancel(cause)
		})
		request, _ := http.NewRequestWithContext(ctx, "GET", stalling.url+path, nil)
		response, err := client.Do(request)
		if path == "/body" {
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, response.Body)
		}
		var failure *fetchd.Error
		if !errors.As(err, &failure) || failure.Reason != fetchd.ReasonCanceled || !errors.Is(err, cause) {
			t.Errorf("%s: got %v", path, err)
		}
		stalling.waitUntilGone(t, at)
	}
}

func TestClosingABodyEarlyCancelsIt(t *testing.T) {
	stalling := newStalling(t)
	response, err := httpClient(t).Get(stalling.url + "/body")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(response.Body, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	stalling.waitUntilGone(t, at)
	if _, err := response.Body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
		t.Errorf("reading a closed body: got %v", err)
	}
}

func TestClosingABodyEndsARead(t *testing.T) {
	stalling := newStalling(t)
	response, err := httpClient(t).Get(stalling.url + "/body")
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { response.Body.Close() })
	if _, err := io.Copy(io.Discard, response.Body); err != http.ErrBodyReadAfterClose {
		t.Errorf("got %v", err)
	}
}

func TestTimeoutsOfHTTPClients(t *testing.T) {
	stalling := newStalling(t)
	client := httpClient(t)
	client.Timeout = 300 * time.Millisecond
	for _, path := range []string{"/head", "/body"} {
		begun := time.Now()
		response, err := client.Get(stalling.url + path)
		if path == "/body" {
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, response.Body)
		}
		var timeout interface{ Timeout() bool }
		if !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v", path, err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("%s: it took %v", path, took)
		}
		stalling.waitUntilGone(t, time.Now())
	}
}

func TestBlockedUploadIsCancelled(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	reader, writer := io.Pipe()
	defer writer.Close()
	request, _ := http.NewRequestWithContext(ctx, "POST", "http://127.0.0.1:1/", reader)
	if _, err := httpClient(t).Do(request); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := writer.Write([]byte("x")); err != io.ErrClosedPipe {
		t.Errorf("the body is open: %v", err)
	}
}

func TestLargeBodiesAreStreamed(t *testing.T) {
	const size = 40 << 20
	half := make(chan struct{})
	server := origin(t, func(w http.ResponseWriter, r *http.Request) {
		chunk := bytes.Repeat([]byte("x"), 1<<20)
		for index := range size / len(chunk) {
			if index == size/len(chunk)/2 {
				<-half
			}
			w.Write(chunk)
		}
	})
	response, err := httpClient(t).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	// The first part arrives although the origin waits for us.
	first, err := io.CopyN(io.Discard, response.Body, size/4)
	if err != nil {
		t.Fatal(err)
	}
	close(half)
	rest, err := io.Copy(io.Discard, response.Body)
	if first+rest != size || err != nil {
		t.Errorf("got %d bytes, %v", first+rest, err)
	}
	if stats, ok := fetchd.StatsOf(response); !ok || stats.BodyBytes != size || stats.Attempts != 1 {
		t.Errorf("got %+v, %v", stats, ok)
	}
}

func TestBrokenBodyIsAnError(t *testing.T) {
	server := origin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "too short")
	})
	response, err := httpClient(t).Get(server.URL)
	if err == nil {
		defer response.Body.Close()
		_, err = io.ReadAll(response.Body)
	}
	var failure *fetchd.Error
	if !errors.As(err, &failure) || failure.Reason != fetchd.ReasonDisconnected {
		t.Errorf("got %v", err)
	}
}

func TestStreamsThatContradictAreErrors(t *testing.T) {
	head := &fetchdv1.ResponseHead{Status: 200}
	for problem, parts := range map[string][]*fetchdv1.ResultPart{
		"a body of another size than its end reports": {{Head: head, Body: []byte("a")}, {End: &fetchdv1.FetchEnd{BodyBytes: 2}}},
		"a second head":                                    {{Head: head}, {Head: head}},
		"a part with an index out of range":                {{Head: head}, {Index: 1}},
		"the stream ended without an end for each request": {{Head: head, Body: []byte("a")}},
		"a part before the head":                           {{Body: []byte("a")}},
	} {
		fake := newFake(t, func(_ batch, stream stream) error {
			return stream.Send(&fetchdv1.FetchBatchResponse{Parts: parts})
		})
		response, err := newClient(t, fake.address).Stream(testContext(t), fetchd.Request{URL: "http://a/", Method: "POST"})
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		failure := failureOf(t, err)
		if failure.Reason != fetchd.ReasonContractBroken || !strings.HasSuffix(failure.Message, "the service broke its contract: "+problem) {
			t.Errorf("%s: got %v", problem, failure)
		}
	}
}

// The service must not surprise by its defaults, which net/http does not have.
func TestRoundTripperAsksForTransportLimits(t *testing.T) {
	var options []*fetchdv1.FetchOptions
	fake := newFake(t, func(request *fetchdv1.FetchBatchRequest, stream grpc.ServerStreamingServer[fetchdv1.FetchBatchResponse]) error {
		options = append(options, request.Options, request.Requests[0].Options)
		return stream.Send(results(0, 1))
	})
	transport := newClient(t, fake.address, fetchd.WithFetchOptions(
		fetchd.WithRequestDefaults(fetchd.Options{MaxRedirects: 5, Timeout: time.Second}),
	)).RoundTripper()
	response, err := (&http.Client{Transport: transport}).Get("http://origin.example/")
	read(t, response, err)
	batch, own := options[0], options[1]
	if own != nil {
		t.Errorf("the request has options: %v", own)
	}
	if batch.MaxRedirects == nil || *batch.MaxRedirects != 0 || *batch.MaxAttempts != 1 {
		t.Errorf("got %v", batch)
	}
	if *batch.MaxBodyBytes < 1<<40 || batch.Timeout.AsDuration() < time.Hour || batch.IdleTimeout.AsDuration() < time.Hour {
		t.Errorf("got %v", batch)
	}
	response, err = (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get("http://origin.example/")
	read(t, response, err)
	if got := options[3].Timeout.AsDuration(); got < 19*time.Second || got > 20*time.Second {
		t.Errorf("got the timeout %v", got)
	}
}
