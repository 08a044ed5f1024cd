package fetchd

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

// An endpoint is one address of a client, with its connections.
type endpoint struct {
	name  string
	names *names
	conn  *grpc.ClientConn

	mu     sync.Mutex
	health health
	// inFlight counts the requests in flight, of all lists.
	inFlight int
}

const (
	probeTimeout = 5 * time.Second
	// reconnectTime is how long a probe waits for a lost connection to come
	// back.
	reconnectTime = time.Second
)

func newEndpoint(hostPort string, options []grpc.DialOption) (*endpoint, error) {
	names := &names{}
	conn, err := grpc.NewClient(namesScheme+":///"+hostPort, append(options, grpc.WithResolvers(names))...)
	if err != nil {
		return nil, err
	}
	return &endpoint{name: hostPort, names: names, conn: conn}, nil
}

// fetchBatch makes a call, whose messages are to be received as [message].
func (e *endpoint) fetchBatch(ctx context.Context, request *fetchdv1.FetchBatchRequest) (grpc.ClientStream, error) {
	e.names.refresh()
	stream, err := e.conn.NewStream(ctx, &fetchdv1.FetchService_ServiceDesc.Streams[0],
		fetchdv1.FetchService_FetchBatch_FullMethodName, grpc.ForceCodecV2(messageCodec))
	if err != nil {
		return nil, err
	}
	// If sending fails, the error is that of the first message.
	if err := stream.SendMsg(request); err != nil && err != io.EOF {
		return nil, err
	}
	return stream, stream.CloseSend()
}

// probe sends a batch without requests, and records whether the endpoint
// answers. gRPC cannot tell whether a failed call has left, but whatever
// happens to a probe, nothing was dispatched.
func (e *endpoint) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, probeTimeout, silentCall(probeTimeout).err)
	defer cancel()
	e.reconnect(ctx)
	failed := e.sendProbe(ctx)
	if failed != nil {
		if timedOut := (*Error)(nil); errors.As(context.Cause(ctx), &timedOut) {
			failed = lostCall(timedOut)
		}
		failed = failed.at(e.name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.health.endProbe(time.Now(), failed)
}

// reconnect waits a little for a connection, if the last one has failed.
// Otherwise the probe would return that failure again.
func (e *endpoint) reconnect(ctx context.Context) {
	if e.conn.GetState() != connectivity.TransientFailure {
		return
	}
	e.conn.ResetConnectBackoff()
	ctx, cancel := context.WithTimeout(ctx, reconnectTime)
	defer cancel()
	e.conn.WaitForStateChange(ctx, connectivity.TransientFailure)
}

func (e *endpoint) sendProbe(ctx context.Context) *failure {
	stream, err := e.fetchBatch(ctx, &fetchdv1.FetchBatchRequest{})
	for err == nil {
		err = stream.RecvMsg(&message{})
	}
	if err == io.EOF {
		return nil
	}
	return callFailure(err, false)
}

func (e *endpoint) isUsable(now time.Time, isFresh bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.health.isUsable(now, isFresh)
}

func (e *endpoint) startProbe(now time.Time, isFresh bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.health.startProbe(now, isFresh)
}

func (e *endpoint) probeDue() (time.Time, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.health.probeDue()
}

func (e *endpoint) isEjected() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.health.state == ejected
}

func (e *endpoint) refusal(now time.Time) *failure {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.health.refusal(now)
}

// ejection returns why and since when the endpoint is ejected, or nil.
func (e *endpoint) ejection() (*failure, time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.health.state != ejected {
		return nil, time.Time{}
	}
	return e.health.last, e.health.failedAt
}

func (e *endpoint) recordAnswer() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.health.recordAnswer(time.Now())
}

func (e *endpoint) recordResult() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.health.recordResult()
}

func (e *endpoint) recordFailure(failed *failure) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.health.recordFailure(time.Now(), failed)
}

func (e *endpoint) load() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.inFlight
}

func (e *endpoint) addLoad(count int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inFlight += count
}
