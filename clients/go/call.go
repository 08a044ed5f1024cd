package fetchd

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

// A call carries requests of a list to an endpoint.
type call struct {
	endpoint *endpoint
	message  *fetchdv1.FetchBatchRequest
	// silenceTimeout is the longest time between two messages.
	silenceTimeout time.Duration
	// uploadTime is added to it before the first one.
	uploadTime time.Duration

	// The rest belongs to the list.

	// pending are the requests by their index in the call, without those that
	// have ended.
	pending    []*pending
	unfinished int
	// slots is the number of requests in flight, unless fewer are unfinished.
	slots int
	// begun is when the call was made.
	begun time.Time

	// ctx ends when the list has no use for the call anymore.
	ctx    context.Context
	cancel context.CancelFunc
}

// An event is something that happened on a call.
type event struct {
	call *call
	// results are the results that were completed. Their index is that in the
	// call.
	results []Result
	// hasEnded is true for the last event of the call.
	hasEnded bool
	// failed tells why unfinished requests have no result.
	failed *failure
}

// minPace is the slowest upload to tolerate, in bytes per second.
const minPace = 128 << 10

// endTime is how long to wait for the end of a call whose results are complete.
const endTime = time.Second

// errSilent is the cause of the cancellation of a silent call.
var errSilent = errors.New("the service is silent")

func newCall(ctx context.Context, at *endpoint, requests []*pending, slots int, silenceTimeout time.Duration) *call {
	message := &fetchdv1.FetchBatchRequest{Requests: make([]*fetchdv1.FetchRequest, len(requests))}
	size := 0
	for index, pending := range requests {
		message.Requests[index] = pending.message
		size += pending.size
	}
	ctx, cancel := context.WithCancel(ctx)
	return &call{
		ctx:            ctx,
		cancel:         cancel,
		endpoint:       at,
		message:        message,
		silenceTimeout: silenceTimeout,
		uploadTime:     time.Second * time.Duration(size/minPace),
		pending:        requests,
		unfinished:     len(requests),
		slots:          slots,
		begun:          time.Now(),
	}
}

// inFlight returns how many of its slots the call uses.
func (c *call) inFlight() int {
	return min(c.slots, c.unfinished)
}

// timePerRequest returns how long a request occupied its slot on average, if the
// call has ended now.
func (c *call) timePerRequest(now time.Time) time.Duration {
	count := len(c.pending)
	return now.Sub(c.begun) * time.Duration(min(c.slots, count)) / time.Duration(count)
}

// run makes the call and sends its events.
func (c *call) run(events chan<- event) {
	defer c.endpoint.addLoad(-c.slots)
	messages := newMessages(c)
	defer messages.close()
	assembly := newAssembly(len(c.pending))
	for {
		event := event{call: c}
		message, failed := messages.next()
		if failed == nil {
			event.results, failed = assembly.addAll(message, c.endpoint.name)
			c.endpoint.recordAnswer()
		}
		if c.ctx.Err() != nil {
			return // The endpoint has not failed: nobody wants the results.
		}
		event.failed = failed
		event.hasEnded = failed != nil || assembly.unfinished == 0
		if event.hasEnded {
			messages.detach()
		}
		select {
		case events <- event:
		case <-c.ctx.Done():
			return
		}
		if event.hasEnded {
			messages.finish()
			return
		}
	}
}

// addAll adds the parts of a message. Results that are complete are valid even
// if a later part is not.
func (a *assembly) addAll(message *message, endpoint string) ([]Result, *failure) {
	var results []Result
	for index := range message.parts {
		result, isComplete, err := a.add(&message.parts[index])
		if err != nil {
			return results, lostCall(err).at(endpoint)
		}
		if isComplete {
			if results == nil {
				results = make([]Result, 0, len(message.parts))
			}
			results = append(results, result)
		}
	}
	return results, nil
}

// messages receives the messages of one call.
type messages struct {
	call   *call
	stream grpc.ClientStream
	// err is why the call could not be made or has ended.
	err    error
	ctx    context.Context
	cancel context.CancelCauseFunc
	// detach separates the call from the context of its list.
	detach func() bool
	// silence cancels the call when it fires.
	silence  *time.Timer
	hasBegun bool
	message  message
}

// newMessages makes the call. If that fails, the first call of next tells.
func newMessages(call *call) *messages {
	m := &messages{call: call}
	// Once all results are there, the call has to outlive the context of the
	// list until its end arrives. Otherwise the service counts it as cancelled.
	m.ctx, m.cancel = context.WithCancelCause(context.WithoutCancel(call.ctx))
	m.detach = context.AfterFunc(call.ctx, func() { m.cancel(context.Cause(call.ctx)) })
	m.silence = time.AfterFunc(call.silenceTimeout+call.uploadTime, func() { m.cancel(errSilent) })
	m.stream, m.err = call.endpoint.fetchBatch(m.ctx, call.message)
	return m
}

// next returns the next message, which is valid until the next one. The end of
// the stream is a failure, since the caller stops after the last result.
func (m *messages) next() (*message, *failure) {
	if m.err != nil {
		return nil, m.failure()
	}
	if m.hasBegun {
		m.silence.Reset(m.call.silenceTimeout)
	}
	m.err = m.stream.RecvMsg(&m.message)
	m.silence.Stop()
	if m.err != nil {
		return nil, m.failure()
	}
	m.hasBegun = true
	return &m.message, nil
}

func (m *messages) failure() *failure {
	var failed *failure
	switch {
	case m.err == io.EOF:
		failed = lostCall(contractBroken("the stream ended without an end for each request"))
	case context.Cause(m.ctx) == errSilent:
		failed = silentCall(m.call.silenceTimeout)
	default:
		failed = callFailure(m.err, m.hasBegun)
	}
	return failed.at(m.call.endpoint.name)
}

// finish reads the call to its end, which follows the last result. Errors don't
// matter anymore.
func (m *messages) finish() {
	m.silence.Reset(endTime)
	for m.err == nil {
		m.err = m.stream.RecvMsg(&m.message)
	}
}

// close cancels the call, unless it has ended.
func (m *messages) close() {
	m.silence.Stop()
	m.detach()
	m.cancel(nil)
}
