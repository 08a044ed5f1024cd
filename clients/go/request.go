package fetchd

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

// A Request is one HTTP request. The service checks it: an invalid one ends
// with [ReasonInvalidRequest] in its place of the list.
type Request struct {
	// URL is an absolute http or https URL of at most 16 KiB.
	URL string
	// Method is the HTTP method in upper case. If empty, GET.
	Method string
	// Header has the header lines to send. Connection, Content-Length, Expect,
	// Host, Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding and Upgrade are
	// not accepted. With Accept-Encoding or Range, the body is returned as the
	// origin sent it. Without, the service decompresses it.
	Header http.Header
	// Body is the request body.
	Body []byte
	// Options limit the request.
	Options
}

// Get returns a GET request for each URL.
func Get(urls ...string) []Request {
	requests := make([]Request, len(urls))
	for index, url := range urls {
		requests[index].URL = url
	}
	return requests
}

// FromHTTP converts a request of net/http. It reads the body into memory and
// closes it.
//
// The context of request does not apply: the list has its own. Headers that the
// transport of net/http sets itself, such as Host and Content-Length, are left
// out, as that transport does.
func FromHTTP(request *http.Request) (Request, error) {
	body, err := readBody(request)
	if err != nil {
		return Request{}, err
	}
	if err := checkHTTP(request); err != nil {
		return Request{}, err
	}
	url := *request.URL
	url.User = nil
	return Request{
		URL:    url.String(),
		Method: request.Method,
		Header: sendable(request.Header),
		Body:   body,
	}, nil
}

// readBody reads the whole body and closes it, if there is one.
func readBody(request *http.Request) ([]byte, error) {
	if request.Body == nil {
		return nil, nil
	}
	defer request.Body.Close()
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	// 0 and -1 stand for an unknown length.
	if length := request.ContentLength; length > 0 && length != int64(len(body)) {
		return nil, invalidRequest("ContentLength: expected that of the body, %d, got %d", len(body), length)
	}
	return body, nil
}

// checkHTTP refuses what the service cannot send.
func checkHTTP(request *http.Request) error {
	switch {
	case request.URL == nil:
		return invalidRequest("URL: expected an absolute URL, got nil")
	case request.Host != "" && !strings.EqualFold(request.Host, request.URL.Host):
		return invalidRequest("Host: expected the host of the URL, %q, got %q", request.URL.Host, request.Host)
	case len(request.Trailer) > 0:
		return invalidRequest("Trailer: expected none, since the service sends no trailers")
	default:
		return nil
	}
}

// sendable returns header without the lines that belong to a connection or that
// net/http never sends from it.
func sendable(header http.Header) http.Header {
	kept := make(http.Header, len(header))
	for name, values := range header {
		switch http.CanonicalHeaderKey(name) {
		case "Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Connection",
			"Te", "Trailer", "Transfer-Encoding":
		default:
			kept[name] = values
		}
	}
	return kept
}

// message converts the request to its message. It fails if that is impossible,
// before anything is sent.
func (r *Request) message() (*fetchdv1.FetchRequest, *Error) {
	options, err := r.Options.message()
	if err != nil {
		return nil, err
	}
	if !utf8.ValidString(r.URL) {
		return nil, invalidRequest("URL: expected UTF-8 text")
	}
	if !utf8.ValidString(r.Method) {
		return nil, invalidRequest("Method: expected UTF-8, got %q", r.Method)
	}
	message := &fetchdv1.FetchRequest{Url: r.URL, Method: r.Method, Body: r.Body, Options: options}
	for name, values := range r.Header {
		if !isASCII(name) {
			return nil, invalidRequest("Header: expected an ASCII name, got %q", name)
		}
		for _, value := range values {
			message.Headers = append(message.Headers, &fetchdv1.Header{Name: name, Value: []byte(value)})
		}
	}
	return message, nil
}

func isASCII(text string) bool {
	for index := range len(text) {
		if text[index] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// A pending is a request without a result.
type pending struct {
	index   int
	request *Request
	message *fetchdv1.FetchRequest
	// invalid is set if the request can't be sent.
	invalid *Error
	// size is the size of the message in a call, in bytes.
	size         int
	isIdempotent bool
	losses       int
	// failedAt are the endpoints that have failed the request.
	failedAt []*endpoint
	// refusal is the error of the last endpoint that has refused the request.
	refusal *Error
}

func newPending(index int, request *Request) *pending {
	message, err := request.message()
	if err != nil {
		return &pending{index: index, request: request, invalid: err}
	}
	return &pending{
		index:        index,
		request:      request,
		message:      message,
		size:         proto.Size(message) + fieldOverhead,
		isIdempotent: isIdempotent(message.Method),
	}
}

// failed returns the result of a request that has failed with err.
func (p *pending) failed(err *Error) Result {
	return Result{Index: p.index, Request: p.request, Err: err}
}

// fieldOverhead is what a request takes in a call besides its own message: the
// tag and the length.
const fieldOverhead = 6

func isIdempotent(method string) bool {
	switch method {
	case "", "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	default:
		return false
	}
}

func (p *pending) avoid(at *endpoint) {
	if !p.avoids(at) {
		p.failedAt = append(p.failedAt, at)
	}
}

func (p *pending) avoids(at *endpoint) bool {
	return slices.Contains(p.failedAt, at)
}

// countLoss counts a loss, and returns how many there are.
func (p *pending) countLoss() int {
	p.losses++
	return p.losses
}
