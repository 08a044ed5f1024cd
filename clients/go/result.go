package fetchd

import (
	"net/http"
	"time"
)

// A Result is the outcome of one request.
type Result struct {
	// Index is the position of the request in its list, from 0.
	Index int
	// Request is the request.
	Request *Request
	// Response is the response of the origin. If Err is set, it is nil or
	// incomplete: the service may have received only a part of it.
	Response *Response
	// Err tells why there is no complete response. It is nil or an [*Error]. A
	// status such as 404 or 500 is not an error.
	Err error
	// Stats has the counts and durations of the request.
	Stats Stats
}

// A Response is the response of an origin.
type Response struct {
	// StatusCode is the HTTP status code.
	StatusCode int
	// Header has the header lines, without Content-Encoding and Content-Length
	// if the service has decompressed the body. Values may have bytes that are
	// not UTF-8.
	Header http.Header
	// Body is the body. It is empty, not nil, if there is none.
	Body []byte
	// URL is the URL that responded, after redirects.
	URL string
	// Proto is the version of HTTP, for example "HTTP/1.1". It is empty if it
	// is unknown.
	Proto string
}

// Stats are the counts and durations of one request. A duration is 0 if its
// phase was not reached, or was not needed.
type Stats struct {
	// Attempts is the number of attempts. It is 0 if the request was never
	// dispatched.
	Attempts int
	// Redirects is the number of redirects that the last attempt followed.
	Redirects int
	// Truncated is true if the body was cut at Options.MaxBodyBytes because of
	// Options.Truncate.
	Truncated bool
	// BodyBytes is the size of the body, in bytes.
	BodyBytes int64

	// Queued is the time spent waiting for a slot.
	Queued time.Duration
	// FirstByte is the time from the dispatch to the head of the response.
	FirstByte time.Duration
	// Total is the time from the first dispatch to the end.
	Total time.Duration
	// DNS, Connect and TLS are the times for connecting, in the last hop of the
	// last attempt. They are 0 if it reused a connection.
	DNS, Connect, TLS time.Duration
	// ConnectionReused is true if the last hop of the last attempt used a
	// connection that had carried a request before.
	ConnectionReused bool
	// Earlier is the time for earlier attempts and redirects, and for the waits
	// between them.
	Earlier time.Duration
}
