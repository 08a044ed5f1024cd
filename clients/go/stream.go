package fetchd

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
)

// Stream sends one request and returns its response once the head has arrived.
// The caller must close the body, and reads it as it arrives: it is never in
// memory as a whole, and a caller that doesn't read slows down the origin.
//
// Request of the response has the final URL, after redirects. If ctx ends, or
// the body is closed early, the service stops fetching. If the body is
// incomplete, reading it fails with an [*Error].
func (c *Client) Stream(ctx context.Context, request Request) (*http.Response, error) {
	settings, err := c.listSettings(nil)
	if err != nil {
		return nil, err
	}
	head, body, err := c.open(ctx, &request, settings)
	if err != nil {
		return nil, err
	}
	response := newHTTPResponse(head, body)
	method := request.Method
	if method == "" {
		method = http.MethodGet
	}
	final := &http.Request{Method: method, Header: request.Header}
	if final.URL, _ = url.Parse(head.URL); final.URL != nil {
		final.Host = final.URL.Host
	}
	response.Request = final.WithContext(ctx)
	return response, nil
}

// StatsOf returns the counts and durations of a response of [Client.Stream] or
// [Client.RoundTripper]. They are there once its body has been read to its end,
// or to its error. A response without a body has none, and neither has one whose
// body [http.Client] has wrapped because of its Timeout.
func StatsOf(response *http.Response) (Stats, bool) {
	switch body := response.Body.(type) {
	case *streamBody:
		return body.stats()
	case *gzipBody:
		return body.source.stats()
	default:
		return Stats{}, false
	}
}

// open sends a single request and returns its head, once that has arrived. If
// the request is lost on the way it sends it again, if that is allowed.
func (c *Client) open(ctx context.Context, request *Request, settings listSettings) (*Response, *streamBody, *Error) {
	pending := newPending(0, request)
	if pending.invalid != nil {
		return nil, nil, pending.invalid
	}
	single := &single{client: c, pending: pending, settings: settings}
	single.ctx, single.cancel = c.withCancel(ctx)
	single.outage.giveUpAfter = c.settings.giveUpAfter
	if settings.timeout != nil {
		single.deadline = time.Now().Add(*settings.timeout)
	}
	head, body, err := single.send()
	if err != nil {
		single.cancel(nil)
		return nil, nil, err
	}
	return head, body, nil
}

// A single sends one request in a call of its own.
type single struct {
	client   *Client
	ctx      context.Context
	cancel   context.CancelCauseFunc
	pending  *pending
	settings listSettings
	// deadline is zero if there is none.
	deadline time.Time
	outage   outage
}

func (s *single) send() (*Response, *streamBody, *Error) {
	endpoints := s.client.endpoints
	for {
		at, err := s.acquire()
		if err != nil {
			return nil, nil, err
		}
		first, body, failed := s.call(at)
		if failed == nil {
			at.recordResult()
			body.cancel = s.cancel
			body.take(first)
			return first.head, body, nil
		}
		if s.ctx.Err() != nil {
			return nil, nil, stopped(s.ctx)
		}
		if failed.disposition == final {
			at.recordResult()
			return nil, nil, failed.err
		}
		endpoints.recordFailure(at, failed)
		s.outage.begin(time.Now(), failed)
		if !mayResend(s.pending, at, failed.disposition, endpoints) {
			return nil, nil, failed.finalError()
		}
		if failed.disposition == refused || failed.disposition == foreign {
			s.pending.refusal = failed.err
		}
	}
}

// acquire waits until an endpoint may get the request.
func (s *single) acquire() (*endpoint, *Error) {
	endpoints := s.client.endpoints
	for {
		changed := endpoints.change()
		now := time.Now()
		if s.ctx.Err() != nil {
			return nil, stopped(s.ctx)
		}
		if !s.deadline.IsZero() && !now.Before(s.deadline) {
			return nil, batchDeadline()
		}
		if end, ok := s.outage.end(); ok && !now.Before(end) {
			return nil, s.outage.err(endpoints.names())
		}
		if err := endpoints.refusal(s.pending, now); err != nil {
			return nil, err
		}
		endpoints.startProbes(s.client.ctx, now)
		at := endpoints.pick(s.pending, now, func(*endpoint) bool { return true })
		switch {
		case at == nil && !endpoints.hasUsable(now):
			s.outage.begin(now, endpoints.last())
		case at == nil:
		case s.pending.isIdempotent || at.isUsable(now, true):
			return at, nil
		default:
			endpoints.startProbe(s.client.ctx, at, now, true)
		}
		s.wait(now, changed)
	}
}

func (s *single) wait(now time.Time, changed <-chan struct{}) {
	next := now.Add(maxWait)
	if end, ok := s.outage.end(); ok && end.Before(next) {
		next = end
	}
	if due, ok := s.client.endpoints.nextProbe(); ok && due.Before(next) {
		next = due
	}
	if !s.deadline.IsZero() && s.deadline.Before(next) {
		next = s.deadline
	}
	timer := time.NewTimer(next.Sub(now))
	defer timer.Stop()
	select {
	case <-changed:
		if s.client.endpoints.hasUsable(time.Now()) {
			s.outage.recordProbe()
		}
	case <-s.ctx.Done():
	case <-timer.C:
	}
}

// call makes the call and waits for the first part of the response, which has
// its head.
func (s *single) call(at *endpoint) (*part, *streamBody, *failure) {
	at.addLoad(1)
	call := newCall(s.ctx, at, []*pending{s.pending}, 1, s.client.settings.silenceTimeout)
	call.message.Options = s.settings.batchOptions()
	if !s.deadline.IsZero() {
		call.message.Timeout = durationpb.New(max(time.Until(s.deadline), time.Millisecond))
	}
	body := &streamBody{messages: newMessages(call), context: s.ctx}
	first, failed := body.nextPart()
	if failed == nil {
		failed = headFailure(first, at)
	}
	if failed != nil {
		body.close()
		return nil, nil, failed
	}
	return first, body, nil
}

// headFailure returns why the first part of a response has no head.
func headFailure(first *part, at *endpoint) *failure {
	switch {
	case first.head != nil:
		return nil
	case first.end == nil || first.end.err == nil:
		return lostCall(contractBroken("a part before the head")).at(at.name)
	}
	err := first.end.err
	return &failure{err: err, disposition: endDisposition(err, first.end.stats.Attempts)}
}

func newHTTPResponse(head *Response, body *streamBody) *http.Response {
	code := head.StatusCode
	response := &http.Response{
		Status:        strings.TrimSpace(fmt.Sprintf("%03d %s", code, http.StatusText(code))),
		StatusCode:    code,
		Proto:         head.Proto,
		Header:        head.Header,
		ContentLength: -1,
		Body:          body,
	}
	if major, minor, ok := http.ParseHTTPVersion(response.Proto); ok {
		response.ProtoMajor, response.ProtoMinor = major, minor
	}
	// As with net/http, what frames the body is not in the header.
	if _, ok := response.Header["Transfer-Encoding"]; ok {
		response.TransferEncoding = []string{"chunked"}
		response.Header.Del("Transfer-Encoding")
		response.Header.Del("Content-Length")
		response.Header.Del("Trailer")
	}
	if length, err := strconv.ParseInt(response.Header.Get("Content-Length"), 10, 64); err == nil && length >= 0 {
		response.ContentLength = length
	}
	return response
}
