package fetchd

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// A streamBody is the body of a response, which it receives as it is read.
type streamBody struct {
	// context is that of the request.
	context  context.Context
	cancel   context.CancelCauseFunc
	isClosed atomic.Bool
	closing  sync.Once

	// mu guards the rest. Close doesn't take it, so that it ends a Read.
	mu       sync.Mutex
	messages *messages
	// parts have been received, and not read.
	parts []part
	// buffer are the unread bytes of the last part.
	buffer []byte
	// size is the number of bytes of all parts so far.
	size int64
	end  *partEnd
	// err is the result of each Read from now on.
	err error
}

// Read reads the next bytes of the body. At its end it returns io.EOF, or an
// *Error if the body is incomplete.
func (b *streamBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fill(); err != nil {
		return 0, err
	}
	count := copy(p, b.buffer)
	b.buffer = b.buffer[count:]
	return count, nil
}

// WriteTo writes the rest of the body to w, without another copy of it.
func (b *streamBody) WriteTo(w io.Writer) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var written int64
	for {
		switch err := b.fill(); err {
		case nil:
		case io.EOF:
			return written, nil
		default:
			return written, err
		}
		count, err := w.Write(b.buffer)
		written += int64(count)
		b.buffer = b.buffer[count:]
		if err != nil {
			return written, err
		}
	}
}

// fill receives until the buffer has bytes. It returns an error if there are no
// more.
func (b *streamBody) fill() error {
	for {
		if b.isClosed.Load() {
			return http.ErrBodyReadAfterClose
		}
		if len(b.buffer) > 0 {
			return nil
		}
		if b.err == nil && b.end != nil {
			b.err = b.result()
		}
		if b.err != nil {
			return b.err
		}
		b.receive()
	}
}

// receive takes the next part.
func (b *streamBody) receive() {
	part, failed := b.nextPart()
	switch {
	case b.isClosed.Load():
	case b.context.Err() != nil:
		b.err = stopped(b.context)
	case failed != nil:
		b.err = failed.err
	case part.head != nil:
		b.err = contractBroken("a second head")
	default:
		b.take(part)
	}
	if b.err != nil {
		b.close()
	}
}

// take takes the body and the end of a part. If it is the last one, it also
// reads the end of the call, which follows at once.
func (b *streamBody) take(part *part) {
	b.buffer = part.body
	b.size += int64(len(part.body))
	b.end = part.end
	if b.end != nil {
		b.messages.detach()
		b.messages.finish()
		b.close()
	}
}

// result returns how the body has ended.
func (b *streamBody) result() error {
	switch {
	case b.end.err != nil:
		return b.end.err
	case b.size != b.end.stats.BodyBytes:
		return contractBroken(otherSize)
	default:
		return io.EOF
	}
}

// nextPart returns the next part of the result.
func (b *streamBody) nextPart() (*part, *failure) {
	at := b.messages.call.endpoint
	for len(b.parts) == 0 {
		message, failed := b.messages.next()
		if failed != nil {
			return nil, failed
		}
		at.recordAnswer()
		b.parts = message.parts
	}
	part := &b.parts[0]
	b.parts = b.parts[1:]
	if part.index != 0 {
		return nil, lostCall(contractBroken("a part with an index out of range")).at(at.name)
	}
	return part, nil
}

// Close ends the body. If it is incomplete, the service stops fetching.
func (b *streamBody) Close() error {
	b.isClosed.Store(true)
	b.close()
	return nil
}

// close releases the call.
func (b *streamBody) close() {
	b.closing.Do(func() {
		b.messages.close()
		b.messages.call.cancel()
		b.messages.call.endpoint.addLoad(-1)
		if b.cancel != nil {
			b.cancel(context.Canceled)
		}
	})
}

func (b *streamBody) stats() (Stats, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil {
		return Stats{}, false
	}
	return b.end.stats, true
}
