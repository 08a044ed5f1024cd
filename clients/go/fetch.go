package fetchd

import (
	"context"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

// A FetchOption is a setting of one list.
type FetchOption func(*listSettings)

type listSettings struct {
	// concurrency is 0 for the default.
	concurrency int
	// timeout is nil for none.
	timeout  *time.Duration
	defaults Options
}

// defaultConcurrency is what services use if a call sets none.
const defaultConcurrency = 50

// WithConcurrency sets how many requests of the list are in flight at once.
// Default 50. The service lowers it to its maximum, 512 unless configured
// otherwise.
func WithConcurrency(count int) FetchOption {
	return func(s *listSettings) { s.concurrency = count }
}

// WithTimeout limits the time for the whole list. Requests that are unfinished
// by then end with [ReasonBatchDeadline], within a second. Default none. The
// deadline of the context applies as well.
func WithTimeout(timeout time.Duration) FetchOption {
	return func(s *listSettings) { s.timeout = &timeout }
}

// WithRequestDefaults sets the options of the requests that don't set their own.
// Options that it leaves out keep their default.
func WithRequestDefaults(options Options) FetchOption {
	return func(s *listSettings) { s.defaults = options.or(s.defaults) }
}

func (s *listSettings) apply(options []FetchOption) {
	for _, option := range options {
		option(s)
	}
}

// check returns an error if a setting is invalid.
func (s *listSettings) check() *Error {
	if s.concurrency < 0 || s.concurrency > math.MaxUint32 {
		return invalidRequest("WithConcurrency: expected 0 or more, got %d", s.concurrency)
	}
	if s.timeout != nil && *s.timeout <= 0 {
		return invalidRequest("WithTimeout: expected a duration greater than 0, got %v", *s.timeout)
	}
	_, err := s.defaults.message()
	return err
}

// FetchAll fetches a list and returns one result for each request, in the same
// order. A request that fails has an error in its result. That is also how
// invalid options show: nothing is sent then.
//
// If ctx ends first, requests without a result fail with its error. To send
// metadata with the calls, add it to ctx with
// [google.golang.org/grpc/metadata.AppendToOutgoingContext].
func (c *Client) FetchAll(ctx context.Context, requests []Request, options ...FetchOption) []Result {
	results := make([]Result, len(requests))
	for index, result := range c.Fetch(ctx, requests, options...) {
		results[index] = result
	}
	return results
}

// Fetch fetches a list and returns the results as they arrive, each with the
// index of its request. Each iteration of the sequence sends the list anew.
//
// Leaving the loop cancels the rest of the list. While the loop doesn't take
// results, the client buffers about 2 MiB of them for each call, and the service
// waits. It is like [Client.FetchAll] otherwise.
func (c *Client) Fetch(ctx context.Context, requests []Request, options ...FetchOption) iter.Seq2[int, Result] {
	return func(yield func(int, Result) bool) {
		settings, err := c.listSettings(options)
		if err != nil {
			refuse(slices.Values(requests), err, yield)
			return
		}
		list := newList(ctx, c, &sliceSource{requests: requests}, settings)
		defer list.stop()
		list.run(yield)
	}
}

// FetchSeq is like [Client.Fetch] with requests from a sequence of any length,
// even an endless one. It reads no more of them than it can send: up to 1,000
// requests or 8 MiB ahead. It calls requests in a goroutine of its own, because
// results arrive while requests may block. If it panics, so does the loop.
//
// If ctx ends, or the time of [WithTimeout] passes, it stops reading requests.
func (c *Client) FetchSeq(ctx context.Context, requests iter.Seq[Request], options ...FetchOption) iter.Seq2[int, Result] {
	return func(yield func(int, Result) bool) {
		settings, err := c.listSettings(options)
		if err != nil {
			refuse(requests, err, yield)
			return
		}
		list := newList(ctx, c, newSeqSource(requests), settings)
		defer list.stop()
		list.run(yield)
	}
}

// listSettings returns the settings of a list, if they are valid.
func (c *Client) listSettings(options []FetchOption) (listSettings, *Error) {
	var settings listSettings
	settings.apply(c.settings.fetch)
	settings.apply(options)
	return settings, settings.check()
}

// refuse yields err for each request.
func refuse(requests iter.Seq[Request], err *Error, yield func(int, Result) bool) {
	index := 0
	for request := range requests {
		if !yield(index, Result{Index: index, Request: &request, Err: err}) {
			return
		}
		index++
	}
}

func (s *listSettings) batchOptions() *fetchdv1.FetchOptions {
	// The settings have been checked.
	options, _ := s.defaults.message()
	return options
}
