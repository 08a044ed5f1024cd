package fetchd_test

import (
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

// A fake is a service that answers calls as a test wants.
type fake struct {
	fetchdv1.UnimplementedFetchServiceServer
	address string
	server  *grpc.Server
	answer  answer
	// probe answers calls without requests. Default: OK.
	probe func() error

	mu    sync.Mutex
	calls []*fetchdv1.FetchBatchRequest
}

type answer = func(*fetchdv1.FetchBatchRequest, grpc.ServerStreamingServer[fetchdv1.FetchBatchResponse]) error

func newFake(t testing.TB, answer answer, options ...grpc.ServerOption) *fake {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fake := &fake{address: listener.Addr().String(), answer: answer}
	fake.server = grpc.NewServer(options...)
	fetchdv1.RegisterFetchServiceServer(fake.server, fake)
	go fake.server.Serve(listener)
	t.Cleanup(fake.server.Stop)
	return fake
}

func (f *fake) FetchBatch(request *fetchdv1.FetchBatchRequest, stream grpc.ServerStreamingServer[fetchdv1.FetchBatchResponse]) error {
	if len(request.Requests) == 0 {
		if f.probe != nil {
			return f.probe()
		}
		return nil
	}
	f.mu.Lock()
	f.calls = append(f.calls, request)
	f.mu.Unlock()
	return f.answer(request, stream)
}

// received returns the calls with requests so far.
func (f *fake) received() []*fetchdv1.FetchBatchRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*fetchdv1.FetchBatchRequest(nil), f.calls...)
}

// results returns a message with the results of the requests from first to last,
// without last.
func results(first, last int) *fetchdv1.FetchBatchResponse {
	message := &fetchdv1.FetchBatchResponse{}
	for index := first; index < last; index++ {
		message.Parts = append(message.Parts, &fetchdv1.ResultPart{
			Index: uint32(index),
			Head:  &fetchdv1.ResponseHead{Status: 200},
			Body:  []byte("ok"),
			End:   &fetchdv1.FetchEnd{Attempts: 1, BodyBytes: 2},
		})
	}
	return message
}

// answerAll answers each request with a result.
func answerAll(request *fetchdv1.FetchBatchRequest, stream grpc.ServerStreamingServer[fetchdv1.FetchBatchResponse]) error {
	return stream.Send(results(0, len(request.Requests)))
}

// maxMessage lets a fake accept what the service accepts.
var maxMessage = grpc.MaxRecvMsgSize(16 << 20)
