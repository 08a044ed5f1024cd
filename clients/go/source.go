package fetchd

import (
	"iter"
	"sync"
	"time"
)

// A source has the requests of a list.
type source interface {
	// fitsOneCall returns true if all requests fit one call.
	fitsOneCall() bool
	// take returns the requests that are there, of at most count and bytes. One
	// larger request may be taken alone. A seqSource goes on reading up to them.
	take(count, bytes int) []*pending
	// arrival returns a channel that receives if requests may have arrived.
	arrival() <-chan struct{}
	// gather waits a little for the requests that take has asked for.
	gather()
	// hasEnded returns true if all requests have been taken.
	hasEnded() bool
	// stop ends reading.
	stop()
	// rest returns the requests that were read and not taken, after stop.
	rest() []*pending
}

// A sliceSource has all requests from the beginning.
type sliceSource struct {
	requests []Request
	// ahead are converted requests, of which next is the first.
	ahead []*pending
	taken int
}

func (s *sliceSource) fitsOneCall() bool {
	if len(s.requests) > maxListRequests {
		return false
	}
	bytes := 0
	for index := range s.requests {
		bytes += s.at(index).size
	}
	return bytes <= maxCallBytes
}

// at converts the request at index. All earlier ones must have been converted.
func (s *sliceSource) at(index int) *pending {
	if index-s.taken == len(s.ahead) {
		s.ahead = append(s.ahead, newPending(index, &s.requests[index]))
	}
	return s.ahead[index-s.taken]
}

func (s *sliceSource) take(count, bytes int) []*pending {
	end := s.taken
	for ; end < len(s.requests) && end-s.taken < count; end++ {
		bytes -= s.at(end).size
		if bytes < 0 && end > s.taken {
			break
		}
	}
	taken := s.ahead[:end-s.taken]
	s.ahead = s.ahead[end-s.taken:]
	s.taken = end
	return taken
}

func (s *sliceSource) hasEnded() bool           { return s.taken == len(s.requests) }
func (s *sliceSource) arrival() <-chan struct{} { return nil }
func (s *sliceSource) gather()                  {}
func (s *sliceSource) stop()                    {}

func (s *sliceSource) rest() []*pending {
	var rest []*pending
	for index := s.taken; index < len(s.requests); index++ {
		rest = append(rest, &pending{index: index, request: &s.requests[index]})
	}
	return rest
}

// A seqSource reads requests from a sequence, in a goroutine of its own, because
// a sequence may block while results arrive.
type seqSource struct {
	arrived chan struct{}
	full    chan struct{}

	mu sync.Mutex
	// wanted is signalled when more requests are wanted, or when reading stops.
	wanted *sync.Cond
	buffer []*pending
	size   int
	// count and bytes are how much may be in the buffer.
	count, bytes int
	ended        bool
	stopped      bool
	// failure is what the sequence panicked with.
	failure any
}

// gatherTime is how long to wait for more requests once one has arrived, so that
// requests that follow each other closely share a call.
const gatherTime = time.Millisecond

func newSeqSource(requests iter.Seq[Request]) *seqSource {
	source := &seqSource{arrived: make(chan struct{}, 1), full: make(chan struct{}, 1)}
	source.wanted = sync.NewCond(&source.mu)
	go source.read(requests)
	return source
}

func (s *seqSource) read(requests iter.Seq[Request]) {
	// Deferred, since the sequence may panic or end its goroutine.
	defer func() { s.end(recover()) }()
	index := 0
	if s.waitUntilWanted() {
		for request := range requests {
			if !s.add(newPending(index, &request)) {
				break
			}
			index++
		}
	}
}

// end ends reading. failure is what the sequence panicked with, or nil.
func (s *seqSource) end(failure any) {
	s.mu.Lock()
	s.ended = true
	s.failure = failure
	s.mu.Unlock()
	signal(s.full)
	signal(s.arrived)
}

// waitUntilWanted waits until the buffer has room. It returns false if reading
// stops.
func (s *seqSource) waitUntilWanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.stopped && (len(s.buffer) >= s.count || s.size >= s.bytes) {
		s.wanted.Wait()
	}
	return !s.stopped
}

// add adds a request, and waits until the next one is wanted. It returns false
// if reading stops.
func (s *seqSource) add(next *pending) bool {
	s.mu.Lock()
	s.buffer = append(s.buffer, next)
	s.size += next.size
	isFull := len(s.buffer) >= s.count || s.size >= s.bytes
	s.mu.Unlock()
	if isFull {
		signal(s.full)
	}
	signal(s.arrived)
	return s.waitUntilWanted()
}

func (s *seqSource) fitsOneCall() bool { return false }

func (s *seqSource) take(count, bytes int) []*pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, size := 0, 0
	for ; end < len(s.buffer) && end < count; end++ {
		next := s.buffer[end].size
		if size+next > bytes && end > 0 {
			break
		}
		size += next
	}
	taken := s.buffer[:end]
	s.buffer = s.buffer[end:]
	s.size -= size
	s.count, s.bytes = count-end, bytes-size
	s.wanted.Signal()
	return taken
}

func (s *seqSource) arrival() <-chan struct{} { return s.arrived }

func (s *seqSource) gather() {
	select {
	case <-s.full:
	case <-time.After(gatherTime):
	}
}

// hasEnded panics if the sequence has, so that the caller of the loop can recover.
func (s *seqSource) hasEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		panic(s.failure)
	}
	return s.ended && len(s.buffer) == 0
}

func (s *seqSource) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.wanted.Signal()
}

func (s *seqSource) rest() []*pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffer
}

func signal(channel chan struct{}) {
	select {
	case channel <- struct{}{}:
	default:
	}
}
