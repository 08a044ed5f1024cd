package fetchd

import (
	"compress/gzip"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"
)

// RoundTripper returns a [http.RoundTripper] that sends requests through the
// service, for an existing [http.Client]:
//
//	httpClient := &http.Client{Transport: client.RoundTripper()}
//
// It behaves like [http.Transport]. The client follows redirects and keeps
// cookies, as always. The deadline of the context becomes the timeout of the
// request. Response bodies are streamed and of any size that the service
// allows, and closing one early stops its fetch. These differ:
//
//   - The request body is read into memory before it is sent. The service
//     accepts 16 MiB unless configured otherwise.
//   - The service connects, so settings of a [http.Transport] for proxies, TLS
//     and connections don't apply, and [http.Response] has no TLS state.
//   - The Host of a request has to be that of its URL, and it can have no
//     trailers. Responses have none either. Upgrades don't work.
//   - If the service is lost with an idempotent request before the head of the
//     response has arrived, it is sent again.
//
// The options of the client for its lists don't apply. Without options of its
// own, the timeout, the idle timeout and the size of the body are as large as
// the service allows, connecting takes up to 30 s, and there is one attempt.
// [WithRequestDefaults] sets others.
func (c *Client) RoundTripper(options ...FetchOption) http.RoundTripper {
	transport := &roundTripper{client: c}
	transport.settings.defaults = transportOptions
	transport.settings.apply(options)
	return transport
}

type roundTripper struct {
	client   *Client
	settings listSettings
}

const (
	// noTimeout is longer than the longest timeout of any service, which lowers
	// it to that.
	noTimeout = 365 * 24 * time.Hour
	// originConnectTimeout is that of net/http's DefaultTransport.
	originConnectTimeout = 30 * time.Second
)

// transportOptions make a request behave as with [http.Transport].
var transportOptions = Options{
	Timeout:        noTimeout,
	IdleTimeout:    noTimeout,
	ConnectTimeout: originConnectTimeout,
	MaxRedirects:   -1,
	MaxBodyBytes:   math.MaxInt64,
	MaxAttempts:    1,
}

// RoundTrip sends one request.
func (t *roundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	sent, err := fromHTTP(request)
	if err != nil {
		return nil, err
	}
	coding := contentCoding(request)
	if coding != "" {
		sent.Header.Set("Accept-Encoding", coding)
	}
	if err := t.settings.check(); err != nil {
		return nil, err
	}
	if deadline, ok := request.Context().Deadline(); ok {
		remaining := max(time.Until(deadline), time.Millisecond)
		sent.Options.Timeout = min(remaining, t.settings.defaults.Timeout)
	}
	head, body, failed := t.client.open(request.Context(), &sent, t.settings)
	if failed != nil {
		return nil, failed
	}
	response := newHTTPResponse(head, body)
	response.Request = request
	if !hasBody(response) {
		body.Close()
		response.Body = http.NoBody
		return response, nil
	}
	if coding == "gzip" && strings.EqualFold(response.Header.Get("Content-Encoding"), "gzip") {
		response.Header.Del("Content-Encoding")
		response.Header.Del("Content-Length")
		response.ContentLength = -1
		response.Uncompressed = true
		response.Body = &gzipBody{source: body}
	}
	return response, nil
}

// fromHTTP is like [FromHTTP], but stops if the context ends, as the body may
// block.
func fromHTTP(request *http.Request) (Request, error) {
	type converted struct {
		request Request
		err     error
	}
	if request.Body == nil || request.Body == http.NoBody {
		return FromHTTP(request)
	}
	closeOnce := &onceCloser{ReadCloser: request.Body}
	clone := *request
	clone.Body = closeOnce
	done := make(chan converted, 1)
	go func() {
		result, err := FromHTTP(&clone)
		done <- converted{result, err}
	}()
	select {
	case result := <-done:
		return result.request, result.err
	case <-request.Context().Done():
		closeOnce.Close()
		return Request{}, stopped(request.Context())
	}
}

// A onceCloser closes a body once.
type onceCloser struct {
	io.ReadCloser
	once sync.Once
	err  error
}

func (c *onceCloser) Close() error {
	c.once.Do(func() { c.err = c.ReadCloser.Close() })
	return c.err
}

// contentCoding returns the coding to ask for, or "" if the request does so
// itself. As http.Transport does, the client decompresses the body. Otherwise it
// would not know whether the service has.
func contentCoding(request *http.Request) string {
	switch {
	case request.Header.Get("Accept-Encoding") != "" || request.Header.Get("Range") != "":
		return ""
	case request.Method == http.MethodHead:
		return "identity"
	default:
		return "gzip"
	}
}

// hasBody returns true if the response has a body, even an empty one.
func hasBody(response *http.Response) bool {
	switch {
	case response.Request.Method == http.MethodHead:
		return false
	case response.StatusCode == http.StatusNoContent || response.StatusCode == http.StatusNotModified:
		response.ContentLength = 0
		return false
	default:
		return response.ContentLength != 0
	}
}

// A gzipBody decompresses a body.
type gzipBody struct {
	source *streamBody
	reader *gzip.Reader
	err    error
}

func (b *gzipBody) Read(p []byte) (int, error) {
	if b.err == nil && b.reader == nil {
		b.reader, b.err = gzip.NewReader(b.source)
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.reader.Read(p)
}

func (b *gzipBody) Close() error { return b.source.Close() }
